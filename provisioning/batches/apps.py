"""Names the batches app to Django, and what it keeps sealed to the vault."""

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "provisioning.batches"
    label = "batches"

    def ready(self) -> None:
        from provisioning.batches import holding
        from provisioning.keys import holdings

        holdings.register(holding.KEYS)
        holdings.register(holding.TOKENS)
