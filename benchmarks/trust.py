"""How far off an adapter sends while it trusts its slot, and how often it has to ask for that.

The adapter's own discipline, the concentrator's filter and forecast, the crystals and places of `benchmarks.clock`. A
telegram in its slot every 900 s, none answered there, as where slots lie side by side; in open time, twice in between,
the adapter asks when its clock may be wrong by too much of the guard (60 ms). 5 % of its questions come to nothing:
half of them are not heard, of the others the answer is not, which the concentrator does not know at first.

`asked_per_day_*`: questions per adapter and day, `p9999_ms_*`: the error that 99.99 % of all frames keep, `worst_ms_*`
the worst, `beside_per_10000_*`: frames that began further off than the guard; all without the first two days.
`first_day_*` are the questions of the first one. Goals: one frame in 10,000 beside its slot, and indoors 5 questions a
day, at most.
"""

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from adapter_agent.clock_talk import ASK_SHARE, TOLD_ASK_SHARE
from adapter_agent.discipline import Discipline, Sample
from adapter_agent.timekeeping import TOLD_S
from benchmarks.clock import LOST, PERIOD_S, PLACES, STAMP_S, STEPS, WARM_DAYS, Place, rates
from benchmarks.support import arguments, report
from concentrator_agent.server.answers import Budget, content_s, forecast
from meterwire.clock_filter import ClockFilter
from meterwire.clock_package import QUARTER_S

GUARD_S: Final = 0.060
ADAPTERS: Final = 60
DAYS: Final = 12
OPEN_TIMES: Final = 2  # in a period
SEED: Final = 100


class Frame(NamedTuple):
    """One period of an adapter: how far off (s) it sent in its slot, None without trust, and how often it asked."""

    day: int
    error: float | None
    asked: int


class Pair:
    """An adapter and what its concentrator knows of it. Seconds by UTC are `true`, those by its crystal `shown`."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.true, self.shown = dice, 0.0, 0.0
        self.adapter = Discipline()
        self.track: ClockFilter | None = None
        self.budget = Budget(0.0)
        self._device_time()

    def live(self, place: Place, days: int) -> Iterator[Frame]:
        for step, rate in enumerate(rates(place, days, self.dice)):
            asked = 0
            for _ in range(OPEN_TIMES):
                self._pass(rate)
                asked += self._asks()
            self._pass(rate)
            yield Frame(step // STEPS, self._send(), asked)

    def _pass(self, rate: float) -> None:
        """The time between two of them."""
        self.true += PERIOD_S / (OPEN_TIMES + 1)
        self.shown += PERIOD_S / (OPEN_TIMES + 1) * (1 + rate)

    def _error(self) -> float:
        return (self.adapter.unix(self.shown) or 0.0) - self.true

    def _asks(self) -> bool:
        """Whether it had to ask."""
        ahead = self.shown + PERIOD_S
        share = TOLD_ASK_SHARE if self.adapter.foretold(ahead) else ASK_SHARE
        if self.track is None or self.adapter.uncertainty(ahead) < share * GUARD_S:
            return False
        fate = self.dice.random()
        if fate >= LOST / 2:
            self._answer(arrives=fate >= LOST)
        return True

    def _send(self) -> float | None:
        if self.adapter.uncertainty(self.shown) >= GUARD_S:
            return None
        error = self._error()
        seen = error + self.dice.gauss(0.0, STAMP_S)
        if self.track is None:
            self.track = ClockFilter.start(self.true, seen)
        else:
            self.track.measure(self.true, seen)
        return error

    def _device_time(self) -> None:
        self.adapter.take(Sample(self.shown, self.true + self.dice.uniform(-TOLD_S, TOLD_S) / 2, TOLD_S))

    def _answer(self, arrives: bool) -> None:
        track = self.track
        assert track is not None
        track.reach(self.true)
        track.asked(self.true)
        if track.outliers or track.bound(self.true) >= GUARD_S:
            track.loosen()
            return self._device_time() if arrives else None
        known = track.estimate(self.true)
        offset = round(known.offset * 1e6) / 1e6
        rate = round(track.mean_rate(self.true, self.budget.ahead_s) * 1e9) / 1e9
        uncertainty = math.ceil(track.bound(self.true) * 1000) / 1000
        holds = forecast(track, self.true, rate, GUARD_S)
        content = content_s(holds, uncertainty, guard_s=GUARD_S, period_s=PERIOD_S)
        track.answer(offset, rate, self.true + content)
        self.budget.at = self.true
        self.budget.spend()
        if not arrives:
            return None
        crystal = (1 + self.adapter.rate) * (1 + rate) - 1
        holds_s, drift = (0.0, 0.0) if holds is None else (holds.quarters * QUARTER_S, holds.drift_ppb / 1e9)
        unix = (self.adapter.unix(self.shown) or 0.0) - offset
        self.adapter.take(Sample(self.shown, unix, uncertainty, crystal, holds_s, drift))
        return None


def measure(place: Place, adapters: int = ADAPTERS, days: int = DAYS) -> dict[str, float]:
    """The figures of so many adapters at one place."""
    frames = [frame for number in range(adapters) for frame in Pair(random.Random(SEED + number)).live(place, days)]
    errors = sorted(abs(frame.error) for frame in frames if frame.day >= WARM_DAYS and frame.error is not None)
    return {
        "asked_per_day": sum(f.asked for f in frames if f.day >= WARM_DAYS) / adapters / (days - WARM_DAYS),
        "p9999_ms": errors[math.ceil(0.9999 * len(errors)) - 1] * 1000,
        "worst_ms": errors[-1] * 1000,
        "beside_per_10000": sum(error > GUARD_S for error in errors) / len(errors) * 10_000,
        "first_day": sum(f.asked for f in frames if f.day == 0) / adapters,
    }


def main() -> None:
    options = arguments(__doc__)
    found = {where: measure(place) for where, place in PLACES.items()}
    report({f"{name}_{where}": value for where, one in found.items() for name, value in one.items()}, options.json)


if __name__ == "__main__":
    main()
