"""The adapter put together: meters, sampler, sealing, radio; one asyncio task that starts, runs and stops cleanly."""

import asyncio
import logging
from collections.abc import Callable
from random import Random, SystemRandom

from adapter_agent.config import Loaded
from adapter_agent.coupling.base import CoupledMeters, CoupledTelegrams
from adapter_agent.dates import Dates
from adapter_agent.keystore import Keys, KeyStore
from adapter_agent.radio import RADIOS
from adapter_agent.radio.base import AdapterRadio, RadioParts, Sent
from adapter_agent.radio.phy import Phy
from adapter_agent.radio.settings import Identity
from adapter_agent.sampler import Sampler
from adapter_agent.sealing import Sealing
from adapter_agent.sender import WITHIN_S, Sender
from adapter_agent.slot_timer import SlotTimer
from adapter_agent.source import LocalSource, Source
from adapter_agent.state_folder import StateFolder
from edge.clock import Clock
from edge.watchdog import Watchdog
from meterwire.counter import Counter

log = logging.getLogger(__name__)

REPORT_S = 3600.0


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
        self._source: Source | None = None
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End `run` soon; state is saved."""
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop` or cancellation. Raises MeterspanError when it cannot start."""
        adapter = self._loaded.config.adapter
        with StateFolder(adapter.state_dir, adapter.credential) as state:
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
        log.debug("a new session has begun")

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        if self._source is not None:
            self._source.time_told(unix_s, monotonic_s)

    def downlink(self, port: int, payload: bytes) -> None:
        log.info("a downlink for which nothing is set up here", extra={"port": port, "bytes": len(payload)})

    async def _work(self, state: StateFolder) -> None:
        config = self._loaded.config
        store = KeyStore.of(config, state)
        keys = store.load()
        dates = Dates(self._clock, state.file("date"), trusted=config.clock.trusted)
        source = self._source = self._make_source(store, keys, dates)
        radio = self._make_radio(state, keys)
        timer = SlotTimer(config.adapter.dev_eui, config.sampler.period_s, config.sampler.jitter, self._random)
        sender = Sender(
            radio,
            source,
            timer,
            dates=dates,
            clock=self._clock,
            confirm_every=self._loaded.radio.confirm_every,
            on_sent=self._on_sent,
            progress=self._watchdog.register("sender", WITHIN_S),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for work in (
                    radio.run(),
                    source.run(),
                    sender.run(),
                    self._watchdog.run(),
                    self._report(source, sender),
                ):
                    group.create_task(work)
                self._watchdog.ready(f"adapter {config.adapter.dev_eui.label}")
        finally:
            radio.close()

    def _make_source(self, store: KeyStore, keys: Keys, dates: Dates) -> Source:
        config, clock = self._loaded.config, self._clock
        coupling = config.coupling
        if coupling is not None and coupling.carries == "telegram":
            return CoupledTelegrams(coupling, clock, dates)
        sampler = Sampler(config.sampler, clock)
        sealing = Sealing(config.adapter.dev_eui, keys.inner, Counter(store.counter()), dates, config.sealing)
        if coupling is not None:
            return CoupledMeters(coupling, clock, sampler, sealing, dates)
        return LocalSource(config.input, clock, sampler, sealing, dates)

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

    async def _report(self, source: Source, sender: Sender) -> None:
        while True:
            await self._clock.sleep(REPORT_S)
            log.info("health", extra={"sent": sender.sent, "acknowledged": sender.acknowledged, **source.health()})


def _nobody(sent: Sent) -> None:
    log.debug("sent", extra={"port": sent.port, "fcnt": sent.fcnt, "acknowledged": sent.acknowledged})
