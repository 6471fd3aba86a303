"""What an adapter signs of a day, and the entries of the tree that it signs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.signed_day.tree import leaf_hash, root

LABEL: Final = b"mspan signed day v1"
DAY_S: Final = 86_400
MAX_LEAVES: Final = 0xFFFF  # of one day
MAX_DAY: Final = 0xFFFF
EPOCH: Final = date(1970, 1, 1)


def leaf(dev_eui: DevEUI, counter: int, port: int, payload: bytes) -> bytes:
    """The leaf hash of one telegram: over DevEUI 8, full counter 4, port 1 and the bytes as they were sent."""
    return leaf_hash(dev_eui.bytes + counter.to_bytes(4) + bytes([port]) + payload)


def day_number(unix_s: float) -> int:
    """The UTC day in which a moment lies: days since 1970-01-01. ValueOutOfRange for one that no frame can name."""
    return _checked(int(unix_s // DAY_S))


def date_of(day: int) -> date:
    """The date of a day number."""
    return EPOCH + timedelta(days=_checked(day))


def number_of(day: date) -> int:
    """The day number of a date."""
    return _checked((day - EPOCH).days)


def begin_of(day: int) -> datetime:
    """The first moment of a day, in UTC."""
    return datetime.fromtimestamp(_checked(day) * DAY_S, UTC)


@dataclass(frozen=True, slots=True)
class Statement:
    """A day of one adapter: how many telegrams, from which counter to which, and the root of their tree.

    Counters between `first` and `last` that have no leaf were never used: a restart skips some.
    """

    dev_eui: DevEUI
    day: int
    leaves: int
    first: int
    last: int
    root: bytes

    @classmethod
    def of(cls, dev_eui: DevEUI, day: int, leaves: Iterable[tuple[int, bytes]]) -> "Statement":
        """Over (counter, leaf hash) in rising order of counters, at least one. ValueOutOfRange."""
        found = list(leaves)
        counters = [counter for counter, _ in found]
        if not 1 <= len(found) <= MAX_LEAVES or any(a >= b for a, b in pairwise(counters)):
            raise ValueOutOfRange(f"a day has 1 to {MAX_LEAVES} telegrams in the order of their counters")
        return cls(dev_eui, day, len(found), counters[0], counters[-1], root([digest for _, digest in found]))

    @property
    def message(self) -> bytes:
        """The octets that are signed: label 19, DevEUI 8, day 2, leaves 2, first counter 4, last counter 4, root 32."""
        return (
            LABEL
            + self.dev_eui.bytes
            + self.day.to_bytes(2)
            + self.leaves.to_bytes(2)
            + self.first.to_bytes(4)
            + self.last.to_bytes(4)
            + self.root
        )


def _checked(day: int) -> int:
    if not 0 <= day <= MAX_DAY:
        raise ValueOutOfRange(f"day {day} after 1970-01-01 cannot be named in two bytes")
    return day
