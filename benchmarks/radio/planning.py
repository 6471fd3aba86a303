"""Fills a concentrator with the portal's allocator: 2 ms quanta, reserve and beacon included, nobody is moved."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from benchmarks.radio.access import Plan
from benchmarks.radio.sites import Meters
from meterwire.lorawan.airtime import airtime_s
from meterwire.slots import DEFAULT_QUANTUM_MS, FRAME_S, length_ms
from provisioning.slots.allocator import Allocator, Closed, Place, Rate, Signal

GUARD_MS: Final = 20
RESERVE: Final = 0.025  # of the time, for joins, confirmations and frames with keys
BEACON_SIZE: Final = 21
BEACON_DATA_RATE: Final = 0  # what the farthest adapter hears
SLOWEST: Final = 12  # spreading factor of data rate 0
MINUTE_MS: Final = 60_000
MINUTES: Final = FRAME_S // 60
CONCENTRATOR: Final = "concentrator"
LEVEL_ERROR_DB: Final = 0.3  # of a mean over a day: 3 dB of fading, 96 frames
NEW_LEVEL_ERROR_DB: Final = 1.0  # over the ten frames or so before a slot is given


def fill(meters: Meters, size: int, *, guard_ms: int = GUARD_MS, minutes: int = MINUTES) -> Plan:
    """Slots for `size` octets every 900 s, given to `meters` one after the other until the first is refused.

    `minutes` of the frame take part, the others are closed: an excerpt for what takes long.
    """
    wished = [Rate(length_ms(size, SLOWEST - sf, guard_ms)) for sf in meters.spreading_factor.tolist()]
    return _plan(list(_placed(_allocator(minutes), wished)), guard_ms)


def overfill(
    meters: Meters, size: int, overload: float, rng: np.random.Generator, *, minutes: int = MINUTES
) -> tuple[Meters, Plan, int]:
    """As `fill`, then `overload` times as many more, placed over others at the data rate at which that does least harm.

    The meters placed, at the rates they got, their slots, and how many of them were there first. Levels are known as
    well as a concentrator knows them: by a day of frames, or by those of a pairing.
    """
    allocator = _allocator(minutes)
    known = _known(meters, LEVEL_ERROR_DB, rng)
    wished = [
        Rate(length_ms(size, SLOWEST - sf, GUARD_MS), Signal(sf, level, GUARD_MS))
        for sf, level in zip(meters.spreading_factor.tolist(), known, strict=True)
    ]
    places = list(_placed(allocator, wished))
    fitting = len(places)
    given = meters.spreading_factor[: fitting + round(overload * fitting)].copy()
    just_heard = _known(meters, NEW_LEVEL_ERROR_DB, rng)
    for device in range(fitting, len(given)):
        slower = range(int(given[device]), SLOWEST + 1)
        rates = [
            Rate(length_ms(size, SLOWEST - sf, GUARD_MS), Signal(sf, just_heard[device], GUARD_MS)) for sf in slower
        ]
        squeezed = allocator.squeeze(device, CONCENTRATOR, rates)
        given[device] += squeezed.chosen
        places.append(squeezed.place)
    return Meters(given, meters.power_dbm[: len(given)]), _plan(places, GUARD_MS), fitting


def _allocator(minutes: int) -> Allocator:
    rest = [Closed(minute * MINUTE_MS, FRAME_S, MINUTE_MS) for minute in range(minutes, MINUTES)]
    return Allocator(DEFAULT_QUANTUM_MS, RESERVE, BEACON, rest)


def _plan(places: list[Place], guard_ms: int) -> Plan:
    return Plan(
        np.array([place.channel for place in places]),
        np.array([place.phase_ms for place in places]) / 1000,
        guard_ms / 1000,
        beacons=((0.0, BEACON.length_ms / 1000),),
    )


def _known(meters: Meters, error_db: float, rng: np.random.Generator) -> list[int]:
    return [round(level) for level in (meters.power_dbm + rng.normal(0, error_db, len(meters))).tolist()]


def _placed(allocator: Allocator, wished: Iterable[Rate]) -> Iterator[Place]:
    for device, rate in enumerate(wished):
        place = allocator.add(device, CONCENTRATOR, rate.length_ms, signal=rate.signal)
        if place is None:
            return
        yield place


def _beacon_ms() -> int:
    exact = airtime_s(BEACON_SIZE, BEACON_DATA_RATE, uplink=False) * 1000
    return -(-int(exact + 1) // DEFAULT_QUANTUM_MS) * DEFAULT_QUANTUM_MS


BEACON: Final = Closed(0, FRAME_S, _beacon_ms())
