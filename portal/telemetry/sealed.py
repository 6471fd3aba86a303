"""Organisations that store no clear value: the telegram keeps its values, the readings only say that they exist."""

from collections.abc import Iterable

from meterwire.ids import DevEUI
from meterwire.resting import rest
from meterwire.values_telegram import HEADER_LENGTH, PORT, Mode
from portal.telemetry.arrivals import Arrival
from portal.telemetry.directory import Directory

_ENCRYPTED = frozenset({Mode.VALUES, Mode.ALL})


def keep(arrivals: Iterable[Arrival], directory: Directory) -> None:
    """Take the opened values out of the readings and name the key under which the telegram keeps them.

    An accepted clear telegram (mode 3) is encrypted to rest; of a refused one only the first three bytes are kept.
    """
    for arrival in arrivals:
        if not arrival.source.keeps_sealed:
            continue
        opened = arrival.error is None and arrival.opener is not None and arrival.readings is not None
        if clear(arrival):
            _put_to_rest(arrival, directory, opened)
        if opened:
            _take_values(arrival)


def clear(arrival: Arrival) -> bool:
    """Whether anybody can read the register values of a telegram as it came."""
    adapter, telegram = arrival.adapter, arrival.telegram
    if telegram.fport != PORT or (adapter is not None and adapter.foreign):
        return False
    return is_clear(telegram.payload)


def is_clear(payload: bytes) -> bool:
    """The same of a payload that is known to be a values telegram."""
    return bool(payload) and Mode(payload[0] >> 4 & 3) not in _ENCRYPTED


def _put_to_rest(arrival: Arrival, directory: Directory, opened: bool) -> None:
    adapter, payload = arrival.adapter, arrival.telegram.payload
    if not opened:
        arrival.stored = payload[:HEADER_LENGTH]
        return
    assert adapter is not None
    assert arrival.slot is not None
    assert arrival.counter is not None
    values = [(register, value) for register, value in arrival.values or () if value is not None]
    key = directory.resting(adapter, arrival.slot)
    arrival.stored = rest(key, DevEUI.parse(adapter.dev_eui), payload, arrival.counter, values)


def _take_values(arrival: Arrival) -> None:
    assert arrival.adapter is not None
    assert arrival.slot is not None
    assert arrival.readings is not None
    arrival.key = arrival.adapter.openers[arrival.slot][3]
    arrival.readings = [(register, None, measured, point) for register, _, measured, point in arrival.readings]
