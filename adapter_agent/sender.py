"""The order of things on the radio outside of the slot: reports, keys, what may be fetched, then telegrams."""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from random import Random
from typing import Final

from adapter_agent.clock_talk import ClockTalk
from adapter_agent.commissioning import Commissioning
from adapter_agent.dates import REFRESH_S, Dates
from adapter_agent.daybook import Daybook
from adapter_agent.inbox import Inbox
from adapter_agent.keys.uplinks import KeyUplinks
from adapter_agent.outgoing import Outgoing
from adapter_agent.own_slot import LEAD_S, OwnSlot
from adapter_agent.pace import Pace
from adapter_agent.radio.base import AdapterRadio, NotJoined, Sent, Span
from adapter_agent.registration import Facts, Registration
from adapter_agent.slot_keeper import SlotKeeper
from adapter_agent.slot_timer import SlotTimer
from adapter_agent.source import Source
from adapter_agent.telegrams import Telegrams
from adapter_agent.waiting import STEP_S, patiently, wait_for, wait_for_any
from adapter_agent.walk import AIR_TO_POLL, Walk
from edge.clock import Clock
from meterwire import clock_package, config_records, key_messages
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)

WEEK_S: Final = 7 * 86_400.0  # where a beacon keeps the clock, a thousand adapters need not ask every day
USUAL_SIZE: Final = 40  # bytes that must be free to send before anything is sealed
CONFIRM_WITHIN_S: Final = 3600.0  # many adapters have begun together
REPORT_AGAIN_S: Final = (5.0, 900.0)
REPORT_GROWTH: Final = 3.0  # a network that acknowledges nothing may be overwhelmed by reports
CONFIRM_AGAIN_S: Final = (60.0, 3600.0)
FIRST_READING_S: Final = 2.0  # how often the first reading is looked for
WITHOUT_REPORT_S: Final = 60.0  # in commissioning, telegrams wait so long for the report before them
FAULT_S: Final = 60.0  # after a fault that needs a person, such as a full disk
HASTY_STEP_S: Final = 2.0  # longest wait without a sign of life while somebody waits for what a meter says
OTHERS_S: Final = 15.0  # what is not for the slot is not begun so shortly before it
WITHIN_S: Final = 3 * STEP_S  # after that long without one, something is stuck


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
        random: Random,
        confirm_every: int,
        on_sent: Callable[[Sent], None],
        progress: Callable[[], None],
        keeping: Callable[[], None],
        daybook: Daybook | None = None,
    ) -> None:
        """`keeping` is `progress` of what keeps the slot."""
        self.outgoing = Outgoing(radio, on_sent)
        self._radio, self._source, self._timer, self._dates, self._clock = radio, source, timer, dates, clock
        self._inbox, self._registration, self._commissioning = inbox, registration, commissioning
        self._keys, self._slot, self._talk = keys, slot, talk
        self._progress, self._daybook = progress, daybook
        self._epoch, self._episode = radio.epoch, 0  # the session and commissioning that were seen last
        self._waking = asyncio.Event()
        self._walk = Walk()
        self._telegrams = Telegrams(
            radio,
            source,
            self.outgoing,
            self._walk,
            clock,
            confirm_every=confirm_every,
            daybook=daybook,
            wake=self._waking.set,
        )
        self.keeper = SlotKeeper(slot, self._telegrams, clock, used=self._slot_used, progress=keeping)
        self._reports, self._polls = Pace(*REPORT_AGAIN_S, REPORT_GROWTH), Pace(*REPORT_AGAIN_S)
        self._confirms, self._proofs = Pace(*CONFIRM_AGAIN_S), Pace(*CONFIRM_AGAIN_S)
        self._confirming, self._random = False, random
        self._telegrams_due, self._first = 0.0, True  # infinity while regular telegrams go out in the slot

    def wake(self) -> None:
        """Something has happened that may be worth an uplink."""
        self._waking.set()

    def configured(self, anew: bool) -> None:
        """A configuration has come; `anew`: another one than ran before."""
        now = self._clock.monotonic()
        self._registration.renew()
        self._want_proof(now)
        self._walk.configured()
        self._reports.restart(now)
        if anew:
            self._telegrams_due = min(self._telegrams_due, self._monotonic(self._timer.next_after(self._clock.time())))
            self.keeper.configured()
        self.wake()

    def refused(self) -> None:
        """A configuration was refused, which is reported at once."""
        self._reports.restart(self._clock.monotonic())
        self.wake()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.keeper.run())
            group.create_task(self._run())

    async def _run(self) -> None:
        await patiently(self._radio.ready(USUAL_SIZE), self._clock, self._progress)
        start = self._clock.monotonic()
        if not self._commissioning.active:
            start = self._monotonic(self._timer.soon_after(self._clock.time()))
        self._telegrams_due = start
        self._reports.restart(start)
        self._polls.restart(start)
        while True:
            await patiently(self._radio.ready(USUAL_SIZE), self._clock, self._progress)
            self._look()
            if not await self._clear():
                continue
            await patiently(self._turn(), self._clock, self._progress)

    async def _turn(self) -> None:
        """What comes first of all that is due; or wait."""
        now = self._clock.monotonic()
        if self._reports.due <= now and self._registration.due(self._facts()):
            await self._report()
        elif (said := self._keys_due()) is not None and said <= now:
            await self._say_about_keys()
        elif (talk := self._talk.due()) is not None and talk <= now:
            await self.outgoing.send(clock_package.PORT, self._talk.next(), confirmed=False)
        elif (poll := self._poll_due()) is not None and poll <= now:
            await self._poll()
        elif self._telegrams.left:
            await self._telegrams.send_left()
        elif (telegrams := self._telegrams_at()) is not None and telegrams <= now:
            await self._send_telegrams()
        elif (confirm := self._confirm_due()) is not None and confirm <= now:
            await self._confirm()
        elif self._daybook is not None and (due := self._daybook_due()) is not None and due <= now:
            await self._send_from(self._daybook)
        else:
            await self._wait()

    async def _clear(self) -> bool:
        """Whether an uplink now disturbs no slot; else wait for that, or for something that may change it."""
        now = self._clock.monotonic()
        try:
            span = self._radio.span(USUAL_SIZE)
        except NotJoined:
            return False
        if self._slot.open_period_s is None:
            span = Span(span.answered_s, OTHERS_S)
        wait = self._slot.clear_at(now, span) - now
        if wait > 0:
            self._progress()
            await wait_for(self._waking, self._clock, min(wait, STEP_S))
        return wait <= 0

    def _look(self) -> None:
        """What has changed since the last turn: session, configuration, commissioning."""
        self._waking.clear()
        now = self._clock.monotonic()
        if self._registration.look(self._radio.epoch, self._inbox.running.version):
            self._want_proof(now)
            self._reports.restart(now)
            self._polls.restart(now)
        self._keys.look(self._radio.epoch)
        if self._radio.epoch != self._epoch:
            self._epoch = self._radio.epoch
            if self._commissioning.active:
                self._begin_walk(now)
        if self._commissioning.active and self._commissioning.episode != self._episode:
            self._episode = self._commissioning.episode
            self._want_proof(now)
            self._reports.restart(now)
            self._begin_walk(now)
        if self._walk.active and not self._commissioning.active:
            self._walk.end()
        if self._dates.older(WEEK_S if self._slot.hinted else REFRESH_S) or self._talk.asks_along():
            self._radio.want_time()
        if self._telegrams_due > now + LEAD_S and self._in_slot != (self._slot.next(now) is not None):
            self._schedule()

    @property
    def _in_slot(self) -> bool:
        """Whether regular telegrams go out in the slot."""
        return self._telegrams_due == inf

    def _want_proof(self, now: float) -> None:
        self._source.want_proof()
        self._proofs.restart(now)

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
            sent = await self.outgoing.send(config_records.PORT, part, confirmed=True)
            now = self._clock.monotonic()
            if sent is None or not sent.acknowledged:
                self._reports.later(now)
                return
            self._registration.arrived(part, facts.episode, facts.day)
            self._slot.told(config_records.decode(part).records)
            if self._inbox.running != running:
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
        await self._radio.ready(len(payload))
        sent = await self.outgoing.send(key_messages.PORT, payload, confirmed=True)
        if sent is None or not sent.acknowledged:
            self._keys.failed(payload)
        else:
            self._keys.arrived(payload)

    def _poll_due(self) -> float | None:
        """An empty uplink asks for the time, or fetches a configuration; and it asks what no slot has room to ask."""
        unasked = self._in_slot and (self._telegrams.silent or self._slot.open_period_s is not None)
        wanted = [self._polls.due] if self._dates.now() is None or (unasked and self._radio.asks) else []
        if (poll := self._walk.poll_due) is not None:
            wanted.append(poll)
        return min(wanted, default=None)

    async def _poll(self) -> None:
        await self.outgoing.send(None, b"", confirmed=False)
        now = self._clock.monotonic()
        self._polls.later(now)
        self._walk.polled(now, self.outgoing.airtime(0))

    # Telegrams

    def _telegrams_at(self) -> float | None:
        """When telegrams go out beside the slot; None while nothing can be sealed."""
        if self._dates.now() is None:
            return None
        soon = self._walk.reading_due
        due = self._telegrams_due if soon is None else min(soon, self._telegrams_due)
        if self._in_slot and self._source.proof_due and self._slot.open_period_s is not None:
            due = min(due, self._proofs.due)
        if (self._source.changed.is_set() or self._telegrams.again) and not self._walk.active:
            return min(due, self._clock.monotonic())
        return due

    async def _send_telegrams(self) -> None:
        regular = self._telegrams_due <= self._clock.monotonic()
        self._proofs.later(self._clock.monotonic())
        try:
            something = await self._telegrams.send()
            if not something and self._dates.stale and regular:
                await self.outgoing.send(None, b"", confirmed=False)  # a silent meter is no reason to forget the date
            self._first = self._first and not something
            now = self._clock.monotonic()
            if self._first and not self._in_slot:
                self._telegrams_due = now + FIRST_READING_S
            elif regular or something:
                self._schedule()
        except MeterspanError as error:
            log.error("no telegram was made: %s", error, extra={"code": error.code})
            self._telegrams_due = self._clock.monotonic() + FAULT_S
            self._walk.read(self._clock.monotonic(), False, FAULT_S / AIR_TO_POLL)

    def _schedule(self) -> None:
        """Regular telegrams belong to the slot, or to the timer's own times where there is none to be trusted."""
        if self._slot.next(self._clock.monotonic()) is not None:
            self._telegrams_due = inf
        else:
            self._telegrams_due = self._monotonic(self._timer.next_after(self._clock.time()))

    def _slot_used(self) -> None:
        self._first = self._first and self._telegrams.silent
        self.wake()

    def _confirm_due(self) -> float | None:
        """When to ask for the acknowledgement that telegrams in a quiet slot do not ask for."""
        quiet = self._in_slot and self._slot.open_period_s is not None
        needed = quiet and self._telegrams.confirmation_due
        if needed and not self._confirming:
            self._confirms.restart(self._clock.monotonic() + self._random.uniform(0.0, CONFIRM_WITHIN_S))
        self._confirming = needed
        return self._confirms.due if needed else None

    async def _confirm(self) -> None:
        if not await self._telegrams.confirm():
            self._confirms.later(self._clock.monotonic())

    def _daybook_due(self) -> float | None:
        """What the daybook has comes after everything else, and not while somebody waits beside the adapter."""
        return None if self._daybook is None or self._walk.active else self._daybook.due()

    async def _send_from(self, daybook: Daybook) -> None:
        uplink = daybook.take()
        if uplink is not None:
            size = len(uplink.payload)
            await self._radio.ready(size)
            sent = await self.outgoing.send(
                uplink.port, uplink.payload, confirmed=uplink.confirmed, counter=uplink.counter
            )
            daybook.done(uplink, sent is not None and sent.acknowledged, self.outgoing.airtime(size))

    # Waiting

    async def _wait(self) -> None:
        """Until the next thing to do, something worth telling, or a while; all times here are monotonic."""
        now = self._clock.monotonic()
        until = [now + (HASTY_STEP_S if self._commissioning.active else STEP_S)]
        until += [moment for moment in self._dues() if moment is not None]
        if self._registration.due(self._facts()):
            until.append(self._reports.due)
        self._progress()
        events = [self._waking]
        if self._dates.now() is not None and not self._walk.active:  # a reading every minute tells of changes, too
            events.append(self._source.changed)
        await wait_for_any(events, self._clock, max(0.0, min(until) - now))

    def _dues(self) -> tuple[float | None, ...]:
        return (
            self._keys_due(),
            self._talk.due(),
            self._poll_due(),
            self._telegrams_at(),
            self._confirm_due(),
            self._daybook_due(),
        )

    def _monotonic(self, moment: float) -> float:
        """The monotonic time of a Unix time ahead: a clock that is set meanwhile moves no telegram."""
        return self._clock.monotonic() + moment - self._clock.time()
