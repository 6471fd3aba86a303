"""A site on simulated time: real adapters whose crystals are wrong, the simulated air, and a real concentrator."""

import asyncio
import heapq
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random

from adapter_agent.app import AdapterApp
from adapter_agent.config import check
from adapter_agent.radio.base import Sent
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.crystal import Crystal, CrystalClock
from adapter_agent.simulation.gateway import Downlink, GatewayRadio, Reception
from adapter_agent.simulation.reception import Fate
from concentrator_agent.radio.base import Reception as Heard
from concentrator_agent.radio.base import Transmission
from edge.clock import ManualClock
from edge.config import parse
from meterwire import config_records, messages
from meterwire.config_records import Record, SlotRecord
from meterwire.ids import meter_id_of
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import EU868
from meterwire.reading import Reading, RegisterValue
from meterwire.slots import Slot, length_ms
from tests.adapter_agent.cast import SERVER_ID, write_hand_over
from tests.concentrator_agent.lab import GATEWAY_A, JOIN_EUI, Lab, Mote

DEDUPE_S = 0.2
READING_S = 10.0


class PatientClock(ManualClock):
    """Stands still while the concentrator is `busy`: its database works in real time."""

    busy = False

    async def advance(self, seconds: float, settle: int = 6) -> None:
        until = self.monotonic() + seconds
        await self._turns(settle)
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._step(at)
            future.set_result(None)
            await self._turns(settle)
        self._step(until)
        await self._turns(settle)

    async def _turns(self, settle: int) -> None:
        for _ in range(settle):
            await asyncio.sleep(0)
        while self.busy:
            await asyncio.sleep(0)


class Plant:
    """One adapter: its keys, its slot, and its wrong clock."""

    def __init__(self, number: int, folder: Path, clock: ManualClock, crystal: Crystal, slot: Slot) -> None:
        self.mote, self.slot, self.clock = Mote(number), slot, CrystalClock(clock, crystal, ahead_s=number - 5.0)
        self.sent: list[Sent] = []
        self._folder, self._number = folder / str(number), number
        self._folder.mkdir()
        self._line, self._meter = os.openpty()
        write_hand_over(
            self._folder / "keys.json", dev_eui=self.mote.dev_eui, join_eui=JOIN_EUI, root_key=self.mote.key.hex()
        )

    def app(self, air: Air) -> AdapterApp:
        text = f"""
            [adapter]
            dev_eui = "{self.mote.dev_eui}"
            join_eui = "{JOIN_EUI}"
            state_dir = "state"
            key_file = "keys.json"
            [[input]]
            device = "{os.ttyname(self._meter)}"
            [commissioning]
            minutes = 0
            [sampler]
            registers = ["1-0:1.8.0"]
        """
        loaded = check(parse(text, self._folder / "adapter.toml"))
        phy = air.phy(self.mote.dev_eui)
        return AdapterApp(loaded, self.clock, phy=phy, on_sent=self.sent.append, random=Random(self._number))

    def close(self) -> None:
        os.close(self._line)
        os.close(self._meter)


class Site:
    """`plants` talk through one gateway to the concentrator, which configures each after its first report."""

    def __init__(self, lab: Lab, plants: list[Plant], clock: PatientClock, *, records: tuple[Record, ...] = ()) -> None:
        self.lab, self.plants, self.clock = lab, plants, clock
        self.air = Air(self.clock, seed=3)
        self.gateway = self.air.add(GatewayRadio(GATEWAY_A, self.clock))
        self.gateway.listen(self._heard)
        self.frames: list[tuple[float, Reception]] = []
        self.apps: list[AdapterApp] = []
        self._records, self._done, self._batch = records, 0, asyncio.Event()
        self._version = 0

    async def configure(self) -> None:
        """Every adapter gets its slot, which the concentrator knows, too."""
        self._version += 1
        entries = [plant.mote.entry(slot=_entry(plant.slot)) for plant in self.plants]
        await self.lab.devices(*entries)
        for plant in self.plants:
            for part in config_records.encode(self._version, [SlotRecord(plant.slot), *self._records]):
                await self.lab.queue.take(self.lab.downlink_command(plant.mote, part), known=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        self.apps = [plant.app(self.air) for plant in self.plants]
        tasks = [asyncio.ensure_future(app.run()) for app in self.apps]
        tasks.append(asyncio.ensure_future(self._serve()))
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.air.close()

    async def pass_time(self, seconds: float) -> None:
        """Meters count and talk meanwhile, each read at the adapters' side of the line."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            for app in self.apps:
                if app._parts is not None:
                    app._parts.source.take(0, reading(100_000 + int(self.clock.monotonic())))
            await self.clock.advance(READING_S)

    def collided(self) -> int:
        return self.air.account.fates[Fate.COLLIDED]

    def telegrams(self, plant: Plant, since: float) -> list[messages.Telegram]:
        """Values telegrams of an adapter that the concentrator has taken since then (Unix time)."""
        return [
            one
            for one in self.lab.telegrams()
            if one.dev_eui == plant.mote.dev_eui and one.fport == 16 and _unix(one) >= since
        ]

    def offsets(self, plant: Plant, since: float) -> list[float]:
        """How many seconds each of them began too late, by true time."""
        found = []
        for one in self.telegrams(plant, since):
            phy_length = 13 + len(one.payload)
            window = plant.slot.window(_unix(one), airtime_s(phy_length, one.dr))
            found.append(window.offset_s)
        return found

    def _heard(self, reception: Reception) -> None:
        if not reception.intact:
            return
        self.frames.append((reception.unix, reception))
        heard = Heard(
            reception.frame,
            GATEWAY_A,
            reception.tmst,
            reception.frequency_hz,
            _dr(reception),
            reception.rssi,
            reception.snr,
            reception.unix,
            "gps",
        )
        self.lab.dedupe.add(heard, self.clock.monotonic())
        self._batch.set()

    async def _serve(self) -> None:
        while True:
            await self._batch.wait()
            self._batch.clear()
            await self.clock.sleep(DEDUPE_S)
            self.clock.busy = True
            await self.lab.uplink.process(self.lab.dedupe.take(self.clock.monotonic(), 500))
            await self.lab.downlink.drain()
            for transmission in self.lab.radio.sent[self._done :]:
                self._send(transmission)
            self._done = len(self.lab.radio.sent)
            self.clock.busy = False

    def _send(self, transmission: Transmission) -> None:
        rate = EU868.data_rate(transmission.dr)
        start = self.gateway.instant(transmission.tmst)
        end = start + airtime_s(len(transmission.phy), rate, uplink=False)
        self.gateway.send(
            Downlink(GATEWAY_A, transmission.phy, transmission.freq, rate, transmission.power_dbm, start, end)
        )


def slots(count: int, *, period_s: int = 300, data_rate: int = 5, guard_ms: int = 60, channel: int = 2) -> list[Slot]:
    """One right behind the other on one channel."""
    length = length_ms(19, data_rate, guard_ms)
    return [
        Slot(channel, 20_000 + number * length, period_s, data_rate, guard_ms, length, 1) for number in range(count)
    ]


def reading(value: int) -> Reading:
    register = RegisterValue(Decimal(value), "Wh", 0)
    return Reading(meter_id_of(SERVER_ID), SERVER_ID, {"1-0:1.8.0*255": register})


def _unix(telegram: messages.Telegram) -> float:
    return messages.parse_timestamp(telegram.received_at).timestamp()


def _entry(slot: Slot) -> messages.SlotEntry:
    return messages.SlotEntry(
        slot.channel, slot.phase_ms, slot.period_s, slot.data_rate, slot.guard_ms, slot.length_ms, slot.version
    )


def _dr(reception: Reception) -> int:
    return next(number for number in range(6) if EU868.data_rate(number) == reception.data_rate)
