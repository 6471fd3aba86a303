"""The minutes that end with the reserve are open as a whole where nobody has a slot in them."""

from typing import Any

from django.db import migrations, models

FIRST_MS, PERIOD_MS = 240_000, 300_000


def find_taken(apps: Any, schema_editor: Any) -> None:
    given = apps.get_model("slots", "Assignment").objects.filter(concentrator__isnull=False)
    rows = given.values_list("concentrator", "phase_ms", "period_s", "length_ms")
    taken = {
        concentrator
        for concentrator, phase_ms, period_s, length_ms in rows.iterator()
        if period_s * 1000 < PERIOD_MS or phase_ms % PERIOD_MS + length_ms > FIRST_MS
    }
    apps.get_model("slots", "SlotPlan").objects.filter(pk__in=taken).update(open_minute=False)


class Migration(migrations.Migration):
    dependencies = [
        ("slots", "0008_neighbour_expiry"),
    ]

    operations = [
        migrations.AddField(
            model_name="slotplan",
            name="open_minute",
            field=models.BooleanField(default=True),
        ),
        migrations.RunPython(find_taken, migrations.RunPython.noop),
    ]
