"""Follows an adapter's clock by the phases of its slotted frames: a Kalman filter over offset, rate and daily swing.

Pure: times are arguments, in seconds of the concentrator's slot time. Offset is in seconds (positive: the adapter is
ahead of UTC, so its frames come early), rate in seconds per second (positive: it runs fast). A quartz follows the
temperature, so the rate wanders from day to day (process noise, learnt per adapter) and swings once a day (two states).

An answer shifts the adapter's clock by what it says, if it arrives. Until the frames that follow have told whether it
did, both possibilities are followed: the estimate, and its distance to the other one.
"""

from math import cos, exp, floor, log, pi, sin, sqrt
from typing import Final

import msgspec

DAY_S: Final = 86_400.0
SIGMAS: Final = 4.0  # 99.99 % of a normal distribution, with something to spare for tails that are not
STAMP_S: Final = 0.001  # usual standard deviation of a radio's stamp
INITIAL_RATE: Final = 50e-6  # standard deviation: a bad crystal of 100 ppm is two of it
INITIAL_SWING: Final = 2e-6
WANDER: Final = 0.8e-6  # of the rate in a day, where the temperature is even
FIRST_NOISE: Final = 2.0  # nobody knows yet how lively it is
LEAST_NOISE: Final = 0.5  # how much quieter than that an adapter can be thought to be, as a variance …
MAX_NOISE: Final = 400.0  # … and how much livelier
LEARNING: Final = 0.02
LOOSE_S: Final = 1.0
GATE: Final = 6.0  # innovations over so many standard deviations are outliers
OUTLIERS: Final = 4  # so many that agree begin a new track
MAX_RATE: Final = 120e-6  # crystals stay within it
DECIDED: Final = log(1e4)  # odds at which an answer counts as arrived or lost
MAX_UNDECIDED: Final = 12  # frames
SETTLED: Final = 3  # frames after which an estimate is one
FORECAST_STEP_S: Final = 900.0
FORECAST_STEPS: Final = 96
MAX_GAP_S: Final = 14 * DAY_S  # after a longer silence a track begins anew

_W: Final = 2 * pi / DAY_S
Vector = list[float]


class Estimate(msgspec.Struct, frozen=True):
    """Offset (s) and mean rate (s/s) of a clock at one instant, with their standard deviations."""

    offset: float
    rate: float
    offset_sd: float
    rate_sd: float

    @property
    def bound(self) -> float:
        """Seconds that the offset's error exceeds in less than 1 of 10,000 cases."""
        return SIGMAS * self.offset_sd


class Forecast(msgspec.Struct, frozen=True):
    """For so many `seconds` the bound of a clock's error grows by at most `drift` (s/s)."""

    seconds: float
    drift: float


class ClockFilter(msgspec.Struct):
    """One adapter's track; `to_bytes` and `from_bytes` carry it over a restart.

    `x` is offset, rate, and the daily swing's two amplitudes at `at`; `p` their covariance by rows; `noise` scales the
    rate's wandering. `other` is the distance of the estimate to the possibility that the last answer was lost; who has
    it does not ask again before `content`.
    """

    at: float
    x: Vector
    p: list[Vector]
    noise: float = 1.0
    frames: int = 1
    outliers: int = 0
    strange: tuple[float, float] | None = None
    other: Vector | None = None
    odds: float = 0.0
    undecided: int = 0
    answered: int = 0
    lost: int = 0
    content: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether there were enough frames, and nothing strange lately."""
        return self.frames >= SETTLED and self.outliers == 0

    def estimate(self, now: float) -> Estimate:
        """What the clock is like at `now`, which may lie in the future."""
        x, p = _moved(self.x, self.p, self.at, now, self.noise)
        return Estimate(x[0], x[1], sqrt(max(p[0][0], 0.0)), sqrt(max(p[1][1], 0.0)))

    def bound(self, now: float) -> float:
        """The bound (s) of the estimate at `now`, whether the last answer has arrived or not."""
        other = 0.0 if self.other is None else _carried(self.other, self.at, now)[0]
        return self.estimate(now).bound + abs(other)

    def mean_rate(self, now: float, ahead_s: float) -> float:
        """The rate (s/s) that the clock will have on the average from `now` on for so many seconds."""
        begin, end = _carried(self.x, self.at, now), _carried(self.x, self.at, now + ahead_s)
        return (end[0] - begin[0]) / ahead_s

    def forecast(self, now: float, rate: float, within_s: float) -> Forecast:
        """How a clock goes wrong that is right at `now`, but for the estimate's bound, and corrects itself by `rate`.

        Until the bound reaches `within_s`, but a quarter of an hour at least and a day at most. The rate's swing and
        its wandering are both in it.
        """
        begin, bound = self.estimate(now).offset, self.bound(now)
        forecast = Forecast(0.0, 0.0)
        for step in range(1, FORECAST_STEPS + 1):
            seconds = step * FORECAST_STEP_S
            strays = abs(self.estimate(now + seconds).offset - begin - rate * seconds) + self.bound(now + seconds)
            if strays > within_s and step > 1:
                break
            forecast = Forecast(seconds, max(forecast.drift, (strays - bound) / seconds))
        return forecast

    def measure(self, now: float, offset: float, stamp: float = STAMP_S) -> bool:
        """Take a frame's phase: at `now` the clock was `offset` ahead, stamped with standard deviation `stamp`.

        False when it was left out as an outlier, or came before the last one.
        """
        if now <= self.at:
            return self._strange(now, offset, stamp)  # our own clock was set back
        if now - self.at > MAX_GAP_S:
            self._begin(now, offset, stamp)
            return True
        noise = stamp * stamp
        x, p = _moved(self.x, self.p, self.at, now, self.noise)
        other = None if self.other is None else _carried(self.other, self.at, now)
        spread = p[0][0] + noise
        innovation = offset - x[0]
        nearest = innovation if other is None else min(innovation, innovation - other[0], key=abs)
        if nearest * nearest > GATE * GATE * spread:
            return self._strange(now, offset, stamp)
        if other is not None and self._is_other(innovation, other, spread):
            # The answer was lost: go on from the other possibility.
            x = [value + distance for value, distance in zip(x, other, strict=True)]
            innovation, other = innovation - other[0], None
            self.lost += 1
        elif other is not None and (self.odds >= DECIDED or self.undecided >= MAX_UNDECIDED):
            other = None
        gain = [row[0] / spread for row in p]
        self.x = [value + g * innovation for value, g in zip(x, gain, strict=True)]
        self.p = [[p[i][j] - gain[i] * p[0][j] for j in range(4)] for i in range(4)]
        self.other = None if other is None else [d - g * other[0] for d, g in zip(other, gain, strict=True)]
        self.at = now
        self.frames += 1
        self.outliers, self.strange = 0, None
        self._learn(innovation * innovation / spread)
        return True

    def reach(self, now: float) -> None:
        """Carry the track on to `now` without a frame, for an answer that speaks of then."""
        if now > self.at:
            self.x, self.p = _moved(self.x, self.p, self.at, now, self.noise)
            self.other = None if self.other is None else _carried(self.other, self.at, now)
            self.at = now

    def asked(self, now: float) -> None:
        """The device asks at `now`. If it would not with the last answer, and no frame came since, that was lost."""
        if self.other is not None and not self.undecided and now < self.content:
            self.x = [value + distance for value, distance in zip(self.x, self.other, strict=True)]
            self.other = None
            self.lost += 1

    def answer(self, offset: float, rate: float, content: float = 0.0) -> None:
        """An answer that says so of the clock at `at` goes out: the clock of the next frame is probably right by it.

        `content`: until when a device that has it does not ask again.
        """
        self.content = content
        lost = [offset, rate, 0.0, 0.0]
        if self.other is not None and self.odds < 0:
            self.x = [value + distance for value, distance in zip(self.x, self.other, strict=True)]
            self.lost += 1
        self.x = [value - distance for value, distance in zip(self.x, lost, strict=True)]
        self.other, self.odds, self.undecided = lost, log(19.0), 0  # one of twenty is lost
        self.answered += 1

    def unanswered(self) -> None:
        """The last answer was not sent after all."""
        if self.other is not None:
            self.x = [value + distance for value, distance in zip(self.x, self.other, strict=True)]
            self.other = None
            self.answered -= 1

    def loosen(self) -> None:
        """The device may have set its clock by something else than an answer: the next frame tells."""
        self.p[0][0] += LOOSE_S**2
        self.p[1][1] += INITIAL_RATE**2
        self.frames, self.other = 1, None

    def shift(self, seconds: float) -> None:
        """The concentrator's own clock was set forward by so many seconds: adapters seem to be behind by them."""
        self.x[0] -= seconds
        self.at += seconds

    def to_bytes(self) -> bytes:
        return _encoder.encode(self)

    @classmethod
    def start(cls, now: float, offset: float, stamp: float = STAMP_S) -> "ClockFilter":
        """The track that a first frame begins."""
        track = cls(now, [], [])
        track._begin(now, offset, stamp)
        return track

    @classmethod
    def from_bytes(cls, stored: bytes) -> "ClockFilter":
        """Raises msgspec.DecodeError for bytes that are none of `to_bytes`."""
        track: ClockFilter = _decoder.decode(stored)
        if len(track.x) != 4 or [len(row) for row in track.p] != [4] * 4:
            raise msgspec.DecodeError("a track has four states")
        return track

    def _begin(self, now: float, offset: float, stamp: float) -> None:
        variances = (stamp * stamp, INITIAL_RATE**2, INITIAL_SWING**2, INITIAL_SWING**2)
        self.at, self.x = now, [offset, 0.0, 0.0, 0.0]
        self.p = [[variances[i] if i == j else 0.0 for j in range(4)] for i in range(4)]
        self.noise, self.frames, self.outliers = FIRST_NOISE, 1, 0
        self.strange = self.other = None

    def _is_other(self, innovation: float, other: Vector, spread: float) -> bool:
        self.odds += ((innovation - other[0]) ** 2 - innovation * innovation) / (2 * spread)
        self.undecided += 1
        return self.odds <= -DECIDED or (self.undecided >= MAX_UNDECIDED and self.odds < 0)

    def _strange(self, now: float, offset: float, stamp: float) -> bool:
        """Leave a frame out; begin anew once OUTLIERS of them agree with each other."""
        before, self.strange = self.strange, (now, offset)
        agrees = before is not None and abs(offset - before[1]) <= GATE * stamp + MAX_RATE * (now - before[0])
        self.outliers = self.outliers + 1 if agrees else 1
        if self.outliers < OUTLIERS:
            return False
        self._begin(now, offset, stamp)
        return True

    def _learn(self, surprise: float) -> None:
        """Wander more where innovations are larger than expected (`surprise` is 1 on average), less where smaller."""
        if self.frames > 2 * SETTLED:
            self.noise = min(MAX_NOISE, max(LEAST_NOISE, self.noise * exp(LEARNING * (min(surprise, 9.0) - 1.0))))


def phase_error(start: float, planned: float, period_s: float) -> float:
    """How far ahead the clock was that started a frame at `start` instead of the nearest occurrence of `planned`."""
    late = start - planned
    return -(late - period_s * floor(late / period_s + 0.5))


def _carry(at: float, to: float) -> tuple[float, float, float]:
    """What a second of rate and the two swings make of the offset between two instants."""
    begin, end = _W * (at % DAY_S), _W * (to % DAY_S)
    return to - at, (sin(end) - sin(begin)) / _W, (cos(begin) - cos(end)) / _W


def _carried(x: Vector, at: float, to: float) -> Vector:
    rate, cosine, sine = _carry(at, to)
    return [x[0] + rate * x[1] + cosine * x[2] + sine * x[3], x[1], x[2], x[3]]


def _moved(x: Vector, p: list[Vector], at: float, to: float, noise: float) -> tuple[Vector, list[Vector]]:
    """State and covariance at another instant."""
    step = _carry(at, to)
    moved = _carried(x, at, to)
    # F P F', where F is the identity but for its first row (1, *step).
    column = [row[0] + step[0] * row[1] + step[1] * row[2] + step[2] * row[3] for row in p]
    corner = column[0] + step[0] * column[1] + step[1] * column[2] + step[2] * column[3]
    out = [[corner, column[1], column[2], column[3]]]
    out += [[column[i], p[i][1], p[i][2], p[i][3]] for i in (1, 2, 3)]
    seconds = abs(to - at)
    wander = noise * WANDER * WANDER / DAY_S * seconds
    out[0][0] += wander * seconds * seconds / 3
    out[0][1] += wander * seconds / 2
    out[1][0] += wander * seconds / 2
    out[1][1] += wander
    swing = wander / 8
    out[2][2] += swing
    out[3][3] += swing
    return moved, out


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(ClockFilter)
