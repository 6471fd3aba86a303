"""Pairs adapters in virtual time: plugged in, scanned, joined, configured, first reading, by the real programs."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from adapter_agent.app import AdapterApp
from adapter_agent.config import load as load_adapter
from adapter_agent.simulation.building import Building
from adapter_agent.simulation.building import meter as meter_of
from adapter_agent.simulation.config import MeterPlace
from adapter_agent.simulation.config import load as load_building
from adapter_agent.simulation.lines import PseudoTerminal
from adapter_agent.simulation.meters import speak
from benchmarks.virtual import LoopClock, virtual_time
from concentrator_agent.app import ConcentratorApp
from concentrator_agent.config import load as load_concentrator
from edge.mqtt import LinkSettings
from portal.ops.demo import house
from portal.ops.demo.house import Flat
from tests.support.processes import free_port

ROOT = Path(__file__).resolve().parent.parent
EVERY_S = 2.5  # one installation after the other begins, as several people in a house would
PLUGGED_BEFORE_S = 25.0  # at most so long before the scans are sent, or PLUGGED_AFTER_S after
PLUGGED_AFTER_S = 15.0
PATIENCE_S = 900.0
LOOK_S = 5.0
USUAL_PERIOD_S = 900
SEED = 20261127
STEPS = ("informed", "joined", "configured", "identity", "reading")


@dataclass
class Run:
    """Seconds of virtual time from the claim to the first reading, whole and by step; and what it cost."""

    totals: list[float] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)
    unfinished: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0


def simulate(folder: Path, count: int) -> Run:
    """`count` pairings in one building, on the empty portal of benchmarks.stand."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    flats = _prepare(folder, count)
    run = Run()
    began = time.perf_counter()
    with virtual_time() as until:
        until(_Site(folder, flats, run).work())
    run.wall_s = time.perf_counter() - began
    return run


def _prepare(folder: Path, count: int) -> list[Flat]:
    """Building, organisation, keys and key files, as the demo makes them, all adapters in their boxes."""
    agents, meters = folder / "agents", folder / "meters"
    agents.mkdir()
    meters.mkdir()
    ports = {"mqtt": free_port(), "udp": free_port(), "air": free_port()}
    building = [sys.executable, "-m", "adapter_agent.simulation", str(agents / "building.toml"), "--new", str(count)]
    building += ["--gateway", f"{house.GATEWAY_EUI}@127.0.0.1:{ports['udp']}", "--meters", str(meters)]
    subprocess.run(building, cwd=ROOT, check=True)
    from django.core.management import call_command

    call_command(
        "demo_seed",
        agents=agents,
        meters=meters,
        password="stand-in-a-cellar",
        paired=0,
        verbosity=0,
        **{f"{name}_port": port for name, port in ports.items()},
    )
    _usual_slots()
    return house.flats(agents / "building.toml")


def _usual_slots() -> None:
    """Slots as everywhere, every 15 minutes: the demo's are wide, for processes that are woken late, and come often."""
    from portal.ops.demo.seed import SLUG
    from provisioning.accounts.actors import System
    from provisioning.fleet.models import Adapter, Concentrator
    from provisioning.pairing.services import set_reporting
    from provisioning.slots.models import SlotPlan
    from provisioning.slots.services import set_plan

    actor, usual = System("bench"), SlotPlan()
    for concentrator in Concentrator.objects.filter(organisation__slug=SLUG):
        set_plan(
            actor, concentrator, quantum_ms=usual.quantum_ms, guard_ms=usual.guard_ms, reserve=usual.reserve,
            previous=usual.previous, by_pairing=True, beacon_period_s=0,
        )  # fmt: skip
    for adapter in Adapter.objects.filter(organisation__slug=SLUG):
        set_reporting(actor, adapter, period_s=USUAL_PERIOD_S)


class _Site:
    """One building, its concentrator, and the people who install in it."""

    def __init__(self, folder: Path, flats: Sequence[Flat], run: Run) -> None:
        self._folder, self._flats, self._run = folder, flats, run
        self._clock = LoopClock()
        self._thread = ThreadPoolExecutor(1, "people")  # one connection to the database, kept open
        self._random = Random(SEED)
        self._pending: dict[int, Flat] = {}

    async def work(self) -> None:
        from portal.bridge.app import Bridge, BridgeSettings

        start = self._clock.monotonic()
        agents = self._folder / "agents"
        config = load_building(agents / "building.toml")
        self._places = {place.name: place for place in config.meter}
        self._seed = config.building.seed
        bridge = Bridge(BridgeSettings("bench", LinkSettings("", 0, "bench"), ""))
        bridge._pages.run = asyncio.Event().wait  # type: ignore[method-assign, assignment]  # nobody has a page open
        concentrator = ConcentratorApp(load_concentrator(agents / "concentrator.toml"), self._clock, rng=self._random)
        # Meters that nobody reads yet would only cost time; each talks from the moment its adapter has power.
        async with Building(replace(config, meter=()), self._clock) as building:
            tasks = [asyncio.ensure_future(part) for part in (bridge.run(), concentrator.run())]
            await concentrator.ready.wait()
            people = [
                asyncio.ensure_future(self._install(building, flat, EVERY_S * number))
                for number, flat in enumerate(self._flats)
            ]
            await asyncio.gather(*people)
            bridge.stop()
            concentrator.stop()
            await asyncio.gather(*tasks)
        await self._in_thread(_disconnect)
        self._run.simulated_s = self._clock.monotonic() - start

    async def _install(self, building: Building, flat: Flat, at: float) -> None:
        await self._clock.sleep(at)
        plugging = asyncio.ensure_future(self._plugged_in(building, flat))
        await self._clock.sleep(PLUGGED_BEFORE_S)
        pairing = await self._in_thread(_claim, flat)
        begun = self._clock.monotonic()
        steps: dict[str, float] = {}
        while "reading" not in steps and self._clock.monotonic() < begun + PATIENCE_S:
            await self._clock.sleep(LOOK_S)
            steps = await self._in_thread(_steps, pairing)
        plugging.cancel()
        await asyncio.gather(plugging, return_exceptions=True)
        self._note(steps)

    async def _plugged_in(self, building: Building, flat: Flat) -> None:
        """The adapter with power, its meters talking, until cancelled."""
        await self._clock.sleep(self._random.uniform(0.0, PLUGGED_BEFORE_S + PLUGGED_AFTER_S))
        loaded = load_adapter(self._folder / "agents" / f"{flat.name}.toml")
        app = AdapterApp(
            loaded, self._clock, phy=building.air.phy(loaded.config.adapter.dev_eui), random=Random(flat.dev_eui)
        )
        async with asyncio.TaskGroup() as group:
            for name, _ in flat.meters:
                group.create_task(self._talk(self._places[name]))
            group.create_task(app.run())

    async def _talk(self, place: MeterPlace) -> None:
        with PseudoTerminal(self._folder / "meters" / place.name) as line:
            await speak(meter_of(place, self._seed), line, self._clock)

    async def _in_thread(self, work: Any, *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    def _note(self, steps: dict[str, float]) -> None:
        if "reading" not in steps:
            self._run.unfinished += 1
            return
        self._run.totals.append(steps["reading"] - steps["claimed"])
        before = steps["claimed"]
        for name in STEPS:
            moment = max(before, steps.get(name, before))
            self._run.steps.setdefault(name, []).append(moment - before)
            before = moment


def _claim(flat: Flat) -> int:
    """What the phone sends, in the name of the demo's installer."""
    from provisioning.accounts.models import Organisation, User
    from provisioning.pairing.services import ClaimRequest, claim

    organisation = Organisation.objects.get(slug="stadtwerke-muster")
    user = User.objects.get(email="installer@demo.example")
    answer = claim(user, organisation, ClaimRequest(_label(flat), flat.meters[0][1]), key=f"bench-{flat.name}")
    if answer.pairing is None:
        raise RuntimeError(f"the pairing was refused: {answer.body}")
    return int(answer.pairing.pk)


def _label(flat: Flat) -> str:
    from provisioning.accounts.actors import System
    from provisioning.fleet.models import Adapter
    from provisioning.labels.services import open_label

    return str(open_label(System("bench"), Adapter.objects.get(dev_eui=flat.dev_eui)))


def _steps(pairing: int) -> dict[str, float]:
    from provisioning.pairing.models import PairingStep

    rows = PairingStep.objects.filter(pairing_id=pairing).values_list("step", "at")
    return {step: at.timestamp() for step, at in rows}


def _disconnect() -> None:
    from django.db import connection

    connection.close()
