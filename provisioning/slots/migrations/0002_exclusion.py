from django.db import migrations

from provisioning.slots import exclusion


class Migration(migrations.Migration):
    dependencies = [("slots", "0001_initial")]

    operations = [
        migrations.RunPython(
            lambda apps, editor: exclusion.create(editor.connection),
            lambda apps, editor: exclusion.drop(editor.connection),
        )
    ]
