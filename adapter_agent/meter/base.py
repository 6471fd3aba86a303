"""What every meter interface offers: bytes of the meter in, readings out."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from meterwire.reading import Reading


class MeterInterface(Protocol):
    """A decoder for one stream of bytes. It never raises on what a meter or a bad line sends: it counts instead.

    `refused` tells, per reason, how many telegrams were not used.
    """

    @property
    def refused(self) -> Mapping[str, int]: ...

    def feed(self, data: bytes) -> list[Reading]:
        """The readings completed by `data`, in the order they came."""
        ...

    def close(self) -> list[Reading]:
        """The stream has ended: the readings that this completes; what is still open counts as refused."""
        ...


MeterFactory: TypeAlias = Callable[[], MeterInterface]
