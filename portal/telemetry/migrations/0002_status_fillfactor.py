"""Leaves room in the pages of AdapterStatus, so that PostgreSQL updates its rows in place without touching indexes."""

from django.db import migrations


def _fillfactor(apps, schema_editor, percent):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE telemetry_adapterstatus SET (fillfactor = {percent})")


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial")]
    operations = [
        migrations.RunPython(
            lambda apps, editor: _fillfactor(apps, editor, 50),
            lambda apps, editor: _fillfactor(apps, editor, 100),
        )
    ]
