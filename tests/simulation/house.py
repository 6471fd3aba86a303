"""A whole house on virtual time: real adapters, the simulated air, a packet forwarder, and the real concentrator."""

import asyncio
import gc
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from unittest.mock import patch

import msgspec

from adapter_agent.simulation.air import Air, Landed
from adapter_agent.simulation.forwarder import Forwarder
from adapter_agent.simulation.gateway import GatewayRadio
from concentrator_agent.app import ConcentratorApp
from concentrator_agent.config import Clock as ClockSettings
from concentrator_agent.config import Concentrator, Config, Outbox, Udp
from edge import lean
from meterwire import config_records, messages
from meterwire.config_records import Record, SlotRecord, SlotReport, SlotState
from meterwire.ids import GatewayEUI
from meterwire.slots import Slot
from meterwire.time_entries import PlanEntry, SlotEntry
from tests.concentrator_agent.field import EUI, GATEWAY, NOW, entry, identifier
from tests.simulation.flat import Flat
from tests.support.virtual_loop import VirtualClock

DAY_S = 86_400.0
FADING_DB = 2.0
MAX_ROWS = 10_000
NO_PLAN = PlanEntry()
COLLECT_AFTER = 100_000  # new objects: hundreds of programs in one process are many that stay
PULL_S = 25.0  # forwarders that pull seldom leave the processor to the adapters


class House:
    """`true` is the time of the air, `clock` that of the concentrator. `records` go into everybody's configuration."""

    def __init__(
        self,
        folder: Path,
        flats: Sequence[Flat],
        true: VirtualClock,
        *,
        clock: VirtualClock | None = None,
        quality: str = "ntp",
        gps: bool = True,
        plan: PlanEntry = NO_PLAN,
        records: tuple[Record, ...] = (),
        seed: int = 1,
    ) -> None:
        self.flats, self.true, self.clock = list(flats), true, clock or true
        self.air = Air(true, seed=seed, fading_db=FADING_DB)
        self.plan = plan
        self._folder, self._records, self._gps = folder, records, gps
        self.concentrator = ConcentratorApp(
            Config(
                concentrator=Concentrator(eui=GatewayEUI.parse(EUI), state_dir=folder / "concentrator"),
                udp=Udp(port=0),
                clock=ClockSettings(quality=quality),  # type: ignore[arg-type]
                outbox=Outbox(max_bytes=1 << 30),
            ),
            self.clock,
            notify=lambda message: None,
        )
        self.telegrams: list[messages.Telegram] = []
        self.events: list[messages.Event] = []
        self.landed: list[tuple[Landed, bool]] = []  # every frame, and whether its sender trusted its slot
        self._by_eui = {flat.dev_eui: flat for flat in self.flats}
        self.air.watch(lambda landed: self.landed.append((landed, self._by_eui[landed.flight.dev_eui].trusts)))
        self._seen = 0

    @asynccontextmanager
    async def lived_in(self) -> AsyncIterator["House"]:
        tasks = [asyncio.ensure_future(self.concentrator.run())]
        try:
            ready = asyncio.ensure_future(self.concentrator.ready.wait())
            await asyncio.wait((tasks[0], ready), return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
            await self._register()
            radio = self.air.add(GatewayRadio(GATEWAY, self.true))
            server = ("127.0.0.1", self.concentrator.udp_port)
            forwarder = Forwarder(radio, server, gps=self._gps, pull_interval_s=PULL_S, stat_interval_s=PULL_S)
            tasks.append(asyncio.ensure_future(forwarder.run()))
            for flat in self.flats:
                self.air.place(flat.dev_eui, {GATEWAY: flat.loss_db})
                tasks.append(asyncio.ensure_future(flat.live(self._folder, self.true, self.air)))
                tasks.append(asyncio.ensure_future(flat.count(self.true)))
            yield self
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.air.close()

    async def pass_time(self, seconds: float) -> None:
        await self.true.sleep(seconds)
        self._collect()

    def said(self, flat: Flat, since: float) -> list[SlotState]:
        """What an adapter has reported of its slot since then (Unix s), by the concentrator's own time."""
        found = []
        for telegram in self.telegrams:
            when = messages.parse_timestamp(telegram.received_at).timestamp()
            if telegram.dev_eui == flat.dev_eui and telegram.fport == config_records.PORT and when >= since:
                records = config_records.decode(telegram.payload).records
                found += [record.state for record in records if isinstance(record, SlotReport)]
        return found

    def _collect(self) -> None:
        """What has arrived in the concentrator's outbox."""
        while rows := self.concentrator.outbox.after(self._seen, MAX_ROWS):
            for row in rows:
                if row.kind == "telegram":
                    self.telegrams.append(msgspec.json.decode(row.body, type=messages.Telegram))
                else:
                    self.events.append(messages.decode_event(row.body))
            self._seen = rows[-1].seq

    async def _register(self) -> None:
        """What the portal tells the concentrator after the pairings: device table, plan, configurations."""
        key = bytes.fromhex(self.concentrator.public_key)
        entries = [msgspec.structs.replace(entry(flat.mote, key), slot=_slot_entry(flat.slot)) for flat in self.flats]
        await self.concentrator.table.take(
            messages.DevicesCommand(identifier(), NOW, 1, upsert=tuple(entries), plan=self.plan)
        )
        for flat in filter(lambda one: one.configured, self.flats):
            for part in config_records.encode(1, [SlotRecord(flat.slot), *self._records]):
                until = messages.timestamp(self.clock.time() + DAY_S)
                command = messages.DownlinkCommand(identifier(), NOW, flat.dev_eui, 33, part, until, confirmed=True)
                await self.concentrator.queue.take(command, known=True)


def _slot_entry(slot: Slot) -> SlotEntry:
    return SlotEntry(
        slot.channel, slot.phase_ms, slot.period_s, slot.data_rate, slot.guard_ms, slot.length_ms, slot.version
    )


@contextmanager
def quarters() -> Iterator[Path]:
    """A folder in memory for everybody's state: how long disks take is not what a house measures."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="mspan-house-") as folder,
        patch.dict(os.environ, {"WATCHDOG_USEC": "600000000"}),  # systemd may ask as seldom, and less is computed
        patch.object(lean, "release"),  # the memory of a whole house is not the concentrator's to tidy up
    ):
        thresholds = gc.get_threshold()
        gc.set_threshold(COLLECT_AFTER, *thresholds[1:])
        try:
            yield Path(folder)
        finally:
            gc.set_threshold(*thresholds)
