"""Names the keys app to Django."""

from django.apps import AppConfig


class KeysConfig(AppConfig):
    name = "provisioning.keys"
    label = "keys"
