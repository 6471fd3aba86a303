"""Names the audit app to Django."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "provisioning.audit"
    label = "audit"
