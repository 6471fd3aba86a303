"""Sealing stored rows anew, one committed row after the other, so that it can end anywhere and go on later."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.db import models

from meterwire.errors import AuthenticationError
from provisioning.keys.holdings import Holding

CHUNK: Final = 500
Row = TypeVar("Row", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Step:
    """How far a part of the work is. `lost` rows do not open with any key that is here and were left as they are."""

    part: str
    done: int
    total: int
    lost: int = 0


def renew(part: str, rows: models.QuerySet[Row], column: str, anew: Callable[[Row], bytes | None]) -> Iterator[Step]:
    """Replace `column` by what `anew` makes of a row (None: it is up to date), one step for each row.

    Nothing is written over a change that somebody else made meanwhile, and a row that does not open is left alone.
    """
    lost = 0
    total = rows.count()
    for done, row in enumerate(_ascending(rows), 1):
        before = getattr(row, column)
        try:
            after = anew(row)
        except (AuthenticationError, ValueError):
            lost += 1
        else:
            if after is not None:
                rows.model._default_manager.filter(pk=row.pk, **{column: before}).update(**{column: after})
        yield Step(part, done, total, lost)


def renew_holding(
    holding: Holding, anew: Callable[[bytes, bytes, int | None], bytes | None], rows: models.QuerySet[Any] | None = None
) -> Iterator[Step]:
    """The same for a holding; `anew` is given a sealed secret, its place and its organisation."""

    def whole(row: Any) -> bytes | None:
        pieces = holding.pieces(row)
        made = [anew(sealed, place, holding.organisation(row)) for sealed, place in pieces]
        if all(new is None for new in made):
            return None
        return b"".join(old if new is None else new for (old, _place), new in zip(pieces, made, strict=True))

    return renew(holding.name, holding.rows() if rows is None else rows, holding.column, whole)


def _ascending(rows: models.QuerySet[Row]) -> Iterator[Row]:
    last = 0
    while chunk := list(rows.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        yield from chunk
        last = chunk[-1].pk
