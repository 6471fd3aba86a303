"""Names the campaigns app to Django."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    name = "provisioning.campaigns"
    label = "campaigns"
