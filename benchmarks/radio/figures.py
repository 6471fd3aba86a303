"""The published figures: meters per concentrator and site, times unslotted OMS telegrams, overload, ALOHA check."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Final

import numpy as np

from benchmarks.radio.access import Plan
from benchmarks.radio.air import Floats
from benchmarks.radio.aloha import aloha_error
from benchmarks.radio.clocks import sending_errors
from benchmarks.radio.delivery import most_meters, slotted_readings, unslotted_delivery
from benchmarks.radio.planning import GUARD_MS, fill, overfill
from benchmarks.radio.sites import SITES, Meters, Site, deploy
from meterwire.slots import Kind

OMS_SIZE: Final = 51
OVERLOAD: Final = 0.2
NEW_PLAN_MINUTES: Final = 3  # of the frame's fifteen: all are alike
AT_ONCE: Final = 8  # periods
FOREIGN_ERLANG: Final = 0.01
SLOTTED_TARGET: Final = 0.999
UNSLOTTED_TARGET: Final = 0.99
TRACES: Final = 2000  # adapters whose clocks are simulated
SEED: Final = 20261127

# The research prototype's planned meters (16 bytes, ±20 ms), its meters over unslotted OMS, and what 12 bytes without
# guard would fill.
PROTOTYPE_METERS: Final[Mapping[str, int]] = {"dense": 66_884, "mixed": 33_220, "far": 17_275}
PROTOTYPE_RATIO: Final[Mapping[str, int]] = {"dense": 123, "mixed": 46, "far": 28}
BOUND_METERS: Final[Mapping[str, int]] = {"dense": 115_221, "mixed": 44_093, "far": 20_786}
PROTOTYPE_OVERLOAD: Final = 0.989
PROTOTYPE_ALOHA_ERROR: Final = 0.007


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is simulated: deployments of each site, periods of 900 s, minutes of each period when there are too many
    meters, and frames for one unslotted figure."""

    deployments: int
    periods: int
    overload_periods: int
    overload_minutes: int
    unslotted_frames: int
    aloha_frames: int


QUICK: Final = Effort(1, 5, 96, 2, 200_000, 2_000_000)
FULL: Final = Effort(5, 24, 288, 15, 2_000_000, 16_000_000)


def measure(effort: Effort) -> dict[str, float]:
    """All figures by name, each with `_prototype` and `_bound` beside it where there are some."""
    errors = sending_errors(TRACES, effort.overload_periods, np.random.default_rng(SEED))
    figures: dict[str, float] = {}
    overload: list[Overload] = []
    for site in SITES:
        figures |= dict(_of_site(site, errors[: effort.periods], effort))
        one = overloaded(site, errors, effort.overload_minutes)
        figures |= {f"overload_{name}_{site.name}": value for name, value in asdict(one).items()}
        overload.append(one)
        if (anew := squeezed(site, errors)) is not None:
            names = ("overload_new_plan_delivery", "overload_new_plan_worst", "overload_new_plan_guard_ms")
            figures |= {f"{name}_{site.name}": value for name, value in zip(names, anew, strict=True)}
    figures["overload_delivery"] = min(one.delivery for one in overload)
    figures["overload_delivery_prototype"] = PROTOTYPE_OVERLOAD
    figures["overload_worst"] = min(one.worst for one in overload)
    figures["aloha_check_error"] = aloha_error(frames=effort.aloha_frames)
    figures["aloha_check_error_prototype"] = PROTOTYPE_ALOHA_ERROR
    figures["beacon_error_p9999_ms"] = float(np.quantile(np.abs(errors), 0.9999)) * 1000
    return figures


def _of_site(site: Site, errors: Floats, effort: Effort) -> Iterator[tuple[str, float]]:
    name = site.name
    alone = [slotted_meters(site, errors, seed) for seed in range(effort.deployments)]
    among = min(
        slotted_meters(site, errors, seed, erlang=FOREIGN_ERLANG, previous=True) for seed in range(effort.deployments)
    )
    unslotted = {size: unslotted_meters(site, size, effort.unslotted_frames) for size in (OMS_SIZE, Kind.VALUES.size)}
    yield f"meters_{name}", min(alone)
    yield f"meters_{name}_prototype", PROTOTYPE_METERS[name]
    yield f"meters_{name}_bound", BOUND_METERS[name]
    yield f"meters_{name}_foreign", among
    yield f"unslotted_oms_{name}", unslotted[OMS_SIZE]
    yield f"unslotted_16_{name}", unslotted[Kind.VALUES.size]
    yield f"ratio_{name}", fmean(alone) / unslotted[OMS_SIZE]
    yield f"ratio_{name}_prototype", PROTOTYPE_RATIO[name]
    yield f"ratio_{name}_bound", BOUND_METERS[name] / unslotted[OMS_SIZE]


def slotted_meters(site: Site, errors: Floats, seed: int, *, erlang: float = 0.0, previous: bool = False) -> int:
    """Meters that the allocator places before it refuses the first one, or fewer when less than 99.9 % arrives."""
    rng = np.random.default_rng((SEED, seed))
    meters = deploy(site, BOUND_METERS[site.name], rng)
    kind = Kind.VALUES_PREVIOUS if previous else Kind.VALUES
    plan = fill(meters, kind.size)

    def delivery(count: int) -> float:
        dice = np.random.default_rng((SEED, seed, 1))
        some = meters.first(count), kind.size, plan.first(count), errors, dice
        return float(slotted_readings(site, *some, erlang=erlang, previous=previous).mean())

    return most_meters(delivery, SLOTTED_TARGET, most=len(plan))


def unslotted_meters(site: Site, size: int, frames: int) -> int:
    """Meters whose telegrams of `size` octets, sent at any time, arrive in 99 %."""
    return most_meters(lambda count: unslotted_delivery(site, count, size, frames, SEED), UNSLOTTED_TARGET)


@dataclass(frozen=True, slots=True)
class Overload:
    """What arrives with a fifth more meters than fit: of all, of the worst one, of those that came too many; and the
    share of these that got a slower data rate."""

    delivery: float
    worst: float
    newcomers: float
    slower: float


def overloaded(site: Site, errors: Floats, minutes: int) -> Overload:
    """With a fifth more meters than fit, those placed over others where it does least harm."""
    rng = np.random.default_rng((SEED, 0))
    wished = deploy(site, BOUND_METERS[site.name], rng)
    meters, plan, fitting = overfill(wished, Kind.VALUES.size, OVERLOAD, rng, minutes=minutes)
    arrived = _arrived(site, meters, plan, errors, rng)
    slower = meters.spreading_factor[fitting:] > wished.spreading_factor[fitting : len(plan)]
    return Overload(float(arrived.mean()), float(arrived.min()), float(arrived[fitting:].mean()), float(slower.mean()))


def squeezed(site: Site, errors: Floats) -> tuple[float, float, int] | None:
    """(mean delivery, the worst meter's, guard in ms) with as many, all planned anew with the widest guard that fits.

    None where they do not even fit without any guard.
    """
    rng = np.random.default_rng((SEED, 0))
    meters = deploy(site, BOUND_METERS[site.name], rng)
    wanted = round((1 + OVERLOAD) * len(fill(meters, Kind.VALUES.size, minutes=NEW_PLAN_MINUTES)))
    for guard_ms in range(GUARD_MS - 1, -1, -1):
        plan = fill(meters, Kind.VALUES.size, minutes=NEW_PLAN_MINUTES, guard_ms=guard_ms)
        if len(plan) >= wanted:
            return *_shares(site, meters, plan.first(wanted), errors, rng), guard_ms
    return None


def _shares(site: Site, meters: Meters, plan: Plan, errors: Floats, rng: np.random.Generator) -> tuple[float, float]:
    arrived = _arrived(site, meters.first(len(plan)), plan, errors, rng)
    return float(arrived.mean()), float(arrived.min())


def _arrived(site: Site, meters: Meters, plan: Plan, errors: Floats, rng: np.random.Generator) -> Floats:
    """The share of each meter's readings that arrive; some periods at a time, as all would not fit into memory."""
    late = errors[:, rng.integers(0, errors.shape[1], len(meters))]
    parts = [late[first : first + AT_ONCE] for first in range(0, len(late), AT_ONCE)]
    heard = [slotted_readings(site, meters, Kind.VALUES.size, plan, part, rng).sum(axis=0) for part in parts]
    return np.asarray(np.sum(heard, axis=0) / len(late))
