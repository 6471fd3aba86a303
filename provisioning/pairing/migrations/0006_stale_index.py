"""PostgreSQL makes no index in the transaction that has just changed the rows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pairing", "0005_unknown_and_stale"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="configuration",
            index=models.Index(condition=models.Q(("stale", True)), fields=["adapter"], name="configuration_stale"),
        ),
    ]
