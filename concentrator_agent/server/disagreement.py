"""Do the devices, whose clocks are known, say that it is our own clock that went wrong? Pure."""

from collections import deque
from typing import Final

WITHIN_S: Final = 3600.0
FEWEST: Final = 5  # frames that must contradict
SHARE: Final = 0.8
MAX_FRAMES: Final = 512


class Disagreement:
    """The frames of settled tracks within the last hour: most of them strange at once is no fault of the devices."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, bool]] = deque(maxlen=MAX_FRAMES)

    def note(self, now: float, fits: bool) -> bool:
        """Take one frame; whether most contradict now."""
        if self._frames and now < self._frames[-1][0] - WITHIN_S:
            self._frames.clear()  # our clock was set back
        self._frames.append((now, fits))
        while self._frames[0][0] <= now - WITHIN_S:
            self._frames.popleft()
        strange = sum(not fits for _, fits in self._frames)
        return strange >= FEWEST and strange >= SHARE * len(self._frames)
