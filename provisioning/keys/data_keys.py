"""Data keys in memory: unwrapped once per process, so that opening a device key asks no hardware."""

import secrets
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from provisioning.keys.models import DataKey
from provisioning.keys.providers.base import KekMissing, KekProvider

DATA_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class OpenDataKey:
    """A data key that can be used; `wrapped` tells whether it still is the one in the database."""

    version: int
    wrapped: bytes
    cipher: AESGCM


class DataKeys:
    """Those that this process has used so far."""

    def __init__(self, providers: tuple[KekProvider, ...]) -> None:
        """`providers`: the present key-encryption key first, then the one before, while it is being replaced."""
        self._providers = {provider.kek_id: provider for provider in reversed(providers)}
        self._present = providers[0]
        self._open: dict[tuple[int, int], OpenDataKey] = {}

    def newest(self, organisation_id: int) -> OpenDataKey:
        """What the organisation seals with, made when it has none yet.

        Its row is read each time: sealing under a data key whose row was rolled back would lose the key for good.
        """
        row = DataKey.objects.filter(organisation_id=organisation_id).order_by("-version").first()
        return self._remembered(row or self.add(organisation_id, 1))

    def known(self, organisation_id: int, version: int) -> OpenDataKey | None:
        """From memory alone."""
        return self._open.get((organisation_id, version))

    def stored(self, organisation_id: int, version: int) -> OpenDataKey:
        """As the database has it now. Raises DataKey.DoesNotExist, KeyDamaged, KekMissing, KekAway."""
        return self._remembered(DataKey.objects.get(organisation_id=organisation_id, version=version))

    def add(self, organisation_id: int, version: int) -> DataKey:
        """A new data key, or the one of that version that somebody else made meanwhile."""
        wrapped = self._present.wrap(secrets.token_bytes(DATA_KEY_BYTES), place(organisation_id, version))
        row, _ = DataKey.objects.get_or_create(
            organisation_id=organisation_id,
            version=version,
            defaults={"kek_id": self._present.kek_id, "wrapped": wrapped},
        )
        return row

    def unwrap(self, row: DataKey) -> bytes:
        """The 32 bytes, with the key-encryption key that the row names."""
        unwrapped = self.provider(row.kek_id).unwrap(bytes(row.wrapped), place(row.organisation_id, row.version))
        if len(unwrapped) != DATA_KEY_BYTES:
            raise ValueError("a data key has 32 bytes")
        return unwrapped

    def provider(self, kek_id: str) -> KekProvider:
        """Raises KekMissing, which names what is needed and what is there."""
        found = self._providers.get(kek_id)
        if found is None:
            raise KekMissing(
                f"This needs the key-encryption key {kek_id}, and this process holds {', '.join(self._providers)};"
                " restore the right one, or name it as the old one (MSPAN_OLD_KEK_*) while it is being replaced."
            )
        return found

    def _remembered(self, row: DataKey) -> OpenDataKey:
        at = (row.organisation_id, row.version)
        found = self._open.get(at)
        if found is None or found.wrapped != bytes(row.wrapped):
            found = self._open[at] = OpenDataKey(row.version, bytes(row.wrapped), AESGCM(self.unwrap(row)))
        return found


def place(organisation_id: int, version: int) -> bytes:
    """What the wrapping of a data key is bound to."""
    return b"mspan data key v1|" + struct.pack(">QI", organisation_id, version)
