"""Fills a concentrator with the portal's allocator: 2 ms quanta, reserve and beacon included, nobody is moved."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from benchmarks.radio.access import Plan
from benchmarks.radio.sites import Meters
from meterwire.lorawan.airtime import airtime_s
from meterwire.slots import DEFAULT_QUANTUM_MS, FRAME_S, length_ms
from provisioning.slots.allocator import Allocator, Closed, Place

GUARD_MS: Final = 20
RESERVE: Final = 0.025  # of the time, for joins, confirmations and frames with keys
BEACON_SIZE: Final = 21
BEACON_DATA_RATE: Final = 0  # what the farthest adapter hears
SLOWEST: Final = 12  # spreading factor of data rate 0
MINUTE_MS: Final = 60_000
MINUTES: Final = FRAME_S // 60
CONCENTRATOR: Final = "concentrator"


def fill(meters: Meters, size: int, *, guard_ms: int = GUARD_MS, minutes: int = MINUTES, overload: float = 0.0) -> Plan:
    """Slots for `size` octets every 900 s, given to `meters` one after the other until the first is refused.

    Then `overload` times as many more get the place where they overlap others least. `minutes` of the frame take part,
    the others are closed: an excerpt for what takes long.
    """
    beacon = Closed(0, FRAME_S, _beacon_ms())
    rest = [Closed(minute * MINUTE_MS, FRAME_S, MINUTE_MS) for minute in range(minutes, MINUTES)]
    allocator = Allocator(DEFAULT_QUANTUM_MS, RESERVE, beacon, rest)
    lengths = [length_ms(size, SLOWEST - sf, guard_ms) for sf in meters.spreading_factor.tolist()]
    places = list(_placed(allocator, lengths))
    fitting = len(places)
    for device in range(fitting, fitting + round(overload * fitting)):
        places.append(allocator.least_overlap(device, CONCENTRATOR, lengths[device]).place)
    return Plan(
        np.array([place.channel for place in places]),
        np.array([place.phase_ms for place in places]) / 1000,
        guard_ms / 1000,
        beacons=((0.0, beacon.length_ms / 1000),),
    )


def _placed(allocator: Allocator, lengths: list[int]) -> Iterator[Place]:
    for device, length in enumerate(lengths):
        place = allocator.add(device, CONCENTRATOR, length)
        if place is None:
            return
        yield place


def _beacon_ms() -> int:
    exact = airtime_s(BEACON_SIZE, BEACON_DATA_RATE, uplink=False) * 1000
    return -(-int(exact + 1) // DEFAULT_QUANTUM_MS) * DEFAULT_QUANTUM_MS
