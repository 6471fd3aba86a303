"""Names the fleet app to Django."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "provisioning.fleet"
    label = "fleet"
