"""A block-range index over the time of readings: roll-ups and retention look at all adapters of a stretch of time."""

from django.db import migrations


def _create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX reading_time ON telemetry_reading USING brin (measured_at)")


def _drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX reading_time")


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0004_due_and_late")]
    operations = [migrations.RunPython(_create, _drop)]
