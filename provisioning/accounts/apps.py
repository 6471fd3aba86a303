"""Names the accounts app to Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "provisioning.accounts"
    label = "accounts"
