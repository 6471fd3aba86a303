"""Slots of harmonic periods as rectangles: minutes of the day by milliseconds of the minute, on one channel.

The minutes are renumbered so that those of one slot lie side by side, whatever its period: then two slots meet exactly
where their rectangles overlap, and a database can watch over that. No slot crosses the end of a minute.
"""

from typing import Final, NamedTuple

from meterwire.slots import CHANNELS, PERIODS

MINUTE_MS: Final = 60_000
MINUTES: Final = 1440
SIZES: Final = tuple(MINUTES * 60 // period for period in PERIODS)  # how many minutes of the day a slot takes


class Rectangle(NamedTuple):
    """Renumbered minutes `first` to before `last`, milliseconds `begin` to before `end`."""

    first: int
    last: int
    begin: int
    end: int

    def meets(self, other: "Rectangle") -> bool:
        """Whether the two are ever on the air together."""
        return self.first < other.last and other.first < self.last and self.begin < other.end and other.begin < self.end


def rank(minute: int) -> int:
    """The new number (0 to 1439) of a minute of the day: residues modulo 5, 15 and 60 before the hour."""
    return (((minute % 5) * 3 + minute // 5 % 3) * 4 + minute // 15 % 4) * 24 + minute // 60


def rectangle(line: int, phase_ms: int, period_s: int, length_ms: int) -> Rectangle:
    """Where a slot lies on `line`, which numbers the channels of all concentrators."""
    minute, begin = divmod(phase_ms, MINUTE_MS)
    first = line * MINUTES + rank(minute)
    return Rectangle(first, first + MINUTES * 60 // period_s, begin, begin + length_ms)


def line(concentrator: int, channel: int) -> int:
    """The number of a concentrator's channel."""
    return concentrator * CHANNELS + channel
