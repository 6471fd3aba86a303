"""System checks: what about the key-encryption key is set up wrongly, found at start."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from meterwire.errors import MeterspanError
from provisioning.keys.intake import Intake
from provisioning.keys.kek import fault
from provisioning.keys.vault_client import answers


def key_encryption_key(**_: Any) -> list[CheckMessage]:
    """keys.E001: KEK_FILE cannot be used. keys.E002: KEK_PUBLIC_FILE cannot be used."""
    found: list[CheckMessage] = []
    if settings.KEK_FILE and (reason := fault(Path(settings.KEK_FILE))):
        found.append(Error(reason, hint="Processes that open no keys need no MSPAN_KEK_FILE at all.", id="keys.E001"))
    if public := settings.KEK_PUBLIC_FILE:
        try:
            Intake.from_file(Path(public))
        except MeterspanError as error:
            found.append(Error(str(error), hint="Set MSPAN_KEK_PUBLIC_FILE to the .pub file.", id="keys.E002"))
    return found


def key_hand_in(**_: Any) -> list[CheckMessage]:
    """keys.W001 (deploy): this process can neither open keys nor take any in."""
    if settings.KEK_FILE or settings.KEK_PUBLIC_FILE:
        return []
    hint = "Set MSPAN_KEK_PUBLIC_FILE for web workers, MSPAN_KEK_FILE for the bridge."
    return [Warning("No key can be issued or handed in by this process.", hint=hint, id="keys.W001")]


def vault_process(**_: Any) -> list[CheckMessage]:
    """keys.W002 (deploy): this process opens no secret and knows no vault. keys.W003: that vault does not answer."""
    if settings.KEK_FILE:
        return []
    if not settings.VAULT_SOCKET:
        hint = "Set MSPAN_VAULT_SOCKET for web workers, and run manage.py run_vault beside them."
        return [Warning("No label that exists can be printed by this process.", hint=hint, id="keys.W002")]
    if answers():
        return []
    hint = "Start manage.py run_vault, and let this process's user in with --allow-uid."
    return [Warning(f"No vault answers at {settings.VAULT_SOCKET}.", hint=hint, id="keys.W003")]
