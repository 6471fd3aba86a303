"""Names the pairing app to Django."""

from django.apps import AppConfig


class PairingConfig(AppConfig):
    name = "provisioning.pairing"
    label = "pairing"
