"""How much of what meters send arrives, and how many meters a concentrator takes until too little does."""

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Final

import numpy as np

from benchmarks.radio.access import Plan, slotted, unslotted
from benchmarks.radio.air import Floats, Frames, Truths, received
from benchmarks.radio.sites import Meters, Site, deploy, foreign
from meterwire.slots import FRAME_S

FEWEST: Final = 40
MOST: Final = 20_000
HALVINGS: Final = 11


def readings(
    frames: Frames,
    periods: int,
    *,
    others: Frames | None = None,
    sending: Sequence[tuple[float, float]] = (),
    previous: bool = False,
) -> Truths:
    """Which readings arrive, as (periods, meters); `frames` are the meters' in order of (period, meter).

    `previous`: each telegram carries the value of the one before too, so a reading is there when its own telegram or
    the next one is; the last period then only helps.
    """
    heard = received(frames if others is None else frames + others, sending=sending)
    arrived = heard[: len(frames)].reshape(periods, -1)
    return arrived[:-1] | arrived[1:] if previous else arrived


def slotted_readings(
    site: Site,
    meters: Meters,
    size: int,
    plan: Plan,
    errors: Floats,
    rng: np.random.Generator,
    *,
    erlang: float = 0.0,
    previous: bool = False,
) -> Truths:
    """Readings of `meters` in their slots, under `erlang` of foreign traffic per channel, as (periods, meters)."""
    periods = len(errors)
    others = foreign(site, erlang, periods * FRAME_S, rng) if erlang else None
    frames = slotted(meters, size, plan, errors, rng)
    return readings(frames, periods, others=others, sending=plan.sending(periods), previous=previous)


def unslotted_delivery(site: Site, count: int, size: int, frames: int, seed: int) -> float:
    """Share of `size` octets sent at any time that arrive from `count` meters; the mean of a crowd of such sites.

    About `frames` are simulated: half of the variety goes into sites, half into periods.
    """
    sites = max(1, round(sqrt(frames / count)))
    periods = max(1, round(frames / count / sites))
    arrived = []
    for number in range(sites):
        rng = np.random.default_rng((seed, number))
        arrived.append(readings(unslotted(deploy(site, count, rng), size, periods, rng), periods).mean())
    return float(np.mean(arrived))


def most_meters(delivery: Callable[[int], float], target: float, *, fewest: int = FEWEST, most: int = MOST) -> int:
    """The largest number of meters for which `delivery` is still at least `target`, to within half a per cent.

    0 where even `fewest` get less.
    """
    if delivery(most) >= target:
        return most
    if delivery(fewest) < target:
        return 0
    enough, too_many = float(fewest), float(most)
    for _ in range(HALVINGS):
        middle = round(sqrt(enough * too_many))
        if delivery(middle) >= target:
            enough = middle
        else:
            too_many = middle
    return round(enough)
