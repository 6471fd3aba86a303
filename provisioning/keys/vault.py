"""The vault: the only place where stored device keys become keys again.

KEK (outside the database) -> data key per organisation -> device key, each step AES-GCM bound to its context.
"""

import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography.exceptions import InvalidTag
from django.conf import settings

from meterwire.seal import InnerKey, Key16
from provisioning.keys import kek
from provisioning.keys.context import INTAKE, SECRET, SYSTEM, VAULT, WAITING, context, secret_context, waiting_context
from provisioning.keys.data_keys import DataKeys
from provisioning.keys.intake import Intake, open_intake
from provisioning.keys.kek import NONCE_BYTES, KekProvider, KeyDamaged
from provisioning.keys.models import DataKey, DeviceKey
from provisioning.keys.waiting import open_waiting

_HEAD = struct.Struct(">BI")  # form, version of the data key
T = TypeVar("T")


class Sealer(Protocol):
    """Puts keys away: the vault itself, or the intake of a process that cannot open any."""

    intake: bool

    def seal(self, row: DeviceKey, key: Key16) -> bytes:
        """The sealed form of `key` for the place that `row` names (it need not be saved yet)."""


class Vault:
    """Opens and seals device keys. Holds the data keys it has used in memory; make one per process."""

    intake = False

    def __init__(self, present: KekProvider, before: KekProvider | None = None) -> None:
        """`before`: the key-encryption key that is being replaced; what it wrapped opens too."""
        self._providers = (present,) if before is None else (present, before)
        self.data_keys = DataKeys(self._providers)

    @classmethod
    def from_settings(cls) -> "Vault":
        """The vault of this process. Raises VaultLocked when it was given no key-encryption key."""
        return cls(kek.current(), kek.previous())

    @property
    def kek_id(self) -> str:
        """Which key-encryption key new data keys are wrapped with."""
        return self._providers[0].kek_id

    def seal(self, row: DeviceKey, key: Key16) -> bytes:
        """The sealed form of `key`: form 1, data key version 4, nonce 12, ciphertext 16, tag 16."""
        return self._seal(VAULT, row.organisation_id, key.reveal(), context(row, VAULT))

    def open(self, row: DeviceKey) -> Key16:
        """The key of a row. Raises KeyDamaged, also for a destroyed key or one under an unknown data key."""
        return Key16(self._open_row(row))

    def open_inner(self, row: DeviceKey) -> InnerKey:
        """The key of a row together with its tag length, for ValuesOpener. Raises KeyDamaged."""
        return InnerKey(self._open_row(row), row.tag_length)

    def seal_secret(self, secret: bytes, place: bytes, organisation_id: int | None = None) -> bytes:
        """Another secret for the place that `place` names, such as an ephemeral private key: its kind, row and column.

        Under the organisation's data key as device keys are (33 bytes longer than the secret), or without one under the
        key-encryption key (then at most 2,048 bytes of secret; not on a hot path). Register its rows with
        provisioning.keys.holdings, so that they follow when keys are replaced.
        """
        if organisation_id is not None:
            return self._seal(SECRET, organisation_id, secret, secret_context(place, SECRET))
        name = self.kek_id.encode()
        head = bytes([SYSTEM, len(name)]) + name
        return head + self._providers[0].wrap(secret, head + secret_context(place, SYSTEM))

    def open_secret(self, sealed: bytes, place: bytes, organisation_id: int | None = None) -> bytes:
        """What seal_secret sealed for that place and organisation. Raises KeyDamaged, KekMissing, KekAway."""
        if organisation_id is not None:
            return self._open(SECRET, organisation_id, sealed, secret_context(place, SECRET), "secret")
        end = 2 + (sealed[1] if len(sealed) > 1 and sealed[0] == SYSTEM else 0)
        head, body = sealed[:end], sealed[end:]
        try:
            provider = self.data_keys.provider(head[2:].decode("ascii"))
        except UnicodeDecodeError:
            raise KeyDamaged("A stored secret does not open; restore or replace it.") from None
        return provider.unwrap(body, head + secret_context(place, SYSTEM))

    def open_waiting(self, sealed: bytes, place: bytes) -> bytes:
        """What a WaitingSealer sealed for `place`, such as an owner token. Raises KeyDamaged."""
        return self._with_intake(lambda private: open_waiting(private, sealed, place))

    def _open_row(self, row: DeviceKey) -> bytes:
        sealed = bytes(row.sealed)
        if sealed[:1] == bytes([INTAKE]):
            return self._with_intake(lambda private: open_intake(private, row))
        if sealed[:1] == bytes([WAITING]):
            return self.open_waiting(sealed, _waiting_place(row))
        return self._open(VAULT, row.organisation_id, sealed, context(row, VAULT), f"{row.purpose} key {row.pk}")

    def _seal(self, form: int, organisation_id: int, secret: bytes, bound: bytes) -> bytes:
        data_key = self.data_keys.newest(organisation_id)
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = _HEAD.pack(form, data_key.version)
        return head + nonce + data_key.cipher.encrypt(nonce, secret, head + bound)

    def _open(self, form: int, organisation_id: int, sealed: bytes, bound: bytes, name: str) -> bytes:
        head, nonce, body = sealed[:5], sealed[5 : 5 + NONCE_BYTES], sealed[5 + NONCE_BYTES :]
        try:
            found, version = _HEAD.unpack(head)
            if found != form:
                raise ValueError
            known = self.data_keys.known(organisation_id, version)
            if known is not None:
                try:
                    return known.cipher.decrypt(nonce, body, head + bound)
                except InvalidTag:
                    pass  # the data key may have been read inside a transaction that was rolled back: read it again
            stored = self.data_keys.stored(organisation_id, version)
            if stored is known:
                raise InvalidTag
            return stored.cipher.decrypt(nonce, body, head + bound)
        except (struct.error, InvalidTag, ValueError, DataKey.DoesNotExist):
            raise KeyDamaged(f"The stored {name} does not open; restore or replace it.") from None

    def _with_intake(self, opened: Callable[[bytes], T]) -> T:
        *first, last = self._providers
        for provider in first:
            try:
                return opened(provider.intake_private())
            except KeyDamaged:
                pass  # handed in for the key-encryption key before
        return opened(last.intake_private())


def sealer() -> Sealer:
    """What this process can put keys away with: the vault, else the intake. Raises VaultLocked when it has neither."""
    public = settings.KEK_PUBLIC_FILE
    if kek.held() or not public:
        return Vault.from_settings()
    return Intake.from_file(Path(public))


def _waiting_place(row: DeviceKey) -> bytes:
    return waiting_context(row.organisation_id, row.adapter.dev_eui, row.version, row.purpose, row.partner)
