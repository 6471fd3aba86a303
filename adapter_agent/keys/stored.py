"""How an adapter's keys lie in their sealed file: JSON, a superset of what earlier releases kept there."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from adapter_agent.keys.holding import MAX_PARTNERS, Candidate, Holding, Partner
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI, JoinEUI
from meterwire.key_messages import MAX_PAYLOAD, Place
from meterwire.keymemory import SLOTS, KeyEntry, KeyMemory, Standing
from meterwire.seal import InnerKey, Key16

Hex16 = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{32}$")]
Eui = Annotated[str, Meta(max_length=32)]
Slot = Annotated[int, Meta(ge=0, lt=SLOTS)]
Name = Annotated[str, Meta(max_length=40)]
_Payload = Annotated[str, Meta(max_length=2 * MAX_PAYLOAD)]


class KeyStoreError(MeterspanError):
    """Keys or counter are missing, damaged or another adapter's: provision the adapter."""

    code = "keystore"


class InnerKeyRow(Struct, forbid_unknown_fields=True):
    """A key of the key memory, as the hand-over file gives it."""

    slot: Slot
    key: Hex16
    tag_length: Literal[4, 8] = 4
    purpose: Name = "inner"
    partner: Name = "portal"
    not_before: datetime | None = None
    not_after: datetime | None = None

    def entry(self, standing: Standing = Standing.PROVEN) -> KeyEntry:
        """KeyStoreError, ValueOutOfRange."""
        key = InnerKey(bytes.fromhex(self.key), self.tag_length)
        begin, end = self._unix(self.not_before), self._unix(self.not_after)
        return KeyEntry(self.slot, key, self.purpose, self.partner, begin, end, standing)

    def _unix(self, moment: datetime | None) -> float | None:
        if moment is None:
            return None
        if moment.tzinfo is None:
            raise KeyStoreError(
                f"the validity of the key in slot {self.slot} names no time zone; ask for a new hand-over file"
            )
        return moment.timestamp()


class MeterKeyRow(Struct, forbid_unknown_fields=True):
    """The key with which the meter at `input` encrypts by itself."""

    input: Slot
    key: Hex16


class _HeldKey(InnerKeyRow):
    standing: Standing = Standing.PROVEN
    tried_since: float | None = None


class _HeldCandidate(Struct):
    place: Annotated[int, Meta(ge=0x10, le=0xFF)]
    seq: int
    key: Hex16


class _HeldPartner(Struct):
    partner: Name
    slot: Slot
    key: Hex16
    seq: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0
    request: _Payload = ""
    answer: _Payload = ""
    told: bool = True
    candidate: _HeldCandidate | None = None


class _Held(Struct):
    dev_eui: Eui
    join_eui: Eui
    root_key: Hex16 | None = None
    inner_keys: Annotated[tuple[_HeldKey, ...], Meta(max_length=SLOTS)] = ()
    transport_keys: Annotated[tuple[_HeldPartner, ...], Meta(max_length=MAX_PARTNERS + 1)] = ()
    meter_keys: Annotated[tuple[MeterKeyRow, ...], Meta(max_length=SLOTS)] = ()


def encode(holding: Holding, dev_eui: DevEUI, join_eui: JoinEUI) -> bytes:
    """What is sealed."""
    return msgspec.json.encode(
        _Held(
            str(dev_eui),
            str(join_eui),
            None if holding.root is None else holding.root.reveal().hex(),
            tuple(_held_key(entry, holding.trials.get(entry.slot)) for entry in holding.inner),
            tuple(_held_partner(partner) for partner in holding.partners),
            tuple(MeterKeyRow(input_, key.reveal().hex()) for input_, key in holding.meters.items()),
        )
    )


def decode(content: bytes, source: str) -> tuple[Holding, DevEUI, JoinEUI]:
    """The keys and whose they are. KeyStoreError, whose message shows none."""
    try:
        held = msgspec.json.decode(content, type=_Held)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeyStoreError(f"{source} holds no keys of an adapter: {error}; provision the adapter again") from None
    holding = Holding(
        root_of(held.root_key),
        memory_of(held.inner_keys),
        tuple(_partner(row) for row in held.transport_keys),
        meters_of(held.meter_keys),
        {row.slot: row.tried_since for row in held.inner_keys if row.tried_since is not None},
    )
    return holding, DevEUI.parse(held.dev_eui), JoinEUI.parse(held.join_eui)


def root_of(text: str | None) -> Key16 | None:
    """The root key of its digits."""
    return None if text is None else Key16.parse(text)


def memory_of(rows: tuple[InnerKeyRow, ...] | tuple[_HeldKey, ...]) -> tuple[KeyEntry, ...]:
    """One entry per slot. KeyStoreError, ValueOutOfRange."""
    entries = [row.entry(row.standing if isinstance(row, _HeldKey) else Standing.PROVEN) for row in rows]
    if len({entry.slot for entry in entries}) < len(entries):
        raise KeyStoreError("two keys claim one slot; ask the portal for a new hand-over file")
    return tuple(KeyMemory(*entries))


def meters_of(rows: tuple[MeterKeyRow, ...]) -> dict[int, Key16]:
    """Input to key. KeyStoreError when one has two."""
    meters = {row.input: Key16.parse(row.key) for row in rows}
    if len(meters) < len(rows):
        raise KeyStoreError("two keys claim one meter; ask the portal for a new hand-over file")
    return meters


def _held_key(entry: KeyEntry, tried_since: float | None) -> _HeldKey:
    return _HeldKey(
        entry.slot,
        entry.key.reveal().hex(),
        8 if entry.key.tag_length == 8 else 4,
        entry.purpose,
        entry.partner,
        _moment(entry.not_before),
        _moment(entry.not_after),
        entry.standing,
        tried_since,
    )


def _moment(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)


def _held_partner(partner: Partner) -> _HeldPartner:
    candidate = partner.candidate
    return _HeldPartner(
        partner.name,
        partner.slot,
        partner.transport.reveal().hex(),
        partner.seq,
        partner.request.hex(),
        partner.answer.hex(),
        partner.told,
        None
        if candidate is None
        else _HeldCandidate(candidate.place.octet, candidate.seq, candidate.key.reveal().hex()),
    )


def _partner(row: _HeldPartner) -> Partner:
    candidate = None
    if row.candidate is not None:
        place = Place.of(row.candidate.place)
        candidate = Candidate(place, row.candidate.seq, InnerKey(bytes.fromhex(row.candidate.key), place.tag_length))
    try:
        request, answer = bytes.fromhex(row.request), bytes.fromhex(row.answer)
    except ValueError:
        raise KeyStoreError(f"what {row.partner} was answered is damaged; provision the adapter again") from None
    return Partner(row.partner, row.slot, Key16.parse(row.key), row.seq, request, answer, row.told, candidate)
