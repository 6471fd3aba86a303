"""Which counters a day used, written as runs: a day has many telegrams and few restarts."""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_LENGTH = 0xFFFF


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """`length` counters from `first` on, without a gap."""

    first: int
    length: int

    @property
    def end(self) -> int:
        """The first counter behind it."""
        return self.first + self.length

    def __contains__(self, counter: int) -> bool:
        return self.first <= counter < self.end


def runs_of(counters: Iterable[int]) -> list[Run]:
    """Rising counters as the fewest runs of at most MAX_LENGTH."""
    found: list[Run] = []
    for counter in counters:
        last = found[-1] if found else None
        if last is not None and counter == last.end and last.length < MAX_LENGTH:
            found[-1] = Run(last.first, last.length + 1)
        else:
            found.append(Run(counter, 1))
    return found
