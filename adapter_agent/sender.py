"""The order of things on the radio: reports, what is said about keys, what may be fetched, then telegrams."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from adapter_agent.clock_talk import ClockTalk
from adapter_agent.commissioning import Commissioning
from adapter_agent.dates import Dates
from adapter_agent.daybook import Daybook
from adapter_agent.inbox import Inbox
from adapter_agent.keys.uplinks import KeyUplinks
from adapter_agent.own_slot import LEAD_S, OwnSlot
from adapter_agent.pace import Pace
from adapter_agent.radio.base import AdapterRadio, Planned, Sent
from adapter_agent.registration import Facts, Registration
from adapter_agent.sealing import Sealed
from adapter_agent.slot_timer import SlotTimer
from adapter_agent.source import Source
from adapter_agent.waiting import wait_for_any
from adapter_agent.walk import AIR_TO_POLL, Walk
from edge.clock import Clock
from meterwire import clock_package, config_records, key_messages
from meterwire.errors import MeterspanError
from meterwire.values_telegram import PORT as VALUES_PORT

log = logging.getLogger(__name__)

T = TypeVar("T")

USUAL_SIZE: Final = 40  # bytes that must be free to send before anything is sealed
REPORT_AGAIN_S: Final = (5.0, 900.0)
FIRST_READING_S: Final = 2.0  # how often the first reading is looked for
WITHOUT_REPORT_S: Final = 60.0  # in commissioning, telegrams wait so long for the report before them
FAULT_S: Final = 60.0  # after a fault that needs a person, such as a full disk
STEP_S: Final = 30.0  # longest wait without a sign of life
HASTY_STEP_S: Final = 2.0  # … while somebody waits for what a meter says
OTHERS_S: Final = 15.0  # what is not for the slot is not begun so shortly before it
WITHIN_S: Final = 10 * STEP_S  # after that long without one, something is stuck


class Sender:
    """Owns the radio's sending side. `on_sent` sees every uplink with data; `progress` is called while all is well."""

    def __init__(
        self,
        radio: AdapterRadio,
        source: Source,
        timer: SlotTimer,
        *,
        slot: OwnSlot,
        talk: ClockTalk,
        inbox: Inbox,
        registration: Registration,
        keys: KeyUplinks,
        commissioning: Commissioning,
        dates: Dates,
        clock: Clock,
        confirm_every: int,
        on_sent: Callable[[Sent], None],
        progress: Callable[[], None],
        daybook: Daybook | None = None,
    ) -> None:
        self.sent = self.acknowledged = 0
        self._radio, self._source, self._timer, self._dates, self._clock = radio, source, timer, dates, clock
        self._inbox, self._registration, self._commissioning = inbox, registration, commissioning
        self._keys, self._slot, self._talk = keys, slot, talk
        self._confirm_every, self._on_sent, self._progress = confirm_every, on_sent, progress
        self._daybook = daybook
        self._since_confirmed = 0
        self._epoch, self._episode = radio.epoch, 0  # the session and commissioning that were seen last
        self._waking = asyncio.Event()
        self._walk = Walk()
        self._reports, self._polls = Pace(*REPORT_AGAIN_S), Pace(*REPORT_AGAIN_S)
        self._telegrams_due, self._first = 0.0, True
        self._in_slot = False  # whether the next regular telegram goes out in the slot

    def wake(self) -> None:
        """Something has happened that may be worth an uplink."""
        self._waking.set()

    def configured(self, anew: bool) -> None:
        """A configuration has come; `anew`: another one than ran before."""
        now = self._clock.monotonic()
        self._registration.renew()
        self._source.want_proof()
        self._walk.configured()
        self._reports.restart(now)
        if anew:
            self._telegrams_due = min(self._telegrams_due, self._monotonic(self._timer.next_after(self._clock.time())))
            self._in_slot = False
        self.wake()

    def refused(self) -> None:
        """A configuration was refused, which is reported at once."""
        self._reports.restart(self._clock.monotonic())
        self.wake()

    async def run(self) -> None:
        """Until cancelled."""
        await self._patiently(self._radio.ready(USUAL_SIZE))
        start = self._clock.monotonic()
        if not self._commissioning.active:
            start = self._monotonic(self._timer.soon_after(self._clock.time()))
        self._telegrams_due = start
        self._reports.restart(start)
        self._polls.restart(start)
        while True:
            await self._patiently(self._radio.ready(USUAL_SIZE))
            self._look()
            now = self._clock.monotonic()
            clear = self._slot.clear_at(now, OTHERS_S)
            if self._in_slot and self._telegrams_due <= now:
                await self._send_telegrams()
            elif clear > now:  # nothing else comes near the slot
                until = min(clear, self._telegrams_due) if self._in_slot else clear
                await self._patiently(self._clock.sleep(until - now))
            elif self._reports.due <= now and self._registration.due(self._facts()):
                await self._report()
            elif (said := self._keys_due()) is not None and said <= now:
                await self._say_about_keys()
            elif (talk := self._talk.due()) is not None and talk <= now:
                await self._send(clock_package.PORT, self._talk.next(), confirmed=False)
            elif (poll := self._poll_due()) is not None and poll <= now:
                await self._poll()
            elif (telegrams := self._telegrams_at()) is not None and telegrams <= now:
                await self._send_telegrams()
            elif self._daybook is not None and (due := self._daybook_due()) is not None and due <= now:
                await self._send_from(self._daybook)
            else:
                await self._wait()

    def _look(self) -> None:
        """What has changed since the last turn: session, configuration, commissioning."""
        self._waking.clear()
        now = self._clock.monotonic()
        if self._registration.look(self._radio.epoch, self._inbox.running.version):
            self._source.want_proof()
            self._reports.restart(now)
            self._polls.restart(now)
        self._keys.look(self._radio.epoch)
        if self._radio.epoch != self._epoch:
            self._epoch = self._radio.epoch
            if self._commissioning.active:
                self._begin_walk(now)
        if self._commissioning.active and self._commissioning.episode != self._episode:
            self._episode = self._commissioning.episode
            self._source.want_proof()
            self._reports.restart(now)
            self._begin_walk(now)
        if self._walk.active and not self._commissioning.active:
            self._walk.end()
        if self._dates.stale or self._talk.asks_along():
            self._radio.want_time()
        if self._telegrams_due > now + LEAD_S and self._in_slot != (self._slot.next(now + LEAD_S) is not None):
            self._schedule()

    def _begin_walk(self, now: float) -> None:
        self._walk.begin()
        self._telegrams_due = max(self._telegrams_due, now + WITHOUT_REPORT_S)

    # Reporting and fetching

    def _facts(self) -> Facts:
        return Facts(
            self._inbox.running.version,
            self._source.upcoming,
            self._source.nameplates.records(),
            self._source.resolutions(),
            self._commissioning.episode,
            self._commissioning.seconds_left,
            self._inbox.refusal or self._slot.refused(self._inbox.running.version),
            self._slot.report(),
            self._slot.day,
        )

    async def _report(self) -> None:
        facts, running = self._facts(), self._inbox.running
        for part in self._registration.parts(facts, self._radio.max_payload):
            sent = await self._send(config_records.PORT, part, confirmed=True)
            now = self._clock.monotonic()
            if sent is None or not sent.acknowledged:
                self._reports.later(now)
                return
            self._registration.arrived(part, facts.episode, facts.day)
            if self._inbox.running is not running:
                return  # an answer has brought a configuration: the rest of the report tells of that one
        self._reports.restart(now)
        self._polls.restart(now + REPORT_AGAIN_S[0])
        self._walk.reported(now, facts.version)

    def _keys_due(self) -> float | None:
        """When something is to be said on port 34; not while somebody waits for the first readings."""
        return None if self._walk.active else self._keys.due

    async def _say_about_keys(self) -> None:
        payload = self._keys.next()
        if payload is None:
            return
        await self._patiently(self._radio.ready(len(payload)))
        sent = await self._send(key_messages.PORT, payload, confirmed=True)
        if sent is None or not sent.acknowledged:
            self._keys.failed(payload)
        else:
            self._keys.arrived(payload)

    def _poll_due(self) -> float | None:
        """An empty uplink asks for the time, or fetches a configuration."""
        wanted = [self._polls.due] if self._dates.now() is None else []
        if (poll := self._walk.poll_due) is not None:
            wanted.append(poll)
        return min(wanted, default=None)

    async def _poll(self) -> None:
        await self._send(None, b"", confirmed=False)
        now = self._clock.monotonic()
        self._polls.later(now)
        self._walk.polled(now, self._airtime(0))

    # Telegrams

    def _telegrams_at(self) -> float | None:
        """When telegrams go out; None while nothing can be sealed."""
        if self._dates.now() is None:
            return None
        soon = self._walk.reading_due
        due = self._telegrams_due if soon is None else min(soon, self._telegrams_due)
        if self._source.changed.is_set() and not self._walk.active:
            return min(due, self._clock.monotonic())
        return due

    async def _send_telegrams(self) -> None:
        regular = self._telegrams_due <= self._clock.monotonic()
        try:
            planned = self._planned() if regular and self._in_slot else None
            something = await self._collect_and_send(planned)
            if not something and self._dates.stale and regular:
                await self._send(None, b"", confirmed=False)  # a silent meter is no reason to forget the date
            self._first = self._first and not something
            now = self._clock.monotonic()
            if self._first:
                self._telegrams_due = now + FIRST_READING_S
            elif regular or something:
                self._schedule()
        except MeterspanError as error:
            log.error("no telegram was made: %s", error, extra={"code": error.code})
            self._telegrams_due = self._clock.monotonic() + FAULT_S
            self._walk.read(self._clock.monotonic(), False, FAULT_S / AIR_TO_POLL)

    def _planned(self) -> Planned | None:
        """The slot that is about to begin; None where it was missed."""
        now = self._clock.monotonic()
        planned = self._slot.next(now)
        return None if planned is None or planned.at > now + 2 * LEAD_S else planned

    def _schedule(self) -> None:
        """When the next regular telegram is made: for the slot, or at the timer's own time where there is none."""
        now = self._clock.monotonic()
        planned = self._slot.next(now + LEAD_S)
        self._in_slot = planned is not None
        if planned is None:
            self._telegrams_due = self._monotonic(self._timer.next_after(self._clock.time()))
        else:
            self._telegrams_due = planned.at - LEAD_S

    async def _collect_and_send(self, planned: Planned | None) -> bool:
        """Whether there was anything to send. The first telegram goes into the slot, where that is `planned`."""
        telegrams = await self._source.collect(
            self._radio.max_payload if planned is None else self._radio.room(planned)
        )
        if self._daybook is not None:
            for telegram in telegrams:
                self._daybook.note(telegram.counter, VALUES_PORT, telegram.payload)
        acknowledged, size = True, 0
        for telegram in telegrams:
            self._since_confirmed += 1
            regular = 0 < self._confirm_every <= self._since_confirmed
            confirmed = regular or self._radio.uncertain or self._walk.urgent or bool(telegram.proves)
            sent = await self._send_one(telegram, confirmed, planned)
            planned = None
            arrived = sent is not None and sent.acknowledged
            if arrived:
                self._since_confirmed = 0
                self._source.proof_arrived(telegram.proves)
            acknowledged = acknowledged and (arrived or not confirmed)
            size = max(size, len(telegram.payload))
        if telegrams:
            self._walk.read(self._clock.monotonic(), acknowledged, self._airtime(size))
        else:
            self._walk.silent(self._clock.monotonic())
        return await self._pass_on() or bool(telegrams)

    async def _pass_on(self) -> bool:
        """Send what meters protected themselves, as it is; whether there was any."""
        passing = self._source.passing()
        for passed in passing:
            await self._patiently(self._radio.ready(len(passed.payload)))
            await self._send(passed.port, passed.payload, confirmed=self._radio.uncertain)
        return bool(passing)

    async def _send_one(self, telegram: Sealed, confirmed: bool, planned: Planned | None) -> Sent | None:
        """In the slot; or at once where there is none, or where it was missed."""
        sent = None
        if planned is not None:
            sent = await self._send(
                VALUES_PORT, telegram.payload, confirmed=confirmed, counter=telegram.counter, planned=planned
            )
        if sent is None:
            await self._patiently(self._radio.ready(len(telegram.payload)))
            sent = await self._send(VALUES_PORT, telegram.payload, confirmed=confirmed, counter=telegram.counter)
        return sent

    def _daybook_due(self) -> float | None:
        """What the daybook has comes after everything else, and not while somebody waits beside the adapter."""
        return None if self._daybook is None or self._walk.active else self._daybook.due()

    async def _send_from(self, daybook: Daybook) -> None:
        uplink = daybook.take()
        if uplink is not None:
            size = len(uplink.payload)
            await self._patiently(self._radio.ready(size))
            sent = await self._send(uplink.port, uplink.payload, confirmed=uplink.confirmed, counter=uplink.counter)
            daybook.done(uplink, sent is not None and sent.acknowledged, self._airtime(size))

    async def _send(
        self,
        port: int | None,
        payload: bytes,
        *,
        confirmed: bool,
        counter: int | None = None,
        planned: Planned | None = None,
    ) -> Sent | None:
        try:
            sent = await self._patiently(self._radio.send(port, payload, confirmed=confirmed, planned=planned))
        except MeterspanError as error:
            log.warning("not sent: %s", error, extra={"port": port, "counter": counter, "code": error.code})
            return None
        if port is not None:
            self.sent += 1
            self.acknowledged += sent.acknowledged
            self._on_sent(replace(sent, counter=counter))
        return sent

    # Waiting

    async def _wait(self) -> None:
        """Until the next thing to do, something worth telling, or a while; all times here are monotonic."""
        now = self._clock.monotonic()
        until = [now + (HASTY_STEP_S if self._commissioning.active else STEP_S)]
        dues = (self._keys_due(), self._talk.due(), self._poll_due(), self._telegrams_at(), self._daybook_due())
        until += [moment for moment in dues if moment is not None]
        if self._registration.due(self._facts()):
            until.append(self._reports.due)
        self._progress()
        events = [self._waking]
        if self._dates.now() is not None and not self._walk.active:  # a reading every minute tells of changes, too
            events.append(self._source.changed)
        await wait_for_any(events, self._clock, max(0.0, min(until) - now))

    def _airtime(self, size: int) -> float:
        try:
            return self._radio.airtime(size)
        except MeterspanError:
            return 0.0  # the session has ended meanwhile; the next one sets the pace

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
