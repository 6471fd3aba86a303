"""The content of the key file: JSON, sealed by whoever writes it."""

from collections.abc import Mapping
from typing import Final

import msgspec

from concentrator_agent.keys.exchange import Exchange, Stage
from concentrator_agent.keys.held import DeviceKeys
from meterwire.curves import Curve, PrivateKey
from meterwire.errors import FormatError, MeterspanError
from meterwire.key_messages import Place
from meterwire.keymemory import KeyEntry, Standing
from meterwire.seal import InnerKey

PURPOSE: Final = "inner"


class _Key(msgspec.Struct, frozen=True):
    slot: int
    key: bytes
    tag_length: int
    partner: str
    not_before: float | None
    not_after: float | None
    standing: int
    retired: float | None = None

    def __repr__(self) -> str:
        return f"_Key(slot {self.slot}, hidden)"


class _Exchange(msgspec.Struct, frozen=True):
    seq: int
    place: int
    not_before: int | None
    not_after: int | None
    shared: bytes
    begun_at: float
    due_at: float
    curve: str
    private: bytes
    stage: Stage
    check: bytes
    attempts: int
    reason: str
    told: bool

    def __repr__(self) -> str:
        return f"_Exchange({self.seq}, hidden)"


class _Device(msgspec.Struct, frozen=True):
    keys: list[_Key] = []
    exchange: _Exchange | None = None


def encode(devices: Mapping[str, DeviceKeys]) -> bytes:
    return msgspec.json.encode(
        {
            dev_eui: _Device([_key(entry, held.retired.get(entry.slot)) for entry in held.entries], _of(held.exchange))
            for dev_eui, held in devices.items()
        }
    )


def decode(content: bytes) -> dict[str, DeviceKeys]:
    """FormatError, whose message shows nothing of it."""
    try:
        devices = msgspec.json.decode(content, type=dict[str, _Device])
        return {
            dev_eui: DeviceKeys(
                tuple(_entry(key) for key in one.keys),
                {key.slot: key.retired for key in one.keys if key.retired is not None},
                None if one.exchange is None else _exchange(one.exchange),
            )
            for dev_eui, one in devices.items()
        }
    except (msgspec.DecodeError, ValueError, MeterspanError):
        raise FormatError("the key file is not readable: restore it, or let the portal order new keys") from None


def _key(entry: KeyEntry, retired: float | None) -> _Key:
    return _Key(
        entry.slot,
        entry.key.reveal(),
        entry.key.tag_length,
        entry.partner,
        entry.not_before,
        entry.not_after,
        int(entry.standing),
        retired,
    )


def _entry(key: _Key) -> KeyEntry:
    inner = InnerKey(key.key, key.tag_length)
    return KeyEntry(key.slot, inner, PURPOSE, key.partner, key.not_before, key.not_after, Standing(key.standing))


def _of(exchange: Exchange | None) -> _Exchange | None:
    if exchange is None:
        return None
    private = exchange.private
    return _Exchange(
        exchange.seq,
        exchange.place.octet,
        exchange.not_before,
        exchange.not_after,
        exchange.shared,
        exchange.begun_at,
        exchange.due_at,
        "" if private is None else private.curve.value,
        b"" if private is None else private.reveal(),
        exchange.stage,
        exchange.check,
        exchange.attempts,
        exchange.reason,
        exchange.told,
    )


def _exchange(one: _Exchange) -> Exchange:
    return Exchange(
        one.seq,
        Place.of(one.place),
        one.not_before,
        one.not_after,
        one.shared,
        one.begun_at,
        one.due_at,
        PrivateKey(Curve(one.curve), one.private) if one.private else None,
        one.stage,
        one.check,
        one.attempts,
        one.reason,
        one.told,
    )
