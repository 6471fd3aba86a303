"""How far off adapters send that set their clock by the concentrator's beacon: crystals, temperature, lost beacons."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.radio.air import Floats

BEACON_S: Final = 900
STEP_S: Final = 60
DAY_S: Final = 86_400
SETTLING_DAYS: Final = 1
LOST: Final = 0.1  # of the beacons, each adapter on its own
STAMP_S: Final = 0.001  # spread of the beacon's arrival as an adapter stamps it
SENDING_S: Final = 0.003  # spread between a frame's planned and its real start
RATE_GAIN: Final = 0.5  # of the drift seen since the last beacon that is put down to the rate

CUT_PPM: Final = 20.0  # crystals at their turning point
CURVE_PPM_K2: Final = -0.034
TURNING_C: Final = 25.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where adapters hang: mean temperature, swing within a day and spread of a day's mean, all in kelvin or °C."""

    share: float
    mean_c: float
    daily_k: float
    slow_k: float


PLACES: Final = (Place(0.6, 15.0, 1.5, 1.0), Place(0.3, 18.0, 4.0, 2.0), Place(0.1, 8.0, 9.0, 4.0))


def sending_errors(adapters: int, periods: int, rng: np.random.Generator) -> Floats:
    """Seconds by which each of `adapters` sends late in each of `periods` of 900 s, as (periods, adapters).

    A basement for six of ten, a stairwell for three, an outdoor cabinet for one.
    """
    steps = BEACON_S // STEP_S
    total = SETTLING_DAYS * DAY_S // STEP_S + periods * steps
    drift = _ppm(adapters, total, rng)
    drift *= 1e-6 * STEP_S
    turn = rng.integers(0, steps, adapters)  # when in the period the adapter's slot is
    offset, correction = np.zeros(adapters), drift[0].copy()
    waited = np.full(adapters, steps)
    errors = np.zeros((total // steps, adapters))
    for step in range(total):
        offset += drift[step] - correction
        if step % steps == 0:
            heard = rng.random(adapters) >= LOST
            measured = offset + rng.normal(0, STAMP_S, adapters)
            correction += np.where(heard, RATE_GAIN * measured / waited, 0.0)
            offset -= np.where(heard, measured, 0.0)
            waited = np.where(heard, 0, waited)
        waited += 1
        now = turn == step % steps
        errors[step // steps, now] = offset[now]
    errors += rng.normal(0, SENDING_S, errors.shape)
    return errors[-periods:]


def _ppm(adapters: int, steps: int, rng: np.random.Generator) -> Floats:
    """How fast each clock runs, as (steps, adapters)."""
    seconds = np.arange(steps)[:, None] * STEP_S
    kind = rng.choice(len(PLACES), adapters, p=[place.share for place in PLACES])
    mean, daily, slow = np.array([(place.mean_c, place.daily_k, place.slow_k) for place in PLACES])[kind].T
    days = rng.normal(0, 1, (steps * STEP_S // DAY_S + 2, adapters)) * slow
    day, rest = np.divmod(seconds[:, 0], DAY_S)
    share = rest[:, None] / DAY_S
    temperature = mean + daily * np.sin(2 * np.pi * seconds / DAY_S + rng.uniform(0, 2 * np.pi, adapters))
    temperature += days[day] * (1 - share) + days[day + 1] * share
    cut = rng.uniform(-CUT_PPM, CUT_PPM, adapters)
    return np.asarray(cut + CURVE_PPM_K2 * (temperature - TURNING_C) ** 2)
