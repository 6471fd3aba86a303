"""Time from the gateways' GPS receivers: what they stamp their packets with, against when these arrive here."""

import logging
from collections.abc import Callable
from statistics import median
from typing import Final

from concentrator_agent.timesource.discipline import Discipline, Outcome, Sample
from edge.steered_clock import SteeredClock

log = logging.getLogger(__name__)

OVER_S: Final = 60.0  # the packet with the least delay of each minute counts
UNCERTAINTY_S: Final = 0.01  # what that delay still is: forwarder, network, this machine
MAX_GATEWAYS: Final = 32


class GatewayTime:
    """A gateway's stamp is never later than its arrival, so the largest difference lies closest to the truth."""

    def __init__(
        self,
        clock: SteeredClock,
        discipline: Discipline,
        on_set: Callable[[str], None] = lambda outcome: None,
        note: Callable[..., None] = lambda reason, **detail: None,
    ) -> None:
        """`on_set` and `note` as those of SntpClient."""
        self._clock = clock
        self._discipline = discipline
        self._on_set = on_set
        self._note = note
        self._since: float | None = None
        self._best: dict[str, tuple[float, float]] = {}  # offset, monotonic

    def heard(self, gateway: str, gateway_time: float) -> Outcome | None:
        """A packet has come now that a gateway with GPS received at `gateway_time` (Unix s)."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now if self._discipline.ever else now - OVER_S
        offset = gateway_time - now
        best = self._best.get(gateway)
        if best is None and len(self._best) >= MAX_GATEWAYS:
            return None
        if best is None or offset > best[0]:
            self._best[gateway] = offset, now
        if now - self._since < OVER_S:
            return None
        return self._close(now)

    def _close(self, now: float) -> Outcome:
        """A minute is over. With several gateways the one in the middle counts: one alone may be wrong."""
        found = sorted(self._best.values())
        offset = median(offset for offset, _ in found)
        self._best, self._since = {}, now
        outcome = self._discipline.take(Sample(now, offset, UNCERTAINTY_S))
        if outcome in ("first", "stepped"):
            self._on_set(outcome)
        elif outcome != "taken":
            off = self._discipline.last_offset_s
            log.warning("the gateways contradict this clock", extra={"outcome": outcome, "offset_s": off})
            offset_ms = None if off is None else round(off * 1000, 1)
            self._note("source_off", offset_ms=offset_ms, refused=outcome == "refused")
        return outcome
