"""Names the approvals app to Django."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "provisioning.approvals"
    label = "approvals"
