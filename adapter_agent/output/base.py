"""What every output offers: a limit is applied, then read back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Output(Protocol):
    """One controllable device. Limits are active power in W; None is no limit."""

    async def apply(self, limit_w: int | None) -> None:
        """Set the limit. Raises MeterspanError where the device refuses or is not there."""
        ...

    async def read_back(self) -> int | None:
        """The limit that the device reports."""
        ...


@dataclass(frozen=True, slots=True)
class OutputKind:
    """A kind of output: the dataclass of its configuration section, and what makes it of such a section."""

    config: type[Any]
    make: Callable[[Any], Output]
