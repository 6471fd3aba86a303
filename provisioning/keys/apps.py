"""Names the keys app to Django and registers its checks."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class KeysConfig(AppConfig):
    name = "provisioning.keys"
    label = "keys"

    def ready(self) -> None:
        from provisioning.keys import checks, vault_operations
        from provisioning.keys.services.reveal import REVEAL, REVEALING
        from provisioning.keys.services.rewrap import REWRAP, REWRAPPING

        vault_operations.register(REVEAL, REVEALING)
        vault_operations.register(REWRAP, REWRAPPING)
        register(checks.key_encryption_key, Tags.security)
        register(checks.key_encryption_key_in_a_file, Tags.security)
        register(checks.key_hand_in, Tags.security, deploy=True)
        register(checks.vault_process, Tags.security, deploy=True)
