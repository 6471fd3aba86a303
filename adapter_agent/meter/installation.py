"""What the decoder of a meter that may encrypt by itself knows of its place: key, identity, where the rest goes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meterwire.ids import MeterId
from meterwire.seal import Key16

OMS_PORT: Final = 19  # OMS upper layers as they are (design 5.1)
METER_PORT: Final = 18  # whatever else the meter protected itself [0213]


@dataclass(frozen=True, slots=True)
class Passed:
    """A telegram that is passed through as the meter protected it; `reason` is a code for the log."""

    port: int
    payload: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Installation:
    """`key` gives the meter's key as it is now; `passed` takes what cannot be opened here.

    `meter`: whose telegrams count where many meters are in reach; None: only those that the key proves authentic.
    `checks` false: the receiver has taken the link layer's checksums away.
    """

    key: Callable[[], Key16 | None] = lambda: None
    passed: Callable[[Passed], None] = lambda passed: None
    meter: MeterId | None = None
    checks: bool = True
