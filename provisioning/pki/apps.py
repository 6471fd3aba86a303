"""Names the pki app to Django, offers its operations to the vault, and ends certificates with their concentrator."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class PkiConfig(AppConfig):
    name = "provisioning.pki"
    label = "pki"

    def ready(self) -> None:
        from provisioning.fleet import revocation
        from provisioning.keys import holdings, vault_operations
        from provisioning.pki import checks, signing, vault_operation
        from provisioning.pki.services import revoke_all

        for name, operation in vault_operation.OPERATIONS.items():
            vault_operations.register(name, operation)
        holdings.register(signing.HOLDING)
        revocation.add(revoke_all)
        register(checks.revocation_lists, Tags.security, deploy=True)
        register(checks.certificate_header, Tags.security)
