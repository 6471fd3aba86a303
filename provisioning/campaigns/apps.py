"""Names the campaigns app to Django; the deliveries of a revoked adapter end with it."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "provisioning.campaigns"
    label = "campaigns"

    def ready(self) -> None:
        from provisioning.campaigns.services.running import end_of_adapter
        from provisioning.fleet import revocation

        revocation.add_for_adapters(end_of_adapter)
