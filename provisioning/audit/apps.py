"""Names the audit app to Django and registers its checks."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class AuditConfig(AppConfig):
    name = "provisioning.audit"
    label = "audit"

    def ready(self) -> None:
        from provisioning.audit import checks

        register(checks.audit_key, Tags.security)
        register(checks.audit_key_of_its_own, Tags.security, deploy=True)
