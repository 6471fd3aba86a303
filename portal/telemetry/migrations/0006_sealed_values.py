"""Which key a telegram rests under, for organisations that keep register values nowhere else."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("keys", "0003_grace_and_meter_keys"), ("telemetry", "0005_reading_time_brin")]
    operations = [
        migrations.AddField(
            model_name="telegram",
            name="key",
            field=models.ForeignKey(
                db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+", to="keys.devicekey",
            ),
        ),
        migrations.AddIndex(
            model_name="telegram",
            index=models.Index(
                condition=models.Q(("key__isnull", False)), fields=["adapter", "key"], name="telegram_kept_sealed"
            ),
        ),
    ]
