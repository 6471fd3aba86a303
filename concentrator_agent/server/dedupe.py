"""Gathers the copies of one uplink that several gateways heard. Pure: time is an argument, in monotonic seconds."""

from collections import deque
from typing import Final

from concentrator_agent.radio.base import Reception

REMEMBER_S: Final = 0.8  # later copies are strays; a device repeats itself after 1 s at the earliest
MAX_COPIES: Final = 32
MAX_FRAMES: Final = 50_000


class Uplink:
    """One frame with its copies, the one with the best SNR first once it is `due`.

    `arrived` and `due` are monotonic seconds; `arrived` stands for the end of the uplink when windows are counted.
    """

    __slots__ = ("arrived", "closed", "copies", "due")

    def __init__(self, first: Reception, arrived: float, due: float) -> None:
        self.copies = [first]
        self.arrived = arrived
        self.due = due
        self.closed = False

    @property
    def best(self) -> Reception:
        return self.copies[0]

    @property
    def phy(self) -> bytes:
        return self.copies[0].phy


class Dedupe:
    """The key is the whole PHYPayload: one gateway may report a near device on two frequencies."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._frames: dict[bytes, Uplink] = {}
        self._waiting: deque[Uplink] = deque()
        self._closed: deque[Uplink] = deque()
        self.late = 0  # copies that came after their window
        self.overflow = 0  # frames refused because too many were under way

    def add(self, reception: Reception, now: float, *, alone: bool = False) -> bool:
        """Take a copy; true when it is the first of its frame. `alone`: no other gateway is there to be waited for."""
        self.forget(now)
        uplink = self._frames.get(reception.phy)
        if uplink is not None:
            if uplink.closed:
                self.late += 1
            elif len(uplink.copies) < MAX_COPIES:
                uplink.copies.append(reception)
            return False
        if len(self._frames) >= MAX_FRAMES:
            self.overflow += 1
            return False
        uplink = Uplink(reception, now, now if alone else now + self._window_s)
        self._frames[reception.phy] = uplink
        if alone:
            self._waiting.appendleft(uplink)
        else:
            self._waiting.append(uplink)
        return True

    def next_due(self) -> float | None:
        """When the next frame is complete; None when none waits."""
        return self._waiting[0].due if self._waiting else None

    def take(self, now: float, limit: int) -> list[Uplink]:
        """The frames whose window is over, oldest first, at most `limit`."""
        taken: list[Uplink] = []
        while self._waiting and self._waiting[0].due <= now and len(taken) < limit:
            uplink = self._waiting.popleft()
            if len(uplink.copies) > 1:
                uplink.copies.sort(key=_snr, reverse=True)
            uplink.closed = True
            uplink.due = now
            self._closed.append(uplink)
            taken.append(uplink)
        self.forget(now)
        return taken

    def forget(self, now: float) -> None:
        """Let go of frames whose late copies need not be expected any more."""
        while self._closed and self._closed[0].due + REMEMBER_S <= now:
            del self._frames[self._closed.popleft().phy]

    @property
    def under_way(self) -> int:
        return len(self._waiting)


def _snr(reception: Reception) -> tuple[float, float]:
    return reception.snr, reception.rssi
