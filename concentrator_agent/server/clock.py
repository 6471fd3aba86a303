"""When an uplink was received: the gateway's own time where it has one, else its counter tied to our clock."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from concentrator_agent.server.timekeeping import JUMP_S, REFERENCED
from edge.clock import Clock
from meterwire.messages import TimeQuality

WRAP: Final = 1 << 32
MAX_DEVIATION_S: Final = 5.0  # a gateway's clock further off than this is not believed
MAX_APART_S: Final = 0.5  # … nor is one so far off while NTP keeps our own: nobody authenticates a gateway
MAX_LATENESS_S: Final = 1.0  # a copy that seems to have waited longer means that a clock was set or a gateway restarted
MIN_OVER_S: Final = 60.0
MINIMA: Final = 16  # minutes that the line of a counter's drift goes through
LINE_OF: Final = 4
MAX_COUNTER_RATE: Final = 150e-6  # s/s, gateway and host together

Point = tuple[float, float]  # arrival, arrival minus counter


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
        on_gateway_time: Callable[[str, float], None] = lambda gateway, unix: None,
    ) -> None:
        """`on_gateway_time` is told of each packet that a gateway itself dates, before that is judged."""
        self._clock = clock
        self._host_quality = host_quality
        self._on_suspicion = on_suspicion
        self._on_gateway_time = on_gateway_time
        self._offset = clock.time() - clock.monotonic()
        self._ties: dict[str, _Tie] = {}

    def stamp(self, gateway: str, tmst: int, arrival: float, gateway_time: float | None) -> tuple[float, TimeQuality]:
        """(Unix time of the end of reception, what it rests on). Never later than `arrival` by our own clock."""
        self._set_by()
        if gateway_time is not None:
            self._on_gateway_time(gateway, gateway_time)
            arrival += self._set_by()  # it was read before that
        tie = self._ties.get(gateway)
        if tie is None:
            tie = self._ties[gateway] = _Tie()
        ours, quality = tie.unix(tmst, arrival), self._host_quality()
        if gateway_time is not None:
            offset = gateway_time - arrival
            known = quality in REFERENCED and abs(gateway_time - ours) > MAX_APART_S
            if -MAX_DEVIATION_S <= offset <= MAX_DEVIATION_S and not known:
                return gateway_time, "gps"
            self._on_suspicion(gateway, offset)
        return ours, quality

    def _set_by(self) -> float:
        """Seconds by which our clock was set since the last packet; the counters are tied to it anew then."""
        before, self._offset = self._offset, self._clock.time() - self._clock.monotonic()
        jump = self._offset - before
        if abs(jump) < JUMP_S:
            return 0.0
        self._ties.clear()
        return jump

    def counter(self, gateway: str, unix: float) -> int | None:
        """The value (32 bits, us) of the gateway's counter at a Unix time soon; None before it was heard."""
        tie = self._ties.get(gateway)
        return None if tie is None else tie.counter(unix)


class _Tie:
    """One gateway's counter against our clock: `unix = counter + offset`.

    The least offset of each minute or more lies close to the truth, and through those of the last quarter of an hour
    goes a line: how fast the counter runs. Along it the best of them all counts, so a stamp is as good as the least
    delay lately, whatever the drift.
    """

    __slots__ = ("_best", "_last", "_minima", "_rate", "_since", "_turns")

    def __init__(self) -> None:
        self._last = 0
        self._turns = 0
        self._since = float("-inf")
        self._best: Point | None = None  # of the minute under way
        self._minima: deque[Point] = deque(maxlen=MINIMA)
        self._rate = 0.0  # of the offset, in s/s

    def unix(self, tmst: int, arrival: float) -> float:
        turns = self._turns
        if tmst < self._last and self._last - tmst > WRAP // 2:
            turns += 1
        elif tmst > self._last and tmst - self._last > WRAP // 2 and turns:
            turns -= 1  # a late copy from before the wrap
        counter = (tmst + turns * WRAP) / 1e6
        point = (arrival, arrival - counter)
        known = self._known(arrival)
        if known is not None and abs(point[1] - known) > MAX_LATENESS_S:
            self._minima.clear()
            self._rate, self._best, self._since, known = 0.0, point, arrival, None
        elif arrival - self._since > MIN_OVER_S:
            self._close()
            self._best, self._since = point, arrival
        elif self._best is None or point[1] < self._moved(self._best, arrival):
            self._best = point
        self._last, self._turns = tmst, turns
        return counter + (point[1] if known is None else min(known, point[1]))

    def counter(self, unix: float) -> int | None:
        """The least delay makes it early by as much: below a millisecond on a local network."""
        offset = self._known(unix)
        return None if offset is None else round((unix - offset) * 1e6) % WRAP

    def _known(self, arrival: float) -> float | None:
        """The least offset of the last minutes, as it should be now."""
        points = [*self._minima] if self._rate else [*self._minima][-1:]
        if self._best is not None:
            points.append(self._best)
        return min((self._moved(point, arrival) for point in points), default=None)

    def _moved(self, point: Point, arrival: float) -> float:
        return point[1] + self._rate * (arrival - point[0])

    def _close(self) -> None:
        """A minute is over: keep its least offset, and fit the line anew."""
        if self._best is None:
            return
        self._minima.append(self._best)
        if len(self._minima) >= LINE_OF:
            self._rate = max(-MAX_COUNTER_RATE, min(MAX_COUNTER_RATE, _slope(self._minima)))


def _slope(points: Sequence[Point]) -> float:
    """Least squares."""
    count = len(points)
    middle, level = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - level) for x, y in points) / spread if spread else 0.0
