"""What flows through a simulated meter: power and exact cumulative energy as pure functions of seed and Unix time.

Energy is counted in whole milliwatt hours. A day's energy has a closed form (so that any instant costs the same,
however far from the start), is shared out to quarter hours, these to minutes, and inside a minute it runs straight;
every share is an integer division, so the count never falls and never depends on what was asked before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import cos, pi, sin
from typing import Final, Protocol

from adapter_agent.simulation.noise import uniform

EPOCH: Final = 1_577_836_800  # 2020-01-01: registers stand at zero before
YEAR_DAYS: Final = 365.25
QUARTERS: Final = 96
MINUTE_US: Final = 60_000_000
LOCAL_HOURS: Final = 1  # people live by Central European Time; its summer hour would not show in a chart
MWH: Final = 1_000_000  # milliwatt hours in a kilowatt hour

_NIGHT = (22, 6)  # second tariff, local hours
_YIELD = 620 * MWH  # fed in per kWp and year, about two thirds of the harvest
_NOON = 45  # quarter hour (UTC) of the sun's highest point in the middle of Germany


@dataclass(frozen=True, slots=True)
class Habit:
    """How a kind of consumer spreads its energy: 24 hourly weights for a working day and for a day off, the energy of
    a day off against a working day, the swing over the year (peak in January) and how often something big is on."""

    working: tuple[float, ...]
    off: tuple[float, ...]
    off_energy: float
    winter: float
    bursts: float


HABITS: Final[dict[str, Habit]] = {
    "household": Habit(
        working=(3, 2, 2, 2, 2, 3, 7, 9, 7, 6, 6, 7, 9, 8, 6, 6, 7, 10, 14, 15, 13, 11, 8, 5),
        off=(4, 3, 2, 2, 2, 2, 3, 5, 8, 11, 12, 13, 15, 12, 10, 9, 9, 11, 13, 14, 12, 11, 9, 6),
        off_energy=1.15,
        winter=0.18,
        bursts=0.07,
    ),
    "heat-pump": Habit(
        working=(8, 8, 9, 9, 10, 12, 13, 12, 10, 9, 8, 8, 7, 7, 7, 8, 9, 10, 10, 10, 9, 9, 8, 8),
        off=(8, 8, 9, 9, 10, 11, 12, 12, 11, 10, 8, 8, 7, 7, 7, 8, 9, 10, 10, 10, 9, 9, 8, 8),
        off_energy=1.0,
        winter=0.75,
        bursts=0.2,
    ),
    "common": Habit(  # stairwell, lift, cellar light
        working=(3, 3, 3, 3, 3, 5, 9, 9, 6, 5, 5, 5, 6, 5, 5, 6, 8, 10, 10, 9, 7, 6, 5, 4),
        off=(4, 3, 3, 3, 3, 3, 4, 5, 7, 8, 8, 8, 7, 6, 6, 6, 7, 8, 9, 8, 7, 6, 5, 5),
        off_energy=0.9,
        winter=0.3,
        bursts=0.02,
    ),
}


class Flow(Protocol):
    """One direction of energy: its closed form by day and its shape inside a day.

    `minutes` says how restless it is inside a quarter hour: the weight every minute has and what chance adds at most.
    """

    @property
    def minutes(self) -> tuple[int, int]: ...

    def until(self, day: int) -> float:
        """Expected milliwatt hours from day 0 (Unix) to the start of `day`; rises strictly."""

    def weights(self, day: int) -> Sequence[int]:
        """96 shares of `day`, not all zero, quarter hours of UTC."""


class Register:
    """The count of one flow in milliwatt hours, zero until EPOCH."""

    def __init__(self, flow: Flow, seed: int, name: str, spread: float) -> None:
        self._flow, self._seed, self._name, self._spread = flow, seed, name, spread
        self._day = lru_cache(maxsize=4)(self._quarters)
        self._quarter = lru_cache(maxsize=8)(self._minutes)
        self._zero = self._until(EPOCH // 86400)

    def at(self, unix: float) -> int:
        """Milliwatt hours counted up to `unix`."""
        day, quarter, minute, us = _split(unix)
        if unix <= EPOCH:
            return 0
        minutes = self._quarter(day, quarter)
        return minutes[minute] + (minutes[minute + 1] - minutes[minute]) * us // MINUTE_US

    def power(self, unix: float) -> int:
        """Milliwatts flowing at `unix`: the slope of the count."""
        if unix <= EPOCH:
            return 0
        day, quarter, minute, _ = _split(unix)
        minutes = self._quarter(day, quarter)
        return (minutes[minute + 1] - minutes[minute]) * 60

    def _until(self, day: int) -> int:
        # The share of the next day that comes early differs from day to day, which makes days differ while the sum
        # keeps its closed form; a spread below one keeps every day above nothing.
        early = self._flow.until(day + 1) - self._flow.until(day)
        return int(self._flow.until(day) + self._spread * early * uniform(self._seed, self._name, day))

    def _quarters(self, day: int) -> tuple[int, ...]:
        start, end = self._until(day), self._until(day + 1)
        return _share(start - self._zero, end - start, self._flow.weights(day))

    def _minutes(self, day: int, quarter: int) -> tuple[int, ...]:
        quarters = self._day(day)
        floor, peak = self._flow.minutes
        weights = [
            floor + int(peak * uniform(self._seed, self._name, day, quarter, minute) ** 4) for minute in range(15)
        ]
        return _share(quarters[quarter], quarters[quarter + 1] - quarters[quarter], weights)


@dataclass(frozen=True, slots=True)
class Consumption:
    """Energy drawn: a habit, milliwatt hours a year, hours of the day it happens in and the export window it avoids."""

    seed: int
    habit: Habit
    yearly: float
    hours: frozenset[int] = frozenset(range(24))
    sun: "Sunshine | None" = None
    minutes: tuple[int, int] = (300, 1200)

    def until(self, day: int) -> float:
        daily = self.yearly / YEAR_DAYS
        return daily * (_weeks(day, self.habit.off_energy) + self.habit.winter * _season(day, peak=15))

    def weights(self, day: int) -> Sequence[int]:
        hourly = self.habit.off if _weekday(day) > 4 else self.habit.working
        exported = self.sun.window(day) if self.sun else range(0)
        return [self._weight(day, quarter, hourly) if quarter not in exported else 0 for quarter in range(QUARTERS)]

    def _weight(self, day: int, quarter: int, hourly: Sequence[float]) -> int:
        hour = (quarter // 4 + LOCAL_HOURS) % 24
        if hour not in self.hours:
            return 0
        following = hourly[(hour + 1) % 24]
        level = hourly[hour] + (following - hourly[hour]) * (quarter % 4) / 4
        level *= 0.6 + 0.8 * uniform(self.seed, "level", day, quarter)
        if level > 4 and uniform(self.seed, "burst", day, quarter) < self.habit.bursts:
            level *= 2
        return int(100 * level)


@dataclass(frozen=True, slots=True)
class Sunshine:
    """Energy fed in by a roof of `kwp`: what remains after the house has used its share."""

    seed: int
    kwp: float
    minutes: tuple[int, int] = (900, 300)

    def until(self, day: int) -> float:
        daily = self.kwp * _YIELD / YEAR_DAYS
        return daily * (day + 0.85 * _season(day, peak=172))

    def window(self, day: int) -> range:
        """The quarter hours of `day` in which the roof gives more than the house takes."""
        half = 16 + 10 * cos(2 * pi * (day - 10_957 - 172) / YEAR_DAYS)
        half *= 0.9 + 0.1 * uniform(self.seed, "clear", day)
        return range(_NOON - int(half), _NOON + int(half) + 1)

    def weights(self, day: int) -> Sequence[int]:
        window = self.window(day)
        clouds = uniform(self.seed, "clouds", day)
        weights = [0] * QUARTERS
        for step, quarter in enumerate(window, 1):
            height = sin(pi * step / (len(window) + 1)) ** 1.4
            weights[quarter] = 1 + int(1000 * height * (1 - clouds * uniform(self.seed, "cloud", day, quarter)))
        return weights


class Load:
    """A metering point: what it draws (in one or two tariffs), what it feeds in, and its mains.

    `seed` makes it itself; `yearly_kwh` is drawn from the grid per year, `kwp` the roof's peak power.
    """

    def __init__(
        self, seed: int, *, yearly_kwh: float, habit: str = "household", kwp: float = 0.0, tariffs: int = 1
    ) -> None:
        if yearly_kwh <= 0 or kwp < 0 or tariffs not in (1, 2):
            raise ValueError("a load draws more than nothing, feeds in nothing or more, and has one or two tariffs")
        self.seed = seed
        sun = Sunshine(seed, kwp) if kwp else None
        night = frozenset(hour for hour in range(24) if hour >= _NIGHT[0] or hour < _NIGHT[1])
        hours = [frozenset(range(24)) - night, night] if tariffs == 2 else [frozenset(range(24))]
        shares = [0.75, 0.25] if tariffs == 2 else [1.0]
        self._tariffs = [
            Register(
                Consumption(seed, HABITS[habit], yearly_kwh * MWH * share, part, sun), seed, f"tariff{number}", 0.7
            )
            for number, (part, share) in enumerate(zip(hours, shares, strict=True), 1)
        ]
        self._export = Register(sun, seed, "export", 0.6) if sun else None

    def imported(self, unix: float, tariff: int = 0) -> int:
        """Milliwatt hours drawn up to `unix`: in tariff 1 or 2, or in all (0)."""
        if tariff:
            return self._tariffs[tariff - 1].at(unix) if tariff <= len(self._tariffs) else 0
        return sum(register.at(unix) for register in self._tariffs)

    def exported(self, unix: float) -> int:
        """Milliwatt hours fed in up to `unix`."""
        return self._export.at(unix) if self._export else 0

    def power(self, unix: float) -> int:
        """Milliwatts at `unix`, negative while feeding in."""
        drawn = sum(register.power(unix) for register in self._tariffs)
        return drawn - (self._export.power(unix) if self._export else 0)


def _split(unix: float) -> tuple[int, int, int, int]:
    seconds, us = divmod(int(unix * 1_000_000), 1_000_000)
    day, second = divmod(seconds, 86400)
    quarter, second = divmod(second, 900)
    minute, second = divmod(second, 60)
    return day, quarter, minute, second * 1_000_000 + us


def _share(start: int, amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Marks from `start` to `start + amount`, spaced by `weights`; one more than there are weights."""
    total = sum(weights)
    return (start, *(start + amount * part // total for part in accumulate(weights)))


def _weekday(day: int) -> int:
    return (day + 3) % 7  # 1970-01-01 was a Thursday


def _weeks(day: int, off_energy: float) -> float:
    """Days up to `day`, those off counted `off_energy` times as much as the others, the week's sum kept at 7."""
    weeks, rest = divmod(day + 3, 7)
    working = 7 / (5 + 2 * off_energy)
    return weeks * 7 + working * (min(rest, 5) + max(0, rest - 5) * off_energy)


def _season(day: int, peak: int) -> float:
    """The integral over days of a yearly cosine with its peak at that day of the year."""
    return YEAR_DAYS / (2 * pi) * sin(2 * pi * (day - 10_957 - peak) / YEAR_DAYS)
