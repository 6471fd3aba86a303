"""The vault: the only place where stored device keys become keys again.

KEK (outside the database) -> data key per organisation -> device key, each step AES-GCM bound to its context.
"""

import secrets
import struct
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from meterwire.seal import InnerKey, Key16
from provisioning.keys.context import INTAKE, VAULT, WAITING, context, waiting_context
from provisioning.keys.intake import Intake, open_intake
from provisioning.keys.kek import NONCE_BYTES, FileKek, KekProvider, KeyDamaged, VaultLocked
from provisioning.keys.models import DataKey, DeviceKey
from provisioning.keys.waiting import open_waiting

DATA_KEY_BYTES: Final = 32
_HEAD = struct.Struct(">BI")  # form, version of the data key


class Sealer(Protocol):
    """Puts keys away: the vault itself, or the intake of a process that cannot open any."""

    intake: bool

    def seal(self, row: DeviceKey, key: Key16) -> bytes:
        """The sealed form of `key` for the place that `row` names (it need not be saved yet)."""


class Vault:
    """Opens and seals device keys. Holds the data keys it has used in memory; make one per process."""

    intake = False

    def __init__(self, kek: KekProvider) -> None:
        self._kek = kek
        self._ciphers: dict[tuple[int, int], AESGCM] = {}

    @classmethod
    def from_settings(cls) -> "Vault":
        """The vault of this process. Raises VaultLocked when it was given no key-encryption key."""
        if not settings.KEK_FILE:
            raise VaultLocked(
                "This process has no key-encryption key and opens no device key;"
                " set MSPAN_KEK_FILE for the bridge and for commands that need it."
            )
        return cls(FileKek(Path(settings.KEK_FILE)))

    def seal(self, row: DeviceKey, key: Key16) -> bytes:
        """The sealed form of `key`: form 1, data key version 4, nonce 12, ciphertext 16, tag 16."""
        data_key = self._newest(row.organisation_id)
        cipher, version = self._unwrap(data_key), data_key.version
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = _HEAD.pack(VAULT, version)
        return head + nonce + cipher.encrypt(nonce, key.reveal(), head + context(row, VAULT))

    def open(self, row: DeviceKey) -> Key16:
        """The key of a row. Raises KeyDamaged, also for a destroyed key or one under an unknown data key."""
        return Key16(self._open(row))

    def open_inner(self, row: DeviceKey) -> InnerKey:
        """The key of a row together with its tag length, for ValuesOpener. Raises KeyDamaged."""
        return InnerKey(self._open(row), row.tag_length)

    def open_waiting(self, sealed: bytes, place: bytes) -> bytes:
        """What a WaitingSealer sealed for `place`, such as an owner token. Raises KeyDamaged."""
        return open_waiting(self._kek.intake_private(), sealed, place)

    def _open(self, row: DeviceKey) -> bytes:
        sealed = bytes(row.sealed)
        if sealed[:1] == bytes([INTAKE]):
            return open_intake(self._kek.intake_private(), row)
        if sealed[:1] == bytes([WAITING]):
            return open_waiting(self._kek.intake_private(), sealed, _waiting_place(row))
        head, nonce, body = sealed[:5], sealed[5 : 5 + NONCE_BYTES], sealed[5 + NONCE_BYTES :]
        try:
            form, version = _HEAD.unpack(head)
            if form != VAULT:
                raise ValueError
            place = (row.organisation_id, version)
            known = self._ciphers.get(place)
            if known is not None:
                try:
                    return known.decrypt(nonce, body, head + context(row, VAULT))
                except InvalidTag:
                    pass  # the data key may have been read inside a transaction that was rolled back: read it again
            cipher = self._ciphers[place] = self._unwrap(DataKey.objects.get(organisation_id=place[0], version=version))
            return cipher.decrypt(nonce, body, head + context(row, VAULT))
        except (struct.error, InvalidTag, ValueError, DataKey.DoesNotExist):
            raise KeyDamaged(f"The stored {row.purpose} key {row.pk} does not open; restore or replace it.") from None

    def _newest(self, organisation_id: int) -> DataKey:
        """Never remembered: sealing under a data key whose row was rolled back would lose the device key for good."""
        newest = DataKey.objects.filter(organisation_id=organisation_id).order_by("-version").first()
        if newest is not None:
            return newest
        wrapped = self._kek.wrap(secrets.token_bytes(DATA_KEY_BYTES), _data_key_context(organisation_id, 1))
        row, _ = DataKey.objects.get_or_create(
            organisation_id=organisation_id, version=1, defaults={"kek_id": self._kek.kek_id, "wrapped": wrapped}
        )
        return row

    def _unwrap(self, row: DataKey) -> AESGCM:
        return AESGCM(self._kek.unwrap(bytes(row.wrapped), _data_key_context(row.organisation_id, row.version)))


def sealer() -> Sealer:
    """What this process can put keys away with: the vault, else the intake. Raises VaultLocked when it has neither."""
    public = settings.KEK_PUBLIC_FILE
    if settings.KEK_FILE or not public:
        return Vault.from_settings()
    return Intake.from_file(Path(public))


def _waiting_place(row: DeviceKey) -> bytes:
    return waiting_context(row.organisation_id, row.adapter.dev_eui, row.version, row.purpose, row.partner)


def _data_key_context(organisation_id: int, version: int) -> bytes:
    return b"mspan data key v1|" + struct.pack(">QI", organisation_id, version)
