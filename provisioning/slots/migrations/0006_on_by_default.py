"""Pairings get slots unless somebody says otherwise. Until now off was what a plan began with, so nobody had said it."""

from typing import Any

from django.db import migrations, models


def turn_on(apps: Any, schema_editor: Any) -> None:
    apps.get_model("slots", "SlotPlan").objects.filter(by_pairing=False).update(by_pairing=True)


class Migration(migrations.Migration):
    dependencies = [
        ("slots", "0005_beacon_and_level"),
    ]

    operations = [
        migrations.AlterField(
            model_name="slotplan",
            name="by_pairing",
            field=models.BooleanField(default=True),
        ),
        migrations.RunPython(turn_on, migrations.RunPython.noop),
    ]
