"""System checks: whether the audit key is one of its own."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from provisioning.audit import chain


def audit_key(**_: Any) -> list[CheckMessage]:
    """audit.E001: AUDIT_KEY_FILE cannot be used."""
    try:
        chain.key_name()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="audit.E001")]
    return []


def audit_key_of_its_own(**_: Any) -> list[CheckMessage]:
    """audit.W001 (deploy): the audit key hangs on the secret key, so changing that one ends the chains' proof."""
    if settings.AUDIT_KEY_FILE:
        return []
    hint = "Set MSPAN_AUDIT_KEY_FILE to a file of 32 random bytes that every portal process can read."
    return [Warning("The audit key is derived from the secret key.", hint=hint, id="audit.W001")]
