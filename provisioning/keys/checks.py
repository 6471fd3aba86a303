"""System checks: what about the key-encryption key is set up wrongly, found at start."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from meterwire.errors import MeterspanError
from provisioning.keys import kek
from provisioning.keys.intake import Intake
from provisioning.keys.vault_client import answers


def key_encryption_key(**_: Any) -> list[CheckMessage]:
    """keys.E001: the key-encryption key cannot be used. keys.E002: KEK_PUBLIC_FILE cannot be used."""
    found: list[CheckMessage] = []
    if kek.held():
        try:
            kek.current()
            kek.previous()
        except MeterspanError as error:
            hint = "Processes that open no keys need no MSPAN_KEK_FILE and no MSPAN_PKCS11_PIN_FILE at all."
            found.append(Error(str(error), hint=hint, id="keys.E001"))
    if public := settings.KEK_PUBLIC_FILE:
        try:
            Intake.from_file(Path(public))
        except MeterspanError as error:
            found.append(Error(str(error), hint="Set MSPAN_KEK_PUBLIC_FILE to the .pub file.", id="keys.E002"))
    return found


def key_encryption_key_in_a_file(**_: Any) -> list[CheckMessage]:
    """keys.E003: in production the key-encryption key lies in a file, and nobody has said that it may."""
    if settings.DEBUG or settings.ALLOW_FILE_KEK or not settings.KEK_FILE or settings.KEK_PROVIDER != kek.FILE:
        return []
    hint = "Use MSPAN_KEK_PROVIDER=pkcs11, or decide that a file will do with MSPAN_ALLOW_FILE_KEK=1."
    return [Error("The key-encryption key lies in a file on this machine.", hint=hint, id="keys.E003")]


def key_hand_in(**_: Any) -> list[CheckMessage]:
    """keys.W001 (deploy): this process can neither open keys nor take any in."""
    if kek.held() or settings.KEK_PUBLIC_FILE:
        return []
    hint = "Set MSPAN_KEK_PUBLIC_FILE for web workers, MSPAN_KEK_FILE or MSPAN_KEK_PROVIDER for the bridge."
    return [Warning("No key can be issued or handed in by this process.", hint=hint, id="keys.W001")]


def vault_process(**_: Any) -> list[CheckMessage]:
    """keys.W002 (deploy): this process opens no secret and knows no vault. keys.W003: that vault does not answer."""
    if kek.held():
        return []
    if not settings.VAULT_SOCKET:
        hint = "Set MSPAN_VAULT_SOCKET for web workers, and run manage.py run_vault beside them."
        return [Warning("No label that exists can be printed by this process.", hint=hint, id="keys.W002")]
    if answers():
        return []
    hint = "Start manage.py run_vault, and let this process's user in with --allow-uid."
    return [Warning(f"No vault answers at {settings.VAULT_SOCKET}.", hint=hint, id="keys.W003")]
