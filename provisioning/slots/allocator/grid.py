"""The frame as bits: 8 channels by 15 minutes are 120 chunks, each one integer with a bit per quantum."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from meterwire.errors import ValueOutOfRange
from meterwire.slots import CHANNELS, FRAME_S, MAX_LENGTH_MS, PERIODS, check_quantum

MINUTE_MS: Final = 60_000
FRAME_MS: Final = FRAME_S * 1000
MINUTES: Final = FRAME_S // 60
CHUNKS: Final = CHANNELS * MINUTES
MAX_RESERVE: Final = 0.1
RESERVE_PERIOD_S: Final = 300  # 2.5 % of it are 7.5 s in one piece: any frame fits in


class Place(NamedTuple):
    """Where a slot lies: channel (0 to 7) and phase (ms, modulo the slot's period)."""

    channel: int
    phase_ms: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Time without slots, on all channels: the reserve, the beacon, or a downlink window of the concentrator, which is
    deaf while it sends. `period_s` is 60, 300 or 900; it must not cross the end of a minute. ValueOutOfRange.
    """

    phase_ms: int
    period_s: int
    length_ms: int

    def __post_init__(self) -> None:
        if self.period_s not in PERIODS[:3]:
            raise ValueOutOfRange(f"time is closed every 60, 300 or 900 s, not every {self.period_s} s")
        if not 0 <= self.phase_ms < self.period_s * 1000:
            raise ValueOutOfRange(f"closed time begins in its period of {self.period_s} s, not at {self.phase_ms} ms")
        if self.length_ms < 1 or self.phase_ms % MINUTE_MS + self.length_ms > MINUTE_MS:
            raise ValueOutOfRange(f"closed time of {self.length_ms} ms must end within the minute in which it begins")


OPEN_MINUTE: Final = Closed(RESERVE_PERIOD_S * 1000 - MINUTE_MS, RESERVE_PERIOD_S, MINUTE_MS)  # taken last


def is_open_minute(chunk: int) -> bool:
    """Whether a chunk is one of those that end with the reserve."""
    return (chunk % MINUTES + 1) % (RESERVE_PERIOD_S // 60) == 0


def reserved(share: float) -> Closed | None:
    """The time for frames without a slot (joins, confirmations, keys): the end of every fifth minute; None for 0.

    ValueOutOfRange for a share over MAX_RESERVE.
    """
    if not 0 <= share <= MAX_RESERVE:
        raise ValueOutOfRange(f"the reserve is 0 to {MAX_RESERVE:.0%} of the time, not {share:.1%}")
    length_ms = round(share * RESERVE_PERIOD_S * 1000)
    return Closed(RESERVE_PERIOD_S * 1000 - length_ms, RESERVE_PERIOD_S, length_ms) if length_ms else None


class Grid:
    """A plan's `quantum_ms` and its closed time. `closed` holds a mask per minute of the frame."""

    def __init__(self, quantum_ms: int, closed: Iterable[Closed] = ()) -> None:
        self.quantum_ms = check_quantum(quantum_ms)
        self.bits = MINUTE_MS // quantum_ms
        self.full = (1 << self.bits) - 1
        self.closed = [0] * MINUTES
        for part in closed:
            minute, begin_ms = divmod(part.phase_ms, MINUTE_MS)
            begin, end = begin_ms // quantum_ms, -(-(begin_ms + part.length_ms) // quantum_ms)
            for k in range(minute, MINUTES, part.period_s // 60):
                self.closed[k] |= (1 << end) - (1 << begin)
        self.capacity = CHANNELS * sum(self.bits - mask.bit_count() for mask in self.closed)

    def quanta(self, length_ms: int) -> int:
        """The length in quanta, rounded up. ValueOutOfRange."""
        if not 1 <= length_ms <= MAX_LENGTH_MS:
            raise ValueOutOfRange(f"a slot is 1 to {MAX_LENGTH_MS} ms long, not {length_ms}")
        return -(-length_ms // self.quantum_ms)

    def check(self, place: Place, period_s: int, end: int) -> None:
        """ValueOutOfRange unless a slot at `place` that ends with quantum `end` of its minute is one of this plan."""
        step_of(period_s)
        if not 0 <= place.channel < CHANNELS or not 0 <= place.phase_ms < period_s * 1000:
            raise ValueOutOfRange(
                f"channel {place.channel}, {place.phase_ms} ms is no place in a period of {period_s} s: "
                f"channels are 0 to {CHANNELS - 1} and phases lie in the period"
            )
        if end > self.bits:
            raise ValueOutOfRange(f"the slot at {place.phase_ms} ms crosses the end of a minute, which no slot does")


def step_of(period_s: int) -> int:
    """Minutes between two uses of the frame by a slot: 1, 5, or 15 also for periods over a frame. ValueOutOfRange."""
    if period_s not in PERIODS:
        raise ValueOutOfRange(f"a slot's period is one of {', '.join(map(str, PERIODS))} s, not {period_s}")
    return min(period_s // 60, MINUTES)


def runs(free: int, length: int) -> int:
    """The starts of `length` ones in a row in `free`, by doubling (reference: performance 2)."""
    have = 1
    while have < length and free:
        more = min(have, length - have)
        free &= free >> more
        have += more
    return free


def spans(mask: int) -> list[tuple[int, int]]:
    """Where a mask has ones, as (begin, end)."""
    found, position = [], 0
    while mask:
        zeros = (mask & -mask).bit_length() - 1
        ones = (~(mask >> zeros) & (mask >> zeros) + 1).bit_length() - 1
        found.append((position + zeros, position + zeros + ones))
        position += zeros + ones
        mask >>= zeros + ones
    return found


def nearest(starts: int, wanted: int) -> int | None:
    """The bit set in `starts` that is nearest to `wanted` (0 or more), or None."""
    above, below = starts >> wanted, starts & ((1 << wanted) - 1)
    up = (above & -above).bit_length() - 1 if above else None
    down = wanted - below.bit_length() + 1 if below else None
    if up is None:
        return None if down is None else wanted - down
    return wanted + up if down is None or up <= down else wanted - down
