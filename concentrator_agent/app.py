"""The whole concentrator in one asyncio process: builds the parts, runs them, ends them in order."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from concentrator_agent import store
from concentrator_agent.audit import Audit
from concentrator_agent.backhaul.commands import Commands
from concentrator_agent.backhaul.link import Backhaul
from concentrator_agent.backhaul.outbox_pump import OutboxPump
from concentrator_agent.backhaul.presence import Presence
from concentrator_agent.clock_watch import ClockWatch
from concentrator_agent.config import Config
from concentrator_agent.devices import DeviceTable
from concentrator_agent.distribution import Distribution
from concentrator_agent.enrolment.identity import Identity
from concentrator_agent.enrolment.keeper import Keeper
from concentrator_agent.enrolment.wallet import WalletFile
from concentrator_agent.events import Events
from concentrator_agent.modes import Gate
from concentrator_agent.radio.base import Reception
from concentrator_agent.radio.forwarders import Forwarder, Forwarders
from concentrator_agent.rootkeys import KeyProcess, KeyService
from concentrator_agent.second_module import SecondModule
from concentrator_agent.server.beacon import BeaconSender
from concentrator_agent.server.clock import ReceptionClock
from concentrator_agent.server.dedupe import Dedupe
from concentrator_agent.server.downlink import Downlink
from concentrator_agent.server.heard import Heard
from concentrator_agent.server.join import JoinServer
from concentrator_agent.server.queue import DownlinkQueue
from concentrator_agent.server.sessions import Sessions
from concentrator_agent.server.timekeeping import REFERENCED
from concentrator_agent.server.uplink import UplinkServer
from concentrator_agent.slotting import Slotting
from edge import lean, sealedfile
from edge.clock import Clock, SystemClock
from edge.database import Database, StorageError
from edge.outbox import Entry, Limits, Outbox
from edge.steered_clock import SteeredClock
from edge.ulids import Ulids
from edge.watchdog import Watchdog
from meterwire import messages

log = logging.getLogger(__name__)

MAX_BATCH: Final = 500  # uplinks in one commit
TICK_S: Final = 1.0
SLOW_TICKS: Final = 10
STUCK_AFTER_S: Final = 30.0


class ConcentratorApp:
    """One concentrator. `run` works until `stop` is called or its task is cancelled; `ready` is set when it listens.

    In a test: `app = ConcentratorApp(config)`, `task = asyncio.create_task(app.run())`, `await app.ready.wait()`,
    talk to `app.udp_port`, `app.stop()`, `await task`.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        *,
        keys: KeyService | None = None,
        rng: random.Random | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        host = clock or SystemClock()
        self.clock: Clock = host if config.time.source == "host" else SteeredClock(host)
        self.ready = asyncio.Event()
        self._keys = keys or KeyProcess(config)
        self._rng = rng or random.SystemRandom()
        self._stopping = asyncio.Event()
        self._arrived = asyncio.Event()
        self.watchdog = Watchdog(self.clock, notify)
        self.gate = Gate(config.concentrator.gate)
        self.backhaul: Backhaul | None = None
        self.keeper: Keeper | None = None

    @property
    def udp_port(self) -> int:
        return self.forwarders.port

    @property
    def public_key(self) -> str:
        """The X25519 key for root keys, 64 hex digits."""
        return self._public_key.hex()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Raises MeterspanError when it cannot start: storage, credential, keys, certificates, UDP port."""
        await self._open()
        try:
            await self._work()
        finally:
            self.watchdog.stopping()
            self.database.close()

    async def _open(self) -> None:
        config = self.config
        directory = config.concentrator.state_dir
        self.credential = sealedfile.load_credential(config.credential_file)
        self._public_key = await self._keys.public_key()
        self.database = Database(directory / "concentrator.db", store.MIGRATIONS)
        self.database.open()
        try:
            self._build()
        except BaseException:
            self.database.close()
            raise

    def _build(self) -> None:
        config, clock, database = self.config, self.clock, self.database
        plan = config.region.plan
        ulids = Ulids(clock)
        limits = Limits(config.outbox.max_bytes, config.outbox.max_age_days * 86400)
        self.outbox = Outbox(database, limits, clock)
        self.events = Events(clock, ulids)
        self.heard = Heard(self.events, clock)
        audit = Audit(self.credential, clock)
        self.sessions = Sessions(database.read, self.credential, config.server.cached_devices)
        self.queue = DownlinkQueue(database, self.outbox, self.events, clock, audit)
        self._pending_events: list[Entry] = []
        watch = self.clock_watch = ClockWatch(
            clock, config, gate=self.gate, database=database, events=self.events, note=self._note
        )
        self.time = watch.keeper
        self.slots = Slotting(
            config.beacon, region=plan, database=database, clock=clock, keeper=self.time, events=self.events
        )
        self.table = DeviceTable(database, self._keys, audit, plan=self.slots.plan, on_change=self.slots.table_changed)
        self.second = SecondModule(
            config, credential=self.credential, database=database, queue=self.queue, outbox=self.outbox,
            events=self.events, audit=audit, gate=self.gate, clock=clock, ulids=ulids, dated=self._dates_known,
        )  # fmt: skip
        self.joins = JoinServer(database.read, self.credential, config.region, self._rng)
        self.dedupe = Dedupe(config.server.dedupe_ms / 1000)
        self.reception_clock = ReceptionClock(clock, self.time.quality, watch.suspicious_gateway, watch.gateway_time)
        self.forwarders = Forwarders(
            plan,
            self.gate,
            clock,
            self.reception_clock,
            host=config.udp.host,
            port=config.udp.port,
            allowed=frozenset(str(eui) for eui in config.udp.allowed_gateways),
            on_reception=self._receive,
            on_change=self._gateway_changed,
        )
        self.downlink = Downlink(
            plan=plan,
            radio=self.forwarders,
            queue=self.queue,
            database=database,
            clock=clock,
            clearance=self.slots.clearance,
            desired=self.joins.desired,
            max_power_dbm=config.udp.max_power_dbm,
            status_every_s=config.server.device_status_h * 3600,
        )
        self.uplink = UplinkServer(
            plan=plan,
            sessions=self.sessions,
            joins=self.joins,
            distribution=Distribution(ulids, self.second.opening),
            downlink=self.downlink,
            queue=self.queue,
            database=database,
            outbox=self.outbox,
            events=self.events,
            heard=self.heard,
            target=self.second.outbox,
            partner=self.second.partner,
            keeper=self.time,
            tracking=self.slots.tracking,
        )
        self._reported_dropped = self.outbox.stats().dropped
        if config.mqtt is not None:
            self._build_backhaul(ulids)

    def _build_backhaul(self, ulids: Ulids) -> None:
        config, clock = self.config, self.clock
        assert config.mqtt is not None
        backhaul = self.backhaul = Backhaul(
            config, config.mqtt, self.gate, clock, on_message=self._message, identity=self._identity()
        )
        self.pump = OutboxPump(
            self.outbox,
            backhaul.publish,
            clock,
            ulids,
            max_unreceipted=config.outbox.max_unreceipted,
            resend_s=config.outbox.resend_s,
            progress=self.watchdog.register("pump", STUCK_AFTER_S),
        )
        self.outbox.wake = self.pump.wake
        backhaul.pump = self.pump
        backhaul.presence = Presence(
            clock=clock,
            ulids=ulids,
            boot=ulids(),
            mode=config.concentrator.mode,
            public_key=self.public_key,
            revision=lambda: self.table.revision,
            devices=lambda: self.table.count,
            clock_state=self.clock_watch.state,
            outbox=self.outbox,
            forwarders=self.forwarders,
        )
        self.commands = Commands(
            eui=config.eui,
            table=self.table,
            queue=self.queue,
            partner=self.second.partner,
            sessions=self.sessions,
            pump=self.pump,
            outbox=self.outbox,
            events=self.events,
            heard=self.heard,
            database=self.database,
            publish=backhaul.publish,
            on_change=backhaul.announce,
            clock=clock,
            ulids=ulids,
        )

    def _beacon(self) -> BeaconSender:
        return BeaconSender(
            lambda: self.slots.plan.beacon, self.config.eui, clock=self.clock, keeper=self.time,
            reception_clock=self.reception_clock, downlink=self.downlink, gateways=self.forwarders.online,
        )  # fmt: skip

    def _identity(self) -> Identity | None:
        """The certificate to show to the broker, and what keeps it in force; None where it is not from [enrolment]."""
        config, clock = self.config, self.clock
        if config.enrolment is None or config.mqtt is None or config.mqtt.cert_file is not None:
            return None
        wallet = WalletFile(config.concentrator.state_dir, self.credential)
        identity = Identity(wallet, config.mqtt.ca_file, self._dates_known, clock.time)
        self.keeper = Keeper(
            config,
            config.enrolment,
            identity,
            clock,
            rng=self._rng,
            dates_known=self._dates_known,
            note=lambda *what, **detail: self._note(self.events.make(*what, **detail)),
            reconnect=self._reconnect,
            wholes=lambda: self.table.wholes,
        )
        return identity

    def _dates_known(self) -> bool:
        return self.time.quality() in REFERENCED

    def _reconnect(self) -> None:
        if self.backhaul is not None:
            self.backhaul.reconnect()

    async def _message(self, topic: str, body: bytes) -> None:
        await self.commands.take(topic, body)

    async def _work(self) -> None:
        self.forwarders.open()
        jobs = [self._serve_uplinks(), self._keep_house(), self.watchdog.run(), self.gate.run(self.clock)]
        if self.backhaul is not None:
            jobs += [self.backhaul.run(), self.backhaul.heartbeat(), self.pump.run()]
        if self.second.target is not None:
            jobs.append(self.second.target.run())
        if self.keeper is not None:
            jobs.append(self.keeper.run())
        jobs += self.clock_watch.jobs(lambda name: self.watchdog.register(name, STUCK_AFTER_S))
        jobs.append(self._beacon().run(self.watchdog.register("beacon", STUCK_AFTER_S)))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        stopping = asyncio.ensure_future(self._until_stopped())
        self.ready.set()
        self.watchdog.ready(f"listening on UDP {self.config.udp.host}:{self.udp_port}")
        log.info(
            "concentrator ready",
            extra={
                "eui": self.config.eui,
                "udp": f"{self.config.udp.host}:{self.udp_port}",
                "devices": self.table.count,
            },
        )
        try:
            await self._until_end(tasks, stopping)
        finally:
            self.forwarders.close()
            await self._finish()
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)

    async def _until_stopped(self) -> None:
        await self._stopping.wait()

    async def _until_end(self, tasks: list[asyncio.Task[None]], stopping: asyncio.Task[None]) -> None:
        """Return when asked to stop; raise what a task died of."""
        alive = {*tasks, stopping}
        while stopping in alive:
            done, alive = await asyncio.wait(alive, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _finish(self) -> None:
        """What was heard is stored, what is being sent is sent, and the portal hears that we go."""
        try:
            while uplinks := self.dedupe.take(float("inf"), MAX_BATCH):
                await self.uplink.process(uplinks)
            await self.downlink.drain()
            await self.downlink.save()
        except StorageError as error:
            log.error("not everything could be stored at the end", extra={"error": str(error)})
        if self.backhaul is not None and self.gate.is_open(self.backhaul.interface):
            await self.backhaul.announce(online=False)

    def _receive(self, reception: Reception) -> None:
        if self.dedupe.add(reception, self.clock.monotonic(), alone=self.forwarders.gateways_online() <= 1):
            self._arrived.set()

    async def _serve_uplinks(self) -> None:
        progress = self.watchdog.register("uplinks", STUCK_AFTER_S)
        while True:
            progress()
            uplinks = self.dedupe.take(self.clock.monotonic(), MAX_BATCH)
            if uplinks:
                await self.uplink.process(uplinks)
                continue
            self._arrived.clear()
            due = self.dedupe.next_due()
            if due is not None:
                await self.clock.sleep(due - self.clock.monotonic())
            else:
                await self._arrival_or(STUCK_AFTER_S / 3)

    async def _arrival_or(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self.clock.sleep(seconds))
        arriving = asyncio.ensure_future(self._arrived.wait())
        try:
            await asyncio.wait((sleeping, arriving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            arriving.cancel()

    async def _keep_house(self) -> None:
        """Once a second: clock jumps, silent gateways, expired downlinks, dropped entries."""
        progress = self.watchdog.register("housekeeping", STUCK_AFTER_S)
        tick = 0
        while True:
            await self.clock.sleep(TICK_S)
            tick += 1
            progress()
            self.clock_watch.look()
            self.forwarders.sweep()
            self.dedupe.forget(self.clock.monotonic())
            self._pending_events += self.slots.look(TICK_S)
            try:
                await self._slow_housekeeping(tick)
                await self._put_events()
            except (StorageError, sealedfile.SealedFileError) as error:
                log.error("housekeeping could not store", extra={"error": str(error)})

    async def _slow_housekeeping(self, tick: int) -> None:
        if tick % SLOW_TICKS:
            return
        lean.release()
        await self.queue.expire()
        await self.outbox.expire()
        await self.second.look_after()
        await self.downlink.save()
        await self.clock_watch.refresh()
        self.slots.tidy()
        stats = self.outbox.stats()
        if stats.dropped > self._reported_dropped:
            oldest = messages.timestamp(stats.dropped_oldest_at) if stats.dropped_oldest_at is not None else None
            self._note(self.events.make("outbox_dropped", count=stats.dropped - self._reported_dropped, oldest=oldest))
            log.error("the outbox was full: the oldest entries were dropped", extra={"dropped": stats.dropped})
            self._reported_dropped = stats.dropped

    async def _put_events(self) -> None:
        events, self._pending_events = self._pending_events, []
        if events:
            await self.outbox.put(events)

    def _note(self, entry: Entry | None) -> None:
        if entry is not None:
            self._pending_events.append(entry)

    def _gateway_changed(self, forwarder: Forwarder) -> None:
        reason = "online" if forwarder.online else "offline"
        log.info("gateway", extra={"gateway": forwarder.eui, "state": reason})
        self._note(self.events.rated("gateway", reason=reason, key=(forwarder.eui,), gw=forwarder.eui))
