"""Names the slots app to Django."""

from django.apps import AppConfig


class SlotsConfig(AppConfig):
    name = "provisioning.slots"
    label = "slots"
