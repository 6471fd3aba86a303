"""Names the pairing app to Django; what is paired cannot be archived."""

from django.apps import AppConfig


class PairingConfig(AppConfig):
    name = "provisioning.pairing"
    label = "pairing"

    def ready(self) -> None:
        from provisioning.fleet import guards
        from provisioning.pairing.queries import open_pairing_reason

        guards.add(open_pairing_reason)
