"""Names the telemetry app to Django, and what the vault opens and seals anew for it."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    name = "portal.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        from portal.telemetry import sealed_asking, sealed_opening, sealed_resealing
        from provisioning.keys import resealing, vault_operations

        vault_operations.register(sealed_asking.OPEN_VALUES, sealed_opening.OPERATION)
        resealing.register(sealed_resealing.RESEALER)
