"""From sealed bytes to values: which key, which full counter, and what stays sealed because the key is not ours."""

from collections.abc import Iterable, Iterator

from meterwire.errors import FormatError, MeterspanError, TagMismatch
from meterwire.seal import ValuesOpener
from meterwire.values_telegram import HEADER_LENGTH, PORT, parse_values, restore_counter
from portal.telemetry.arrivals import Arrival

# Ports that travel between our own devices (design 5.1); those without a step of their own are kept as they came.
OUR_PORTS = frozenset({16, 17, 18, 19, 32, 33, 34, 200, 201, 202})


def find_keys(arrivals: Iterable[Arrival]) -> None:
    """Give each values telegram its opener, or let it stay sealed when its key is shared with somebody else."""
    for arrival in arrivals:
        adapter = arrival.adapter
        if adapter is None or arrival.error is not None or adapter.foreign:
            continue
        telegram = arrival.telegram
        if telegram.fport != PORT:
            if telegram.fport not in OUR_PORTS:
                arrival.error = "foreign_port"
            continue
        if len(telegram.payload) < HEADER_LENGTH:
            arrival.error = FormatError.code
            continue
        slot = arrival.slot = telegram.payload[0] & 7
        held = adapter.openers.get(slot)
        if held is not None:
            if held[1] <= arrival.received_us < held[2]:
                arrival.opener = held[0]
            else:
                arrival.error = "no_valid_key"
        elif slot in adapter.refusals:
            arrival.error = adapter.refusals[slot]
        elif adapter.keyless or slot in adapter.sealed_slots:
            arrival.sealed = True
        else:
            arrival.error = "unknown_key_slot"


def open_values(arrivals: Iterable[Arrival]) -> None:
    """Open what has an opener; name the registers and the likely counter of what stays sealed."""
    for arrival in arrivals:
        opener = arrival.opener
        if opener is None:
            if arrival.sealed and arrival.error is None:
                _keep_sealed(arrival)
            continue
        telegram = arrival.telegram
        payload, counter = telegram.payload, telegram.counter
        if counter is None or counter & 0xFFFF != payload[1] << 8 | payload[2]:
            counter = next(_candidates(arrival))
        try:
            arrival.values = opener.open_raw(payload, counter)
            arrival.counter = counter
        except TagMismatch:
            _try_others(arrival, opener, counter)
        except MeterspanError as error:
            arrival.error = error.code


def _candidates(arrival: Arrival) -> Iterator[int]:
    """Counters with the telegram's low half, likeliest first; at least one.

    The concentrator's, the next after the last known, the one before that, the next after the last reported.
    """
    telegram, adapter = arrival.telegram, arrival.adapter
    assert adapter is not None
    low = telegram.payload[1] << 8 | telegram.payload[2]
    if telegram.counter is not None and telegram.counter & 0xFFFF == low:
        yield telegram.counter
    restored = restore_counter(low, adapter.last_counter + 1)
    yield from (counter for counter in (restored, restored - 0x10000) if 0 <= counter <= 0xFFFFFFFF)
    if adapter.reported >= 0 and (counter := restore_counter(low, adapter.reported)) <= 0xFFFFFFFF:
        yield counter


def _try_others(arrival: Arrival, opener: ValuesOpener, tried: int) -> None:
    for counter in _candidates(arrival):
        if counter == tried:
            continue
        try:
            arrival.values = opener.open_raw(arrival.telegram.payload, counter)
        except TagMismatch:
            continue
        arrival.counter = counter
        return
    arrival.error = TagMismatch.code


def _keep_sealed(arrival: Arrival) -> None:
    """Nothing is proven here: the counter is the concentrator's word, or the next one that fits."""
    try:
        telegram = parse_values(arrival.telegram.payload)
    except FormatError as error:
        arrival.error = error.code
        return
    arrival.values = [(register, None) for register, _ in telegram.registers or ()]
    arrival.counter = next(_candidates(arrival))
