"""Names the batches app to Django."""

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "provisioning.batches"
    label = "batches"
