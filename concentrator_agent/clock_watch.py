"""Looks after the concentrator's own clock and its source: what happens becomes an event, leap seconds are kept."""

import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal

from concentrator_agent import store
from concentrator_agent.config import Config
from concentrator_agent.events import Events
from concentrator_agent.modes import Gate
from concentrator_agent.server.timekeeping import Notice, Timekeeper
from concentrator_agent.timesource.discipline import Discipline
from concentrator_agent.timesource.gateways import GatewayTime
from concentrator_agent.timesource.sntp import SntpClient
from edge.clock import Clock
from edge.database import Database
from edge.outbox import Entry
from edge.steered_clock import SteeredClock
from edge.timesync import HostClock, host_clock
from meterwire.messages import ClockState

log = logging.getLogger(__name__)

LEAPS: Final = "leaps"
EPOCH: Final = "clock_epoch"
GATEWAY_EVERY_S: Final = 3600.0
SOURCE_EVERY_S: Final = 900.0
_GOOD: Final = frozenset({"settled", "agreed", "synchronised"})


class ClockWatch:
    """`note` takes the events. With a source other than the host, `clock` must be a SteeredClock."""

    def __init__(
        self,
        clock: Clock,
        config: Config,
        *,
        gate: Gate,
        database: Database,
        events: Events,
        note: Callable[[Entry | None], None],
    ) -> None:
        self._database = database
        self._events = events
        self._note = note
        self._kept = store.setting(database.read, LEAPS) or b""
        self._client: SntpClient | None = None
        self._gateways: GatewayTime | None = None
        self._discipline: Discipline | None = None
        self._reference: Literal["ntp", "gps"] = "gps" if config.time.source == "gps" else "ntp"
        if isinstance(clock, SteeredClock):
            self._discipline = Discipline(clock)
        self._kept_epoch = int(store.setting(database.read, EPOCH) or b"0")
        self.keeper = Timekeeper(clock, config.clock.quality, self._ask, leaps=self._kept, epoch=self._kept_epoch)
        if self._discipline is not None and isinstance(clock, SteeredClock):
            if config.time.source == "gps":
                self._gateways = GatewayTime(clock, self._discipline, self._source_set, self._tell_source)
            else:
                self._client = SntpClient(
                    (config.time.server, config.time.port),
                    gate=gate,
                    clock=clock,
                    discipline=self._discipline,
                    poll_s=config.time.poll_s,
                    entropy=secrets.token_bytes,
                    note=self._tell_source,
                    on_set=self._source_set,
                )

    def jobs(self, progress: Callable[[str], Callable[[], None]]) -> list[Coroutine[Any, Any, None]]:
        """What runs beside; `progress` registers a job with the watchdog."""
        return [] if self._client is None else [self._client.run(progress("time source"))]

    def gateway_time(self, gateway: str, unix: float) -> None:
        """A packet came that its gateway dates itself."""
        if self._gateways is not None:
            self._gateways.heard(gateway, unix)

    def state(self) -> ClockState:
        """For the portal."""
        offset = None if self._discipline is None else self._discipline.last_offset_s
        return ClockState(self.keeper.quality(), None if offset is None else round(offset * 1000, 3))

    def look(self) -> None:
        """Once a second."""
        self._tell(self.keeper.look())

    async def refresh(self) -> None:
        """Every ten seconds. Raises StorageError."""
        self._tell(self.keeper.refresh())
        leaps = self.keeper.leaps()
        if leaps != self._kept:
            await self._database.run(lambda connection: store.put_setting(connection, LEAPS, leaps))
            self._kept = leaps
        epoch = self.keeper.epoch
        if epoch != self._kept_epoch:
            await self._database.run(lambda connection: store.put_setting(connection, EPOCH, str(epoch).encode()))
            self._kept_epoch = epoch

    def suspicious_gateway(self, gateway: str, offset_s: float) -> None:
        """A gateway gives a time that is not believed."""
        self._note(
            self._events.rated(
                "clock",
                reason="gateway_off",
                key=(gateway,),
                every_s=GATEWAY_EVERY_S,
                gw=gateway,
                offset_ms=round(offset_s * 1000),
            )
        )

    def _ask(self) -> HostClock:
        source = self._discipline
        if source is None:
            return host_clock()
        return HostClock(source.synchronised, source.leap_soon, self._reference, usable=source.ever)

    def _source_set(self, outcome: str) -> None:
        self.keeper.set_by_source(outcome)
        self._tell(self.keeper.refresh())

    def _tell_source(self, reason: str, **detail: Any) -> None:
        self._note(self._events.rated("clock", reason=reason, every_s=SOURCE_EVERY_S, **detail))

    def _tell(self, notices: list[Notice]) -> None:
        for reason, detail in notices:
            log.log(logging.INFO if reason in _GOOD else logging.WARNING, "clock: %s", reason, extra=detail)
            self._note(self._events.make("clock", reason=reason, **detail))
