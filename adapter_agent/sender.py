"""The order of things on the radio: registration after a join, then telegrams, regularly and when something changes."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from adapter_agent import __version__
from adapter_agent.dates import Dates
from adapter_agent.radio.base import AdapterRadio, Sent
from adapter_agent.slot_timer import SlotTimer
from adapter_agent.source import Source
from adapter_agent.waiting import wait_for
from edge.clock import Clock
from meterwire import config_records
from meterwire.config_records import CounterReport, FirmwareReport
from meterwire.counter import LIMIT
from meterwire.errors import MeterspanError
from meterwire.values_telegram import PORT as VALUES_PORT

log = logging.getLogger(__name__)

T = TypeVar("T")

USUAL_SIZE: Final = 40  # bytes that must be free to send before anything is sealed
REGISTER_AGAIN_S: Final = (5.0, 900.0)
FIRST_READING_S: Final = 2.0  # how often the first reading is looked for
FAULT_S: Final = 60.0  # after a fault that needs a person, such as a full disk
STEP_S: Final = 30.0  # longest wait without a sign of life
WITHIN_S: Final = 10 * STEP_S  # after that long without one, something is stuck


class Sender:
    """Owns the radio's sending side. `on_sent` sees every uplink with data; `progress` is called while all is well."""

    def __init__(
        self,
        radio: AdapterRadio,
        source: Source,
        timer: SlotTimer,
        *,
        dates: Dates,
        clock: Clock,
        confirm_every: int,
        on_sent: Callable[[Sent], None],
        progress: Callable[[], None],
    ) -> None:
        self.sent = self.acknowledged = 0
        self._radio, self._source, self._timer, self._dates, self._clock = radio, source, timer, dates, clock
        self._confirm_every, self._on_sent, self._progress = confirm_every, on_sent, progress
        self._since_confirmed = 0
        self._epoch = radio.epoch  # the session that the next two lines are about; one that was kept has been reported
        self._reported = radio.epoch > 0
        self._register_at, self._register_pause = 0.0, REGISTER_AGAIN_S[0]

    async def run(self) -> None:
        """Until cancelled."""
        await self._patiently(self._radio.ready(USUAL_SIZE))
        due = self._register_at = self._monotonic(self._timer.soon_after(self._clock.time()))
        first = True
        await self._wait(due)
        while True:
            await self._patiently(self._radio.ready(USUAL_SIZE))
            await self._register()
            if self._dates.now() is not None and (self._source.changed.is_set() or due <= self._clock.monotonic()):
                try:
                    something = await self._send_telegrams()
                    if not something and self._dates.stale:
                        await self._send(None, b"", confirmed=False)  # a silent meter is no reason to forget the date
                    first = first and not something
                    now = self._clock.monotonic()
                    due = (
                        now + FIRST_READING_S if first else self._monotonic(self._timer.next_after(self._clock.time()))
                    )
                except MeterspanError as error:
                    log.error("no telegram was made: %s", error, extra={"code": error.code})
                    due = self._clock.monotonic() + FAULT_S
            await self._wait(due)

    async def _register(self) -> None:
        """After each join, before any reading: tell the full inner counter, ask for the time."""
        if self._radio.epoch != self._epoch:
            self._epoch, self._reported = self._radio.epoch, False
            self._register_at, self._register_pause = self._clock.monotonic(), REGISTER_AGAIN_S[0]
        if self._dates.stale:
            self._radio.want_time()
        if not self._registering or self._clock.monotonic() < self._register_at:
            return
        if not self._reported:
            self._reported = await self._report()
        else:
            await self._send(None, b"", confirmed=False)  # the report has arrived, the time has not
        self._register_at = self._clock.monotonic() + self._register_pause
        self._register_pause = min(self._register_pause * 2, REGISTER_AGAIN_S[1])

    @property
    def _registering(self) -> bool:
        return not self._reported or self._dates.now() is None

    async def _report(self) -> bool:
        counter = min(self._source.upcoming, LIMIT - 1)
        firmware = f"adapter {__version__}"[: config_records.MAX_FIRMWARE]
        for part in config_records.encode(0, [CounterReport(counter), FirmwareReport(firmware)]):
            sent = await self._send(config_records.PORT, part, confirmed=True)
            if sent is None or not sent.acknowledged:
                return False
        return True

    async def _send_telegrams(self) -> bool:
        """Whether there was anything to send."""
        telegrams = await self._source.collect(self._radio.max_payload)
        for telegram in telegrams:
            self._since_confirmed += 1
            confirmed = 0 < self._confirm_every <= self._since_confirmed or self._radio.uncertain
            await self._patiently(self._radio.ready(len(telegram.payload)))
            sent = await self._send(VALUES_PORT, telegram.payload, confirmed=confirmed, counter=telegram.counter)
            if sent is not None and sent.acknowledged:
                self._since_confirmed = 0
        return bool(telegrams)

    async def _send(
        self, port: int | None, payload: bytes, *, confirmed: bool, counter: int | None = None
    ) -> Sent | None:
        try:
            sent = await self._patiently(self._radio.send(port, payload, confirmed=confirmed))
        except MeterspanError as error:
            log.warning("not sent: %s", error, extra={"port": port, "counter": counter, "code": error.code})
            return None
        if port is not None:
            self.sent += 1
            self.acknowledged += sent.acknowledged
            self._on_sent(replace(sent, counter=counter))
        return sent

    async def _wait(self, due: float) -> None:
        """Until the next regular telegram, the next attempt to register, a change worth telling or a new session.

        All times here are monotonic.
        """
        until = self._register_at if self._dates.now() is None else due
        if self._registering:
            until = min(until, self._register_at)
        while (left := until - self._clock.monotonic()) > 0 and self._radio.epoch == self._epoch:
            self._progress()
            if self._dates.now() is None:
                await self._clock.sleep(min(left, STEP_S))
            elif await wait_for(self._source.changed, self._clock, min(left, STEP_S)):
                return

    def _monotonic(self, moment: float) -> float:
        """The monotonic time of a Unix time ahead: a clock that is set meanwhile moves no telegram."""
        return self._clock.monotonic() + moment - self._clock.time()

    async def _patiently(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something that may take for ever, such as a network in reach, and say meanwhile that all is well."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                self._progress()
                sleeping = asyncio.ensure_future(self._clock.sleep(STEP_S))
                await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
                sleeping.cancel()
            return task.result()
        finally:
            task.cancel()
