"""Makes message ids: ULIDs of this clock with the system's randomness."""

import os
from typing import Final

from edge.clock import Clock
from meterwire.messages import ulid

_POOL_BYTES: Final = 640


class Ulids:
    """Calling it gives the next id. Randomness is fetched 64 ids at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pool = b""
        self._used = 0

    def __call__(self) -> str:
        if self._used + 10 > len(self._pool):
            self._pool, self._used = os.urandom(_POOL_BYTES), 0
        self._used += 10
        return ulid(self._clock.time(), self._pool[self._used - 10 : self._used])
