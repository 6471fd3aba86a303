"""Moments as Unix seconds, counted by the database: charts need numbers, and datetimes are slow to make."""

from typing import Any

from django.db.models import FloatField, Func


class UnixSeconds(Func):
    """A DateTimeField as seconds since the Unix epoch, exact to a tenth of a millisecond."""

    template = "EXTRACT(EPOCH FROM %(expressions)s)::double precision"
    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((julianday(%(expressions)s) - 2440587.5) * 86400.0)"
        return self.as_sql(compiler, connection, template=template, **context)
