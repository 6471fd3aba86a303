"""Holds the concentrator's clock to a time source: samples become offset, rate, and how wrong the clock may be. Pure.

Nobody vouches for a time source on a local network, so once the clock was set it moves by what fits its own error, and
by more only after several answers have said the same; never by more than MAX_STEP_S without somebody who looks.
"""

from collections import deque
from typing import Final, Literal, NamedTuple

from edge.steered_clock import SteeredClock
from edge.timesync import EARLIEST_UNIX, LATEST_UNIX

Outcome = Literal["first", "taken", "doubted", "stepped", "leap", "refused"]

STEP_S: Final = 0.128  # less is slewed whatever is expected
MAX_STEP_S: Final = 1000.0
AGREEING: Final = 3  # answers that say the same otherwise before they are believed …
AGREEING_S: Final = 30.0  # … over so long
FREE_RATE: Final = 50e-6  # s/s: a board's crystal
KNOWN_RATE: Final = 3e-6  # what temperature makes of a rate that is known
RATE_SPAN_S: Final = 900.0  # samples over less tell no rate
MAX_RATE: Final = 200e-6
MAX_SAMPLES: Final = 64  # over RATE_SPAN_S however often the source is asked
LEAP_S: Final = 0.2
LEAP_WITHIN_S: Final = 6 * 3600.0
DAY_S: Final = 86_400.0


class Sample(NamedTuple):
    """`offset`: true Unix time less monotonic time, at `monotonic`; it is wrong by `uncertainty` seconds at most."""

    monotonic: float
    offset: float
    uncertainty: float
    leap: bool = False


class Discipline:
    """Moves `clock`. `synchronised_s`: with a larger error it does not count as synchronised."""

    def __init__(self, clock: SteeredClock, synchronised_s: float = 0.1) -> None:
        self._clock = clock
        self._limit = synchronised_s
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._doubted: list[Sample] = []
        self._rate = 0.0
        self._rate_error = FREE_RATE
        self._leap_day: int | None = None
        self.last_offset_s: float | None = None  # what the last sample said against our clock

    @property
    def ever(self) -> bool:
        """Whether the source was heard at all."""
        return bool(self._samples)

    @property
    def leap_soon(self) -> bool:
        """Whether a leap second was announced for the end of this day."""
        return self._leap_day == int(self._clock.time() // DAY_S)

    @property
    def synchronised(self) -> bool:
        return self.uncertainty() <= self._limit

    def uncertainty(self) -> float:
        """Seconds by which the clock may be wrong now: it grows while the source is silent."""
        now = self._clock.monotonic()
        errors = (one.uncertainty + self._rate_error * (now - one.monotonic) for one in self._samples)
        return min(errors, default=float("inf")) + self._clock.to_go

    def take(self, sample: Sample) -> Outcome:
        """What the source says now."""
        unix = sample.offset + sample.monotonic
        if not EARLIEST_UNIX <= unix < LATEST_UNIX:
            return "refused"
        error = self.last_offset_s = sample.offset - self._clock.offset(sample.monotonic)
        if not self._samples:
            return self._begin([sample], "first")
        if abs(error) <= max(STEP_S, sample.uncertainty + self.uncertainty()):
            self._doubted = []
            self._follow(sample)
            return "taken"
        if self._after_leap(unix) and abs(error + 1.0) <= LEAP_S:
            return self._begin([sample], "leap")
        return self._doubt(sample, error)

    def _follow(self, sample: Sample) -> None:
        self._samples.append(sample)
        self._announce(sample)
        now = self._clock.monotonic()
        points = [(one.monotonic - now, one.offset, self._weight(one, now)) for one in self._samples]
        total = sum(weight for *_, weight in points)
        middle = sum(at * weight for at, _, weight in points) / total
        level = sum(offset * weight for _, offset, weight in points) / total
        if self._samples[-1].monotonic - self._samples[0].monotonic >= RATE_SPAN_S:
            spread = sum(weight * (at - middle) ** 2 for at, _, weight in points)
            slope = sum(weight * (at - middle) * (offset - level) for at, offset, weight in points) / spread
            self._rate, self._rate_error = max(-MAX_RATE, min(MAX_RATE, slope)), KNOWN_RATE
        self._clock.steer(level - self._rate * middle, self._rate)

    def _weight(self, sample: Sample, now: float) -> float:
        return (sample.uncertainty + self._rate_error * (now - sample.monotonic)) ** -2

    def _begin(self, samples: list[Sample], outcome: Outcome) -> Outcome:
        best = min(samples, key=lambda one: one.uncertainty)
        self._samples.clear()
        self._samples.extend(samples)
        self._doubted = []
        self._clock.step(best.offset)
        self._announce(samples[-1])
        return outcome

    def _doubt(self, sample: Sample, error: float) -> Outcome:
        """Several must say the same, over a while, before the clock is set."""
        if abs(error) > MAX_STEP_S:
            self._doubted = []
            return "refused"
        agreeing = [one for one in self._doubted if self._agree(one, sample)]
        self._doubted = [*agreeing[-MAX_SAMPLES:], sample]
        long = sample.monotonic - self._doubted[0].monotonic >= AGREEING_S
        if len(self._doubted) < AGREEING or not long:
            return "doubted"
        return self._begin(self._doubted, "stepped")

    def _agree(self, one: Sample, other: Sample) -> bool:
        drift = MAX_RATE * abs(other.monotonic - one.monotonic)
        return abs(other.offset - one.offset) <= one.uncertainty + other.uncertainty + drift

    def _announce(self, sample: Sample) -> None:
        if sample.leap:
            self._leap_day = int((sample.offset + sample.monotonic) // DAY_S)

    def _after_leap(self, unix: float) -> bool:
        """Whether a leap second that was announced lies behind us, and not long ago."""
        if self._leap_day is None:
            return False
        midnight = (self._leap_day + 1) * DAY_S
        return midnight - 1.0 <= unix <= midnight + LEAP_WITHIN_S
