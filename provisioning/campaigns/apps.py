"""Names the campaigns app to Django; what is on its way to an adapter ends with it; the vault makes LMN files."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "provisioning.campaigns"
    label = "campaigns"

    def ready(self) -> None:
        from provisioning.campaigns import vault_operation
        from provisioning.campaigns.services.running import end_of_adapter
        from provisioning.fleet import revocation
        from provisioning.keys import holdings, vault_operations

        revocation.add_for_adapters(end_of_adapter)
        vault_operations.register(vault_operation.LMN_FILE, vault_operation.OPERATION)
        holdings.register(vault_operation.HOLDING)
