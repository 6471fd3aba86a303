"""When the next regular telegram is due: a phase of the adapter's own in every period, so that adapters do not meet."""

from hashlib import sha256
from math import floor
from random import Random
from typing import Final

from meterwire.ids import DevEUI

FIRST_WITHIN_S: Final = 10.0


class SlotTimer:
    """Instants phase + n * period, each up to `jitter` * period late. The phase follows from the DevEUI, which gives
    the `share` (0 to 1) of the period.
    """

    def __init__(self, dev_eui: DevEUI, period_s: float, jitter: float, random: Random) -> None:
        self.share = int.from_bytes(sha256(dev_eui.bytes).digest()[:8], "big") / 2**64
        self._jitter, self._random = jitter, random
        self.retime(period_s)

    def retime(self, period_s: float) -> None:
        """Go on with another period."""
        self._period_s, self._phase_s, self._jitter_s = period_s, self.share * period_s, self._jitter * period_s

    def soon_after(self, now: float) -> float:
        """When to send for the first time: soon, but not all adapters that got power together at once."""
        return now + self._random.uniform(0.0, min(self._jitter_s, FIRST_WITHIN_S))

    def next_after(self, now: float) -> float:
        """The next instant whose undelayed time lies after `now` (Unix seconds)."""
        periods = floor((now - self._phase_s) / self._period_s) + 1
        return periods * self._period_s + self._phase_s + self._random.uniform(0.0, self._jitter_s)
