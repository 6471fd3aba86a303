"""What a firmware does not know, and which configurations are to be put together anew: with open time, all of them."""

from typing import Any

from django.db import migrations, models


def look_at_all(apps: Any, schema_editor: Any) -> None:
    apps.get_model("pairing", "Configuration").objects.filter(version__gt=0).update(stale=True)


class Migration(migrations.Migration):
    dependencies = [
        ("pairing", "0004_what_waits"),
    ]

    operations = [
        migrations.AddField(
            model_name="configuration",
            name="unknown_from",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="configuration",
            name="unknown_for",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name="configuration",
            name="stale",
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(look_at_all, migrations.RunPython.noop),
    ]
