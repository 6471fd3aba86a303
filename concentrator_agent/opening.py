"""Opens values telegrams whose key an adapter shares with this concentrator [0087][0239]; all others stay sealed."""

import logging
import sqlite3
from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from concentrator_agent import store
from concentrator_agent.keys.ring import KeyRing
from edge.outbox import Entry
from meterwire import messages
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.keymemory import KeyEntry, Standing
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.plan import FrequencyPlanError
from meterwire.messages import Telegram, TimeQuality
from meterwire.registers import AGE, REGISTERS, split_number
from meterwire.seal import ValuesOpener

log = logging.getLogger(__name__)

KIND: Final = "values"
SCHEMA_VERSION: Final = 1
FRAME_OVERHEAD: Final = 13  # PHYPayload minus application payload, without FOpts
UNHEARD: Final = frozenset({Standing.TRIAL, Standing.UNPROVEN})
MAX_AGE_S: Final = 400 * 86_400  # no adapter buffers longer

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Opened(NamedTuple):
    """The values of one telegram for the target. `first`: its key was on trial until now."""

    dev_eui: str
    counter: int
    slot: int
    first: bool
    entry: Entry


class Opening:
    """Keeps the ciphers and last counters of at most `limit` devices; `read` is the store as committed."""

    def __init__(self, ring: KeyRing, read: sqlite3.Connection, limit: int) -> None:
        self._ring = ring
        self._read = read
        self._limit = limit
        self._openers: OrderedDict[tuple[str, int], tuple[KeyEntry, ValuesOpener]] = OrderedDict()
        self._last: OrderedDict[str, int] = OrderedDict()
        self.failed = 0

    def open(self, telegram: Telegram, counter: int, received_at: float) -> Opened | None:
        """None for a slot whose key is not ours or not proved valid then, an old counter, and what does not open."""
        if not telegram.payload:
            return None
        dev_eui, slot = telegram.dev_eui, telegram.payload[0] & 7
        key = self._ring.of(dev_eui).held(slot)
        if key is None or counter <= self._counter(dev_eui):
            return None
        if not key.valid_at(_date(received_at, telegram.time_quality)):
            return None
        try:
            values = self._opener(dev_eui, key).open_raw(telegram.payload, counter)
        except MeterspanError as error:
            self.failed += 1
            log.debug("a telegram does not open", extra={"dev_eui": dev_eui, "slot": slot, "code": error.code})
            return None
        self._remember(dev_eui, counter)
        entry = Entry(telegram.id, KIND, received_at, body(telegram, counter, received_at, values))
        return Opened(dev_eui, counter, slot, key.standing in UNHEARD, entry)

    def forget(self, dev_eui: str) -> None:
        """The last telegrams were not stored: what is known of the device is read anew."""
        self._last.pop(dev_eui, None)

    def _counter(self, dev_eui: str) -> int:
        last = self._last.get(dev_eui)
        return store.opened(self._read, dev_eui) if last is None else last

    def _remember(self, dev_eui: str, counter: int) -> None:
        self._last[dev_eui] = counter
        self._last.move_to_end(dev_eui)
        if len(self._last) > self._limit:
            self._last.popitem(last=False)

    def _opener(self, dev_eui: str, key: KeyEntry) -> ValuesOpener:
        found = self._openers.get((dev_eui, key.slot))
        if found is None or found[0].key != key.key:
            found = key, ValuesOpener(key.key, DevEUI.parse(dev_eui))
        self._openers[dev_eui, key.slot] = found
        self._openers.move_to_end((dev_eui, key.slot))
        if len(self._openers) > self._limit:
            self._openers.popitem(last=False)
        return found[1]


def body(telegram: Telegram, counter: int, received_at: float, values: list[tuple[int, int]]) -> bytes:
    """The JSON for another system (docs/formats.md): exact numbers in their unit, without the dating registers."""
    age = next((value for register, value in values if register & 31 == AGE), 0)
    measured = received_at - _airtime(telegram) - min(age, MAX_AGE_S)
    return _encode(
        {
            "v": SCHEMA_VERSION,
            "id": telegram.id,
            "dev_eui": telegram.dev_eui,
            "counter": counter,
            "received_at": telegram.received_at,
            "measured_at": messages.timestamp(max(measured, 0.0)),
            "time_quality": telegram.time_quality,
            "values": [_value(register, value) for register, value in values if _is_measured(register)],
        }
    )


def _is_measured(register: int) -> bool:
    index = register & 31
    return index != AGE and index in REGISTERS


def _value(number: int, value: int) -> dict[str, object]:
    index, input_ = split_number(number)
    register = REGISTERS[index]
    quantity = register.quantity(value)
    return {"obis": register.obis, "name": register.name, "input": input_, "value": quantity, "unit": register.unit}


def _date(received_at: float, quality: TimeQuality) -> float | None:
    return None if quality == "none" else received_at


def _airtime(telegram: Telegram) -> float:
    try:
        return airtime_s(len(telegram.payload) + FRAME_OVERHEAD, telegram.dr)
    except FrequencyPlanError:
        return 0.0
