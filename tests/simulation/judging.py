"""Judges a house from outside: by the frames on its air, and by the readings that can be opened at the end."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapter_agent.simulation.air import Landed
from adapter_agent.simulation.reception import Fate
from meterwire.ids import DevEUI
from meterwire.lorawan.frame import DataFrame, parse
from meterwire.registers import previous_number
from meterwire.seal import InnerKey, ValuesOpener
from meterwire.slots import FREQUENCIES_HZ, Slot
from meterwire.time_entries import PlanEntry
from meterwire.values_telegram import PORT
from tests.adapter_agent.cast import INNER_KEY
from tests.simulation.flat import READ_BEFORE_S, WATT, Flat
from tests.simulation.house import House

IMPORT = 1  # number of 1-0:1.8.0 at input 0


@dataclass(frozen=True)
class Frame:
    """An uplink: whose, on which port (None: no data), when it began (Unix s), whether its sender trusted its slot,
    how much too late it was for the nearest use of that, and whether it lay in it, or in the time that is open to all.
    """

    flat: Flat
    port: int | None
    confirmed: bool
    start: float
    trusted: bool
    offset_s: float
    in_slot: bool
    in_open: bool
    fate: Fate


def frames(house: House, since: float) -> list[Frame]:
    """The data frames that began at `since` or later."""
    flats = {flat.dev_eui: flat for flat in house.flats}
    return [
        _frame(house, flats[one.flight.dev_eui], one, parsed, trusted)
        for one, trusted in house.landed
        if one.flight.unix_start >= since and isinstance(parsed := parse(one.frame), DataFrame)
    ]


def missed(some: Iterable[Frame]) -> list[Frame]:
    """Regular telegrams of senders that trusted their slot, which lay beside it: they may have met anybody's."""
    return [
        one for one in some if one.port == PORT and one.trusted and not (one.confirmed or one.in_slot or one.in_open)
    ]


def fates(some: Iterable[Frame]) -> Counter[str]:
    """How many frames met which fate where: "slot collided", "open received", "outside deaf" and so on."""
    return Counter(f"{_where(one)} {one.fate.value}" for one in some)


def delivered(house: House, since: float, until: float) -> tuple[int, int]:
    """(readings that arrived, readings expected) of the slots that began in that time."""
    arrived = {one for one in _readings(house) if since <= one[1] < until}
    return len(arrived), sum(len(list(_uses(flat.slot, since, until))) for flat in house.flats)


def _readings(house: House) -> Iterator[tuple[str, float]]:
    """(adapter, begin of the slot that it was meant for) of all readings that can be opened, previous ones too."""
    slots = {flat.dev_eui: flat.slot for flat in house.flats}
    for telegram in house.telegrams:
        if telegram.fport != PORT or telegram.counter is None:
            continue
        opener = ValuesOpener(InnerKey(INNER_KEY, 4), DevEUI.parse(telegram.dev_eui))
        values = {one.register: one.value for one in opener.open(telegram.payload, telegram.counter)}
        value = values.get(IMPORT)
        if value is None:
            continue
        yield telegram.dev_eui, _meant_for(slots[telegram.dev_eui], value)
        growth = values.get(previous_number(0))
        if growth is not None:
            yield telegram.dev_eui, _meant_for(slots[telegram.dev_eui], value - growth)


def _meant_for(slot: Slot, watt_hours: int) -> float:
    """The begin of the slot nearest to the moment at which the meter showed that, and spoke before it."""
    moment = watt_hours * 3600 / WATT + READ_BEFORE_S
    return slot.begin(moment - slot.period_s / 2)


def _uses(slot: Slot, since: float, until: float) -> Iterator[float]:
    begin = slot.begin(since)
    while begin < until:
        yield begin
        begin += slot.period_s


def _frame(house: House, flat: Flat, landed: Landed, parsed: DataFrame, trusted: bool) -> Frame:
    flight, slot = landed.flight, flat.slot
    window = slot.window(flight.unix_end, flight.end - flight.start)
    as_planned = (FREQUENCIES_HZ[slot.channel], slot.data_rate) == (landed.freq_hz, landed.dr)
    return Frame(
        flat,
        parsed.fport,
        parsed.confirmed,
        flight.unix_start,
        trusted,
        window.offset_s,
        window.inside and as_planned,
        _is_open(house.plan, landed),
        landed.fates[0],
    )


def _where(frame: Frame) -> str:
    if frame.in_slot:
        return "slot"
    return "open" if frame.in_open else "outside"


def _is_open(plan: PlanEntry, landed: Landed) -> bool:
    """Whether the frame began in open time."""
    when = plan.open_time
    if when is None:
        return False
    return (landed.flight.unix_start - when.phase_ms / 1000) % when.period_s < when.length_ms / 1000
