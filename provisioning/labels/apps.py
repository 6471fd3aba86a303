"""Names the labels app to Django, and offers its operation to the vault process."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class LabelsConfig(AppConfig):
    name = "provisioning.labels"
    label = "labels"

    def ready(self) -> None:
        from provisioning.keys import holdings, vault_operations
        from provisioning.labels import checks, holding, vault_operation

        vault_operations.register(vault_operation.OPEN_TOKENS, vault_operation.OPERATION)
        holdings.register(holding.HOLDING)
        register(checks.label_profile, Tags.security)
