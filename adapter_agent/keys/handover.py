"""The hand-over file that the portal makes at provisioning: an adapter's identity and its first keys."""

import os
import stat
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from adapter_agent.keys.holding import MAX_PARTNERS, PORTAL, PORTAL_SLOT, Holding, Partner
from adapter_agent.keys.stored import (
    Eui,
    Hex16,
    InnerKeyRow,
    KeyStoreError,
    MeterKeyRow,
    Name,
    Slot,
    memory_of,
    meters_of,
    root_of,
)
from meterwire.counter import LIMIT
from meterwire.seal import Key16

MAX_HANDOVER: Final = 64 * 1024


class _TransportKey(Struct, forbid_unknown_fields=True):
    partner: Name
    key: Hex16
    slot: Slot | None = None


class HandOver(Struct, forbid_unknown_fields=True):
    """`counter`: where a replaced adapter's inner counter goes on."""

    dev_eui: Eui
    join_eui: Eui
    root_key: Hex16 | None = None
    inner_keys: Annotated[tuple[InnerKeyRow, ...], Meta(max_length=8)] = ()
    transport_keys: Annotated[tuple[_TransportKey, ...], Meta(max_length=MAX_PARTNERS)] = ()
    meter_keys: Annotated[tuple[MeterKeyRow, ...], Meta(max_length=8)] = ()
    counter: Annotated[int, Meta(ge=0, lt=LIMIT)] = 0

    def holding(self) -> Holding:
        """The keys. KeyStoreError, ValueOutOfRange for what no adapter can hold."""
        root, inner = root_of(self.root_key), memory_of(self.inner_keys)
        return Holding(root, inner, _partners(self.transport_keys), meters_of(self.meter_keys))


def read(path: Path) -> HandOver:
    """KeyStoreError for what is no hand-over file, or one that others can read."""
    try:
        return msgspec.json.decode(_content(path), type=HandOver)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeyStoreError(f"{path} is no hand-over file of the portal: {error}") from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise KeyStoreError(f"{path} holds keys and is open to others; run: chmod 600 {path}")
            content = file.read(MAX_HANDOVER + 1)
    except OSError as error:
        raise KeyStoreError(f"{path} cannot be read ({error.strerror})") from None
    if len(content) > MAX_HANDOVER:
        raise KeyStoreError(f"{path} is over {MAX_HANDOVER} bytes; this is no hand-over file")
    return content


def _partners(rows: tuple[_TransportKey, ...]) -> tuple[Partner, ...]:
    free = [slot for slot in range(1, MAX_PARTNERS) if slot not in {row.slot for row in rows}]
    partners: list[Partner] = []
    for row in rows:
        slot = PORTAL_SLOT if row.partner == PORTAL else free.pop(0) if row.slot is None and free else row.slot
        if slot is None or (slot == PORTAL_SLOT) != (row.partner == PORTAL):
            raise KeyStoreError(f"the transport key of {row.partner} has no slot; ask for a new hand-over file")
        partners.append(Partner(row.partner, slot, Key16.parse(row.key)))
    if not len(rows) == len({one.name for one in partners}) == len({one.slot for one in partners}):
        raise KeyStoreError("two transport keys claim one partner or slot; ask the portal for a new hand-over file")
    if any(one.transport == other.transport for one in partners for other in partners if one is not other):
        raise KeyStoreError("two partners have the same transport key; ask the portal for a new hand-over file")
    return tuple(partners)
