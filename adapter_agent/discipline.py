"""The adapter's clock held to UTC: offset and rate of its crystal from answers, and how wrong it may be."""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final

from msgspec import Struct

DAY_S: Final = 86_400
MAX_RATE: Final = 150e-6  # no crystal in a house is so wrong: 100 ppm at -30 °C, and ageing
FIRST_RATE: Final = 40e-6  # the part's tolerance and the temperature, while the rate is not known
TOLD_RATE: Final = 4e-6  # a rate that the network tells is a forecast, from few frames at first
LEAST_WANDER: Final = 0.3e-6  # how far the rate may stray from the one measured, at least …
FIRST_WANDER: Final = 2e-6  # … and as long as nothing has shown how steady this crystal is
WANDER_MARGIN: Final = 2.0  # over the worst wander seen
WANDER_FADE: Final = 0.9  # what each answer leaves of it
TWICE_S: Final = 30.0  # two answers so far apart that contradict the clock alike are believed
ALIKE_S: Final = 1.0
LEAST_SPAN_S: Final = 60.0  # answers closer together tell nothing about the rate
RATE_SPAN_S: Final = 6 * 3600.0  # a longer span would tell the rate of another temperature
MAX_PAST: Final = 64
TURN: Final = 20e-6  # by which a rate that is told for the next hours may differ from the one of the last ones
PAST_FORECAST: Final = 2.0  # times as fast a forecast goes wrong when its time is over
HINT_SPAN_S: Final = 1800.0  # hints closer together tell less about the rate than the last answer did


class Verdict(Enum):
    """What an answer did to the clock."""

    FIRST = "first"
    TAKEN = "taken"
    OLD = "old"  # it tells of a time before the last one
    DOUBTED = "doubted"  # it contradicts what is physically possible: no trust until another one tells the same
    STEPPED = "stepped"  # … and another one has


@dataclass(frozen=True, slots=True)
class Sample:
    """UTC was `unix_s`, give or take `uncertainty_s`, when the monotonic clock stood at `monotonic_s`.

    `rate`: seconds that this crystal gains per second, where the answer told it. Corrected by it, the clock will be
    wrong by `drift` (s/s) more at most, for `holds_s`: so the network foretells that watches it all the time; 0: not.
    """

    monotonic_s: float
    unix_s: float
    uncertainty_s: float
    rate: float | None = None
    holds_s: float = 0.0
    drift: float = 0.0


class Held(Struct, frozen=True):
    """What is stored. The rate helps after any restart, the rest only while the same monotonic clock runs on."""

    boot: str
    wall_s: float
    monotonic_s: float
    unix_s: float
    uncertainty_s: float
    rate: float
    rate_uncertainty: float
    wander: float
    leap_day: int | None = None

    def runs_on(self, boot: str, wall_s: float, monotonic_s: float) -> bool:
        """Whether the monotonic clock is still the one of then: the machine had power all the time.

        `boot` names the machine's start, "" where it cannot be told. The wall clock must have run along.
        """
        since = monotonic_s - self.monotonic_s
        return bool(boot) and boot == self.boot and since >= 0 and abs(wall_s - self.wall_s - since) <= ALIKE_S


@dataclass(frozen=True, slots=True)
class _Line:
    """UTC as a line over the monotonic clock: it passes through the anchor and loses `rate` per second."""

    monotonic_s: float
    unix_s: float
    uncertainty_s: float
    rate: float
    rate_uncertainty: float
    holds_s: float = 0.0
    drift: float = 0.0

    def at(self, monotonic_s: float) -> float:
        return self.unix_s + (monotonic_s - self.monotonic_s) / (1 + self.rate)

    def when(self, unix_s: float) -> float:
        return self.monotonic_s + (unix_s - self.unix_s) * (1 + self.rate)


class Discipline:
    """Pure: times are arguments, in seconds of one monotonic clock, or Unix seconds.

    The bounds add up as intervals, not as variances: what it calls uncertain is never less than what can be, as long
    as the crystal keeps to the wander it has shown (twice that is allowed for). [0151], [0152], design 7.
    """

    def __init__(self, held: Held | None = None, *, runs_on: bool = False) -> None:
        """`held` from before a restart; `runs_on`: the monotonic clock has not been interrupted."""
        self._line: _Line | None = None
        self._vouched: _Line | None = None  # as the last authenticated answer left it
        self._rate = (0.0, FIRST_RATE)  # of the crystal, and how uncertain
        self._wander = FIRST_WANDER
        self._known_since = inf  # monotonic; when the first answer came
        self._past: deque[Sample] = deque()  # answers that the rate is measured over, the oldest first
        self._hints: deque[Sample] = deque()  # since the last answer
        self.strained = False  # one of them told more than the clock may be wrong by: only an answer can settle it
        self._doubted: Sample | None = None
        self._leap_day: int | None = None
        if held is None:
            return
        self._known_since = -inf
        self._rate, self._wander = (held.rate, max(held.rate_uncertainty, FIRST_WANDER)), held.wander
        if runs_on:
            self._rate = held.rate, held.rate_uncertainty
            self._line = self._vouched = _Line(held.monotonic_s, held.unix_s, held.uncertainty_s, *self._rate)
            self._leap_day = held.leap_day

    def held(self, boot: str, wall_s: float, monotonic_s: float) -> Held | None:
        """What to store now; None before the first answer. The anchor is moved to now, its uncertainty with it."""
        uncertainty = self.uncertainty(monotonic_s)
        if self._line is None or uncertainty == inf:
            return None
        unix = self._line.at(monotonic_s)
        return Held(boot, wall_s, monotonic_s, unix, uncertainty, *self._rate, self._wander, self._leap_day)

    # What the clock says

    def unix(self, monotonic_s: float) -> float | None:
        """UTC at a moment of the monotonic clock; None before the first answer."""
        return None if self._line is None else self._line.at(monotonic_s)

    def monotonic(self, unix_s: float) -> float:
        """When the monotonic clock shows it. ValueError before the first answer."""
        if self._line is None:
            raise ValueError("no answer has told the time yet")
        return self._line.when(unix_s)

    def uncertainty(self, monotonic_s: float) -> float:
        """By how many seconds `unix` may be wrong then; infinity while nothing can be said."""
        line = self._line
        if line is None or self._doubted is not None:
            return inf
        return self._bound(line, monotonic_s)

    def unvouched(self, monotonic_s: float) -> float:
        """By how many seconds it might be wrong then if all hints since the last answer were forged."""
        line = self._vouched
        if line is None or self._doubted is not None:
            return inf
        strays = max(0.0, FIRST_WANDER - self._wander)  # no answer shows any more how steady the crystal is
        return self._bound(line, monotonic_s) + strays * abs(monotonic_s - line.monotonic_s)

    def _bound(self, line: _Line, monotonic_s: float) -> float:
        age, own = abs(monotonic_s - line.monotonic_s), line.rate_uncertainty + self._wander
        if not line.holds_s:
            return line.uncertainty_s + own * age
        told = min(age, line.holds_s)
        return line.uncertainty_s + line.drift * told + max(own, PAST_FORECAST * line.drift) * (age - told)

    @property
    def rate(self) -> float:
        """By how much this crystal is thought to be fast, seconds per second."""
        return self._rate[0] if self._line is None else self._line.rate

    def foretold(self, monotonic_s: float) -> bool:
        """Whether the network's own forecast reaches to that moment, so that `uncertainty` reckons with it."""
        line = self._line
        return line is not None and 0.0 <= monotonic_s - line.monotonic_s <= line.holds_s

    @property
    def hinted(self) -> bool:
        """Whether hints have corrected the clock since the last answer."""
        return bool(self._hints)

    @property
    def doubtful(self) -> bool:
        """Whether the last answer contradicted the clock, and none has settled it since."""
        return self._doubted is not None

    # Answers

    def take(self, sample: Sample, *, leap_soon: bool = False) -> Verdict:
        """An answer has come. `leap_soon`: within a day a leap second may. Slots go on evenly through it; a network
        that counts otherwise afterwards is believed at once.
        """
        verdict = self._take(sample)
        if verdict in (Verdict.FIRST, Verdict.TAKEN, Verdict.STEPPED):
            self._vouched = self._line
            self._hints.clear()
            self.strained = False
        if verdict not in (Verdict.DOUBTED, Verdict.OLD):
            self._leap_day = int(sample.unix_s // DAY_S) if leap_soon else None
        return verdict

    def hint(self, sample: Sample) -> bool:
        """A measurement that nobody authenticated, such as a beacon's: whether it was taken.

        It sets no clock and moves none by more than the clock may be wrong anyway: by its own account, and by that of
        the last authenticated answer carried on without any hint. All three must agree on some moment.
        """
        line, vouched, at = self._line, self._vouched, sample.monotonic_s
        if line is None or vouched is None or self._doubted is not None or at < line.monotonic_s:
            return False
        bounds = [(sample.unix_s, sample.uncertainty_s), (line.at(at), self._bound(line, at))]
        bounds.append((vouched.at(at), self.unvouched(at)))
        low, high = max(unix - bound for unix, bound in bounds), min(unix + bound for unix, bound in bounds)
        self.strained = self.strained or not low <= sample.unix_s <= high
        if low > high:
            return False
        unix = (low + high) / 2
        doubt = min(self._bound(line, at), abs(unix - sample.unix_s) + sample.uncertainty_s)
        taken = Sample(at, unix, max((high - low) / 2, doubt))
        rate = self._hinted_rate(vouched, taken)
        self._line = _Line(at, taken.unix_s, taken.uncertainty_s, rate, max(vouched.rate_uncertainty, FIRST_WANDER))
        return True

    def _hinted_rate(self, vouched: _Line, sample: Sample) -> float:
        """Over the hints since the last answer, not further from its rate than a crystal strays."""
        past = self._hints
        past.append(sample)
        while len(past) > 2 and sample.monotonic_s - past[1].monotonic_s >= RATE_SPAN_S:
            past.popleft()
        if len(past) > MAX_PAST:
            del past[1]
        span, passed = sample.monotonic_s - past[0].monotonic_s, sample.unix_s - past[0].unix_s
        if span < HINT_SPAN_S or passed <= 0:
            return vouched.rate
        strays = vouched.rate_uncertainty + FIRST_WANDER
        return min(max(span / passed - 1, vouched.rate - strays), vouched.rate + strays)

    def _take(self, sample: Sample) -> Verdict:
        line = self._vouched
        if line is None:
            self._begin(sample)
            return Verdict.FIRST
        age = sample.monotonic_s - line.monotonic_s
        if age < 0:
            return Verdict.OLD
        error = sample.unix_s - line.at(sample.monotonic_s)
        noise = line.uncertainty_s + sample.uncertainty_s
        likely = self._bound(line, sample.monotonic_s) + sample.uncertainty_s
        possible = noise + 2 * MAX_RATE * age
        if self._after_leap(sample.monotonic_s) and abs(error) > likely and abs(abs(error) - 1.0) <= likely:
            self._begin(sample)
            return Verdict.STEPPED
        if abs(error) > possible:
            return self._doubt(sample)
        self._doubted = None
        self._learn(line, sample, age, error)
        return Verdict.TAKEN

    def _after_leap(self, monotonic_s: float) -> bool:
        """Whether a leap second may have come since the last answer."""
        return self._leap_day is not None and (self.unix(monotonic_s) or 0.0) >= (self._leap_day + 1) * DAY_S

    def _doubt(self, sample: Sample) -> Verdict:
        before = self._doubted
        if before is None:
            self._doubted = sample
            return Verdict.DOUBTED
        passed = sample.monotonic_s - before.monotonic_s
        if abs(sample.unix_s - before.unix_s - passed) > ALIKE_S + 2 * MAX_RATE * abs(passed):
            self._doubted = sample
        elif passed >= TWICE_S:
            self._doubted = None
            self._begin(sample)
            return Verdict.STEPPED
        return Verdict.DOUBTED

    def _begin(self, sample: Sample) -> None:
        if sample.rate is not None and abs(sample.rate) <= MAX_RATE:
            self._rate = sample.rate, 0.0
        self._known_since = min(self._known_since, sample.monotonic_s)
        self._past = deque([sample])
        self._line = self._through(sample, sample.unix_s, sample.uncertainty_s)

    def _through(self, sample: Sample, unix_s: float, uncertainty_s: float) -> _Line:
        """The line from an answer on. Its forecast is of the rate it told: of another one it says nothing.

        It is believed for a day at most, and not that a crystal keeps its rate better than any does. Until a day has
        shown its noon and its night, nobody knows them: the larger bound counts.
        """
        holds_s = min(sample.holds_s, DAY_S) if sample.rate == self._rate[0] else 0.0
        drift = max(sample.drift, LEAST_WANDER)
        if sample.monotonic_s - self._known_since < DAY_S:
            drift = max(drift, self._rate[1] + self._wander)
        return _Line(sample.monotonic_s, unix_s, uncertainty_s, *self._rate, holds_s, drift)

    def _learn(self, line: _Line, sample: Sample, age: float, error: float) -> None:
        if age >= LEAST_SPAN_S:
            noise = line.uncertainty_s + sample.uncertainty_s + line.rate_uncertainty * age
            self._see_wander(max(0.0, abs(error) - noise) / age, sample.monotonic_s)
        self._measure_rate(sample)
        predicted = self._bound(line, sample.monotonic_s)
        if predicted < sample.uncertainty_s:  # the clock knows better than this answer
            unix, uncertainty = line.at(sample.monotonic_s), predicted
        else:
            unix, uncertainty = sample.unix_s, sample.uncertainty_s
        self._line = self._through(sample, unix, uncertainty)

    def _measure_rate(self, sample: Sample) -> None:
        """Over the longest span that is not too long; what the network tells counts within what was measured here."""
        self._past.append(sample)
        while len(self._past) > 2 and sample.monotonic_s - self._past[1].monotonic_s >= RATE_SPAN_S:
            self._past.popleft()
        if len(self._past) > MAX_PAST:
            del self._past[1]
        first = self._past[0]
        span, passed = sample.monotonic_s - first.monotonic_s, sample.unix_s - first.unix_s
        rate, uncertain = self._rate
        low, high = -MAX_RATE, MAX_RATE
        if span >= LEAST_SPAN_S and passed > 0:
            measured, noise = span / passed - 1, (first.uncertainty_s + sample.uncertainty_s) / span
            low, high = measured - noise - self._wander, measured + noise + self._wander
            if noise <= uncertain + self._wander:
                rate, uncertain = measured, noise
        if sample.rate is not None:
            turn = TURN if sample.holds_s else 0.0
            rate = min(max(sample.rate, low - turn), high + turn)
            uncertain = min(uncertain, TOLD_RATE) + abs(sample.rate - rate)  # who is right is not known
        self._rate = rate, uncertain

    def _see_wander(self, seen: float, now: float) -> None:
        """What neither answer nor rate explains is the crystal's: temperature, ageing. A day shows how steady it is."""
        least = LEAST_WANDER if now - self._known_since >= DAY_S else FIRST_WANDER
        self._wander = max(least, WANDER_MARGIN * seen, self._wander * WANDER_FADE)
