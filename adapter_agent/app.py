"""The adapter put together: meters, sampler, sealing, radio; one asyncio task that starts, runs and stops cleanly."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom

from adapter_agent import button
from adapter_agent.beacon import BeaconWatch
from adapter_agent.clock_talk import ClockTalk
from adapter_agent.commissioning import Commissioning
from adapter_agent.config import Loaded
from adapter_agent.configuration import Configuration, ConfigurationFile
from adapter_agent.coupling.base import CoupledMeters, CoupledTelegrams
from adapter_agent.dates import Dates
from adapter_agent.daybook import Daybook
from adapter_agent.daybook.start import open_daybook
from adapter_agent.inbox import Inbox
from adapter_agent.keys.requests import KeyRequests
from adapter_agent.keys.trial import Trial
from adapter_agent.keys.uplinks import KeyUplinks
from adapter_agent.keystore import Keys, KeyStore
from adapter_agent.nameplates import Nameplates
from adapter_agent.own_slot import OwnSlot
from adapter_agent.passing import PassThrough
from adapter_agent.proofs import Proofs
from adapter_agent.radio import RADIOS
from adapter_agent.radio.base import AdapterRadio, RadioParts, Sent
from adapter_agent.radio.phy import Phy
from adapter_agent.radio.settings import Identity
from adapter_agent.registration import Registration
from adapter_agent.sampler import Sampler
from adapter_agent.sealing import Sealing
from adapter_agent.sender import WITHIN_S, Sender
from adapter_agent.slot_timer import SlotTimer
from adapter_agent.source import LocalSource, SealingParts, Source
from adapter_agent.state_folder import StateFolder
from adapter_agent.timekeeping import Timekeeping
from edge.clock import Clock
from edge.watchdog import Watchdog
from meterwire import clock_package, config_records, key_messages
from meterwire.counter import Counter
from meterwire.signed_day import is_day_frame

log = logging.getLogger(__name__)

REPORT_S = 3600.0
DAY_S = 86_400.0


class AdapterApp:
    """A whole adapter, or the base board of a divided one.

    `phy` replaces the radio's own way to the air (simulations); `on_sent` sees every uplink with data and what became
    of it; `random` makes a test repeatable.
    """

    def __init__(
        self,
        loaded: Loaded,
        clock: Clock,
        *,
        phy: Phy | None = None,
        on_sent: Callable[[Sent], None] | None = None,
        random: Random | None = None,
    ) -> None:
        self._loaded, self._clock, self._phy = loaded, clock, phy
        self._on_sent = on_sent or _nobody
        self._random = random or SystemRandom()
        self._watchdog = Watchdog(clock)
        self._commissioning = Commissioning(clock, loaded.config.commissioning.minutes, self._hurry)
        self._parts: _Parts | None = None  # while it works
        self._stop = asyncio.Event()

    def commission(self) -> None:
        """Press the button: for a while everything happens at once, because somebody waits beside the adapter."""
        self._commissioning.begin("button")

    def stop(self) -> None:
        """End `run` soon; state is saved."""
        self._stop.set()

    async def run(self, *, takes_signals: bool = False) -> None:
        """Work until `stop` or cancellation. Raises MeterspanError when it cannot start.

        `takes_signals`: this process is the adapter's own and hears SIGUSR1 as the button.
        """
        adapter = self._loaded.config.adapter
        with StateFolder(adapter.state_dir, adapter.credential) as state:
            if takes_signals:
                state.announce()
            working = asyncio.create_task(self._work(state))
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                if not working.done():
                    self._watchdog.stopping()
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)
            if not working.cancelled():
                working.result()

    # What the radio reports

    def joined(self) -> None:
        if self._parts is not None:
            self._parts.inbox.forget()
            self._parts.time.forget()
            self._parts.sender.wake()

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        if self._parts is not None:
            self._parts.source.time_told(unix_s, monotonic_s)
            self._parts.time.told(unix_s, monotonic_s)
            self._parts.sender.wake()

    def sending(self, fcnt: int, monotonic_s: float) -> None:
        if self._parts is not None:
            self._parts.time.sending(fcnt, monotonic_s)

    def downlink(self, port: int, payload: bytes) -> None:
        if port == config_records.PORT and self._parts is not None:
            self._parts.inbox.take(payload)
        elif port == clock_package.PORT and self._parts is not None:
            self._clock_answer(self._parts, payload)
        elif port == key_messages.PORT and self._parts is not None:
            if is_day_frame(payload, up=False) and self._parts.daybook is not None:
                self._parts.requests.heard(payload)
                self._parts.daybook.request(payload)
            else:
                self._parts.requests.take(payload)
            self._parts.sender.wake()
        else:
            log.info("a downlink for which nothing is set up here", extra={"port": port, "bytes": len(payload)})

    def _clock_answer(self, parts: "_Parts", payload: bytes) -> None:
        now, unix = self._clock.monotonic(), None
        if parts.talk.take(payload):
            unix = parts.time.unix()
        if unix is not None:
            parts.source.time_told(unix, now)
        parts.sender.wake()

    # What the portal and people want

    def _configured(self, configuration: Configuration, anew: bool) -> None:
        if self._parts is None:
            return
        self._parts.source.configure(configuration)
        self._parts.slot.configure(configuration.slot, configuration.open_time)
        self._parts.beacon.configure(configuration.beacon)
        self._parts.timer.retime(configuration.period_s or self._loaded.config.sampler.period_s)
        self._parts.sender.configured(anew)
        minutes = configuration.commissioning_minutes if anew else None
        if minutes:
            self._commissioning.begin("configuration", minutes)
        elif minutes == 0:
            self._commissioning.end()

    def _refused(self) -> None:
        if self._parts is not None:
            self._parts.registration.forget_refusal()
            self._parts.sender.refused()

    def _hurry(self, on: bool) -> None:
        if self._parts is not None:
            self._parts.radio.hasten(on)
            self._parts.slot.hurry(on)
            self._parts.sender.wake()

    async def _work(self, state: StateFolder) -> None:
        config = self._loaded.config
        store = KeyStore.of(config, state)
        keys = store.load()
        dates = Dates(self._clock, state.file("date"), trusted=config.clock.trusted)
        file = ConfigurationFile(state.file("configuration"))
        inputs = {one.number for one in config.input} if config.coupling is None else None
        inbox = Inbox(file, inputs, self._clock, self._configured, self._refused)
        dev_eui = config.adapter.dev_eui
        uplinks = KeyUplinks(keys.ring, dev_eui, self._clock, dates.now)
        requests = KeyRequests(keys.ring, uplinks, dev_eui, date=dates.now, entropy=secrets.token_bytes)
        source = self._make_source(store, keys, dates, Trial(keys.ring, uplinks))
        source.configure(inbox.running)
        radio = self._make_radio(state, keys)
        period_s = inbox.running.period_s or config.sampler.period_s
        timer = SlotTimer(config.adapter.dev_eui, period_s, config.sampler.jitter, self._random)
        time = Timekeeping(self._clock, state.file("clock"))
        slot = OwnSlot(time, radio, self._clock, self._random, day_begins_s=timer.share * DAY_S)
        slot.configure(inbox.running.slot, inbox.running.open_time)
        radio.keep_clear(slot.clear_at)
        beacon = BeaconWatch(time, slot, radio, self._clock)
        beacon.configure(inbox.running.beacon)
        talk = ClockTalk(time, slot, self._clock, self._random)
        registration = Registration(state.file("registration"), config.adapter.dev_eui)
        daybook = open_daybook(config, state, keys.ring, dates, self._clock)
        sender = Sender(
            radio,
            source,
            timer,
            slot=slot,
            talk=talk,
            inbox=inbox,
            registration=registration,
            keys=uplinks,
            commissioning=self._commissioning,
            dates=dates,
            clock=self._clock,
            random=self._random,
            confirm_every=self._loaded.radio.confirm_every,
            on_sent=self._on_sent,
            progress=self._watchdog.register("sender", WITHIN_S),
            keeping=self._watchdog.register("slot", WITHIN_S),
            daybook=daybook,
        )
        source.nameplates.on_change = sender.wake
        self._parts = _Parts(
            radio, source, timer, time, slot, beacon, talk, inbox, requests, registration, sender, daybook
        )
        if self._commissioning.active:  # the button was pressed before everything was there
            self._hurry(True)
        elif not radio.epoch:
            self._commissioning.begin("first power-up")
        try:
            async with asyncio.TaskGroup() as group:
                if config.commissioning.button is not None:
                    group.create_task(button.watch(config.commissioning.button, self._clock, self.commission))
                for work in (
                    radio.run(),
                    source.run(),
                    sender.run(),
                    beacon.run(self._watchdog.register("beacon", WITHIN_S)),
                    self._commissioning.run(),
                    self._watchdog.run(),
                    self._report(source, sender, beacon),
                ):
                    group.create_task(work)
                self._watchdog.ready(f"adapter {config.adapter.dev_eui.label}")
        finally:
            self._parts = None
            radio.close()
            if daybook is not None:
                daybook.close()

    def _make_source(self, store: KeyStore, keys: Keys, dates: Dates, trial: Trial) -> Source:
        config, clock = self._loaded.config, self._clock
        coupling = config.coupling
        nameplates = Nameplates(clock, [one.number for one in config.input])
        if coupling is not None and coupling.carries == "telegram":
            return CoupledTelegrams(coupling, clock, dates, nameplates)
        sampler = Sampler(config.sampler, clock)
        counter = Counter(store.counter())
        sealing = Sealing(config.adapter.dev_eui, keys.inner, counter, dates, config.sealing, on_sealed=trial.sealed)
        parts = SealingParts(
            sampler,
            sealing,
            dates,
            Proofs(config.adapter.dev_eui, nameplates, clock),
            PassThrough(clock, config.sampler.silent_after_s),
            keys.meter_key,
        )
        if coupling is not None:
            return CoupledMeters(coupling, clock, parts)
        return LocalSource(config.input, clock, parts)

    def _make_radio(self, state: StateFolder, keys: Keys) -> AdapterRadio:
        adapter = self._loaded.config.adapter
        kind = RADIOS[self._loaded.radio.type]
        if keys.root is None:
            raise AssertionError("the key store demands it on the side that has the radio")
        parts = RadioParts(
            Identity(adapter.dev_eui, adapter.join_eui, keys.root),
            state.file("radio"),
            self._clock,
            self,
            self._random,
            self._phy,
        )
        return kind.make(self._loaded.radio_section, parts)

    async def _report(self, source: Source, sender: Sender, beacon: BeaconWatch) -> None:
        while True:
            await self._clock.sleep(REPORT_S)
            out = sender.outgoing
            figures = {"sent": out.sent, "acknowledged": out.acknowledged, "slots_missed": dict(sender.keeper.missed)}
            beacons = {"beacons": beacon.heard, "beacons_ignored": dict(beacon.ignored)}
            log.info("health", extra={**figures, **beacons, **source.health()})


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the radio's news and people's wishes go to."""

    radio: AdapterRadio
    source: Source
    timer: SlotTimer
    time: Timekeeping
    slot: OwnSlot
    beacon: BeaconWatch
    talk: ClockTalk
    inbox: Inbox
    requests: KeyRequests
    registration: Registration
    sender: Sender
    daybook: Daybook | None


def _nobody(sent: Sent) -> None:
    log.debug("sent", extra={"port": sent.port, "fcnt": sent.fcnt, "acknowledged": sent.acknowledged})
