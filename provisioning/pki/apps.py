"""Names the pki app to Django."""

from django.apps import AppConfig


class PkiConfig(AppConfig):
    name = "provisioning.pki"
    label = "pki"
