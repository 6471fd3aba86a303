"""Names the bridge app to Django."""

from django.apps import AppConfig


class BridgeConfig(AppConfig):
    name = "portal.bridge"
    label = "bridge"
