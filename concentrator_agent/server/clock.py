"""When an uplink was received: the gateway's own time where it has one, else its counter tied to our clock."""

from collections.abc import Callable
from typing import Final

from edge.clock import Clock
from meterwire.messages import TimeQuality

WRAP: Final = 1 << 32
MAX_DEVIATION_S: Final = 5.0  # a gateway's clock further off than this is not believed
MAX_LATENESS_S: Final = 1.0  # a copy that seems to have waited longer means that a clock was set or a gateway restarted
MIN_OVER_S: Final = 60.0


class ReceptionClock:
    """Turns (gateway, counter value, arrival) into the Unix time of the end of reception.

    Datagrams are read some time after the radio was done; the least delay seen lately between a gateway's counter and
    our clock removes most of that.
    """

    def __init__(
        self,
        clock: Clock,
        host_quality: Callable[[], TimeQuality],
        on_suspicion: Callable[[str, float], None] = lambda gateway, offset_s: None,
    ) -> None:
        self._clock = clock
        self._host_quality = host_quality
        self._on_suspicion = on_suspicion
        self._ties: dict[str, _Tie] = {}

    def stamp(self, gateway: str, tmst: int, arrival: float, gateway_time: float | None) -> tuple[float, TimeQuality]:
        """(Unix time of the end of reception, what it rests on). Never later than `arrival` by our own clock."""
        if gateway_time is not None:
            offset = gateway_time - arrival
            if -MAX_DEVIATION_S <= offset <= MAX_DEVIATION_S:
                return gateway_time, "gps"
            self._on_suspicion(gateway, offset)
        tie = self._ties.get(gateway)
        if tie is None:
            tie = self._ties[gateway] = _Tie()
        return tie.unix(tmst, arrival), self._host_quality()


class _Tie:
    """One gateway's counter against our clock: `unix = counter + offset`, the least offset of the last minutes."""

    __slots__ = ("_last", "_old", "_since", "_turns", "_young")

    def __init__(self) -> None:
        self._last = 0
        self._turns = 0
        self._since = float("-inf")
        self._young = self._old = float("inf")

    def unix(self, tmst: int, arrival: float) -> float:
        turns = self._turns
        if tmst < self._last and self._last - tmst > WRAP // 2:
            turns += 1
        elif tmst > self._last and tmst - self._last > WRAP // 2 and turns:
            turns -= 1  # a late copy from before the wrap
        counter = (tmst + turns * WRAP) / 1e6
        offset = arrival - counter
        best = min(self._young, self._old, offset)
        if offset - best > MAX_LATENESS_S or min(self._young, self._old) - offset > MAX_LATENESS_S:
            self._young, self._old, self._since, best = offset, offset, arrival, offset
        elif arrival - self._since > MIN_OVER_S:
            self._old, self._young, self._since = self._young, offset, arrival
        else:
            self._young = min(self._young, offset)
        self._last, self._turns = tmst, turns
        return counter + best
