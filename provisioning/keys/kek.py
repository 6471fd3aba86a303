"""The key-encryption key of this process: which provider the settings name, and the one before while it is replaced."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from django.conf import settings

from provisioning.keys.providers.base import (
    NONCE_BYTES,
    KekAway,
    KekMissing,
    KekProvider,
    KeyDamaged,
    VaultLocked,
)
from provisioning.keys.providers.file import KEK_BYTES, FileKek, create, fault

__all__ = [
    "FILE",
    "KEK_BYTES",
    "NONCE_BYTES",
    "PKCS11",
    "FileKek",
    "KekAway",
    "KekMissing",
    "KekProvider",
    "KeyDamaged",
    "VaultLocked",
    "create",
    "current",
    "fault",
    "held",
    "previous",
]

FILE: Final = "file"
PKCS11: Final = "pkcs11"


def held() -> bool:
    """Whether this process was given a key-encryption key; it need not work at the moment."""
    return bool(settings.PKCS11["pin_file"] if settings.KEK_PROVIDER == PKCS11 else settings.KEK_FILE)


def current() -> KekProvider:
    """What new data keys are wrapped with. Raises VaultLocked when this process has none, or it cannot be used."""
    if not held():
        raise VaultLocked(
            "This process has no key-encryption key and opens no device key;"
            " set MSPAN_KEK_FILE or MSPAN_PKCS11_PIN_FILE for the bridge and for commands that need it."
        )
    return _provider(settings.KEK_PROVIDER, settings.KEK_FILE, settings.PKCS11)


def previous() -> KekProvider | None:
    """What data keys were wrapped with before, until kek_rotate has reached them all; None when none is named."""
    if not settings.OLD_KEK_PROVIDER:
        return None
    return _provider(settings.OLD_KEK_PROVIDER, settings.OLD_KEK_FILE, settings.OLD_PKCS11)


def _provider(name: str, path: str, pkcs11: Mapping[str, str]) -> KekProvider:
    if name == FILE:
        return FileKek(Path(path))
    if name != PKCS11:
        raise VaultLocked(f"MSPAN_KEK_PROVIDER is {name!r}; it can be {FILE} or {PKCS11}.")
    # Here, so that an installation without such hardware loads no PKCS#11 library.
    from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek

    return Pkcs11Kek.at(KekPlace.of(pkcs11))
