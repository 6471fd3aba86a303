"""A house with its plan: mixed data rates, three kinds of places, slots by the product's own allocator."""

from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Final

from adapter_agent.simulation.crystal import Crystal
from benchmarks.clock import CRYSTAL_PPM, PLACES
from meterwire import beacon as beacons
from meterwire.config_records import BeaconRecord, OpenTimeRecord, PreviousRecord, Record
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.eu868 import EU868
from meterwire.slots import DEFAULT_QUANTUM_MS, FRAME_S, Kind, Slot, length_ms
from meterwire.time_entries import BeaconEntry, OpenTimeEntry, PlanEntry
from provisioning.slots.allocator import Allocator
from provisioning.slots.allocator.grid import OPEN_MINUTE, Closed, reserved
from tests.simulation.flat import Flat

RESERVE: Final = 0.025
DATA_RATES: Final = (5, 4, 3, 2, 1, 0)
SHARES: Final = (71, 9, 7, 6, 4, 2)  # the mixed site of the reference
WHERE: Final = (("basement", 6), ("stairwell", 3), ("outdoor", 1))
EACH_S: Final = 72.0  # between two that get power for the first time, as where people install them
BEACON_MARGIN_MS: Final = 20  # before and after, as the portal leaves it free
MARGINS_DB: Final = (7.0, 20.0)  # the weakest lose a frame now and then


@dataclass(frozen=True)
class Planned:
    """What a house is built of: its flats, the concentrator's plan, what stands in everybody's configuration.

    All have power after `within_s`.
    """

    flats: list[Flat]
    plan: PlanEntry
    records: tuple[Record, ...]
    within_s: float


def planned(
    count: int,
    *,
    seed: int = 1,
    guard_ms: int = 60,
    beacon_s: int = 0,
    indoors: bool = True,
    within_s: float | None = None,
) -> Planned:
    """`count` flats with slots every 900 s, all with power after `within_s`; `beacon_s` is its period, 0: no beacon."""
    dice = Random(seed)
    within_s = EACH_S * count if within_s is None else within_s
    beacon = _beacon(beacon_s) if beacon_s else None
    allocator = Allocator(DEFAULT_QUANTUM_MS, RESERVE, downlinks=_closed(beacon) if beacon else ())
    flats = []
    for number in range(1, count + 1):
        data_rate = dice.choices(DATA_RATES, SHARES)[0]
        length = length_ms(Kind.VALUES_PREVIOUS.size, data_rate, guard_ms)
        place = allocator.add(number, "concentrator", length)
        if place is None:
            raise ValueError(f"a house of {count} flats does not fit")
        flats.append(
            Flat(
                number,
                _crystal(dice, indoors),
                Slot(place.channel, place.phase_ms, FRAME_S, data_rate, guard_ms, length, 1),
                margin_db=dice.uniform(*MARGINS_DB),
                starts_s=dice.uniform(0.0, within_s),
                ahead_s=dice.uniform(-30.0, 30.0),
            )
        )
    open_time = OPEN_MINUTE if all(_leaves_open(flat.slot) for flat in flats) else reserved(RESERVE)
    assert open_time is not None
    opened = OpenTimeRecord(open_time.period_s, open_time.phase_ms, open_time.length_ms)
    records: list[Record] = [PreviousRecord(True), opened]
    if beacon is not None:
        records.append(beacon)
    plan = PlanEntry(
        None
        if beacon is None
        else BeaconEntry(beacon.frequency_hz, beacon.data_rate, beacon.period_s, beacon.phase_ms),  # type: ignore[arg-type]
        OpenTimeEntry(opened.period_s, opened.phase_ms, opened.length_ms),  # type: ignore[arg-type]
    )
    return Planned(flats, plan, tuple(records), within_s)


def _leaves_open(slot: Slot) -> bool:
    """Whether a slot lies outside of the minutes that end with the reserve, as those of the portal do at first."""
    return slot.phase_ms % (OPEN_MINUTE.period_s * 1000) + slot.length_ms <= OPEN_MINUTE.phase_ms


def _crystal(dice: Random, indoors: bool) -> Crystal:
    """Cut to CRYSTAL_PPM, in one of the places of the clock benchmark, on one of its days."""
    names, shares = zip(*(where for where in WHERE if not indoors or PLACES[where[0]].indoors), strict=True)
    place = PLACES[dice.choices(names, shares)[0]]
    cut = dice.uniform(-CRYSTAL_PPM, CRYSTAL_PPM) * 1e-6
    return Crystal(cut, 1e-9, place.mean + dice.gauss(0.0, place.slow), place.swing, dice.random())


def _beacon(period_s: int) -> BeaconRecord:
    return BeaconRecord(EU868.rx2_frequency_hz, 3, period_s, 0)


def _closed(beacon: BeaconRecord) -> tuple[Closed, ...]:
    air_ms = ceil(airtime_s(beacons.LENGTH, beacon.data_rate, uplink=False) * 1000)
    return (
        Closed(0, beacon.period_s, air_ms + BEACON_MARGIN_MS),
        Closed(beacon.period_s * 1000 - BEACON_MARGIN_MS, beacon.period_s, BEACON_MARGIN_MS),
    )
