"""Names the accounts app to Django and registers its checks."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class AccountsConfig(AppConfig):
    name = "provisioning.accounts"
    label = "accounts"

    def ready(self) -> None:
        from provisioning.accounts import checks

        register(checks.token_peppers, Tags.security)
        register(checks.token_peppers_of_their_own, Tags.security, deploy=True)
