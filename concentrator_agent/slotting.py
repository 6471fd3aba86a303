"""All that has to do with slots, built together: the plan of time, the slots in memory, who keeps them."""

from collections.abc import Collection
from typing import Final

from concentrator_agent import store
from concentrator_agent.config import BeaconSettings
from concentrator_agent.events import Events
from concentrator_agent.server.clearance import Clearance
from concentrator_agent.server.timekeeping import Timekeeper
from concentrator_agent.server.tracking import Tracking
from concentrator_agent.slot_book import SlotBook
from concentrator_agent.timeplan import PLAN, TimePlan
from edge.clock import Clock
from edge.database import Database
from edge.outbox import Entry
from meterwire.lorawan.plan import Region

LOOK_S: Final = 60.0  # so long it takes to look for missed slots of all devices


class Slotting:
    """`own` beacon is sent where the portal plans nothing."""

    def __init__(
        self,
        own: BeaconSettings,
        *,
        region: Region,
        database: Database,
        clock: Clock,
        keeper: Timekeeper,
        events: Events,
    ) -> None:
        self._clock = clock
        self._keeper = keeper
        self._epoch = keeper.epoch  # of the attendance
        self.plan = TimePlan(own, region, store.setting(database.read, PLAN))
        self.book = SlotBook(database.read)
        self.clearance = Clearance(self.plan, self.book, keeper)
        self.tracking = Tracking(keeper, events, region, self.book, self.plan)

    def table_changed(self, dev_euis: Collection[str] | None) -> None:
        """Another revision of the device table holds: a whole one (None), or one in which these devices changed."""
        if dev_euis is None:
            self.book.load()
        else:
            self.book.change(dev_euis, self._clock.monotonic())

    def look(self, passed_s: float) -> list[Entry]:
        """Every `passed_s` seconds, after the keeper's look: events about devices that miss their slot."""
        now = self._keeper.slot_time(self._clock.time())
        if self._epoch != self._keeper.epoch:
            self._epoch = self._keeper.epoch
            self.book.attendance.begin_anew(now)
        return self.tracking.silent(now, passed_s / LOOK_S)

    def tidy(self) -> None:
        """Now and then."""
        self.book.tidy(self._clock.monotonic())
