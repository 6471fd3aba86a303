"""Names the pairing app to Django; what is paired cannot be archived, and a changed plan of slots is told."""

from django.apps import AppConfig


class PairingConfig(AppConfig):
    name = "provisioning.pairing"
    label = "pairing"

    def ready(self) -> None:
        from provisioning.fleet import guards
        from provisioning.pairing.queries import open_pairing_reason
        from provisioning.pairing.services.renewal import renew_later
        from provisioning.slots.signals import plan_changed

        guards.add(open_pairing_reason)
        plan_changed.connect(renew_later)
