"""A whole building in one event loop: its meters talk, its air carries, its gateways forward."""

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from adapter_agent.simulation import d0_meter
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.air_server import AirServer
from adapter_agent.simulation.config import Config, GatewayPlace, MeterPlace
from adapter_agent.simulation.forwarder import Forwarder
from adapter_agent.simulation.gateway import COUNTER_RANGE, GatewayRadio
from adapter_agent.simulation.lines import FileLine, PseudoTerminal
from adapter_agent.simulation.load import Load
from adapter_agent.simulation.measurement import Mains
from adapter_agent.simulation.meters import CapturedMeter, Line, Meter, SimulatedMeter, speak
from adapter_agent.simulation.noise import uniform
from adapter_agent.simulation.plug import Plug
from adapter_agent.simulation.shapes import SHAPES
from edge.clock import Clock
from meterwire.errors import MeterspanError


class BuildingError(MeterspanError):
    """The building cannot be set up: a device or a capture cannot be used."""

    code = "building"


class Building:
    """Set up by `async with`; everything runs until the block ends. Meters can be read at `config.device(name)`.

    `line` puts a meter's octets elsewhere than into its device, for tests.
    """

    def __init__(self, config: Config, clock: Clock, line: Callable[[MeterPlace], Line] | None = None) -> None:
        self.config = config
        self.clock = clock
        self.air = Air(
            clock,
            seed=config.building.seed,
            fading_db=config.air.fading_db,
            shadow_db=config.air.shadow_db,
            default_loss_db=config.air.default_loss_db,
        )
        self.meters = {place.name: meter(place, config.building.seed) for place in config.meter}
        self.forwarders = {str(place.eui): self._forwarder(place) for place in config.gateway}
        self.server = AirServer(self.air, config.air.host, config.air.port)
        self._line = line
        self._plugs: dict[str, Plug] = {}
        self._resources = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        for adapter in config.adapter:
            self.air.place(adapter.dev_eui, adapter.losses(config.gateway))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.air.close)
            await self.server.start()
            stack.push_async_callback(self.server.stop)
            stack.push_async_callback(self._cancel)
            for place in self.config.meter:
                plug = self._plugs[place.name] = Plug(self._open(place, stack))
                self._run(self._talk(place, plug))
            for forwarder in self.forwarders.values():
                self._run(forwarder.run())
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    def swap(self, one: str, other: str) -> None:
        """Mix up the wires of two meters, by name: each talks into the other's line from now on."""
        self._plugs[one].swap(self._plugs[other])

    async def wait(self) -> None:
        """Until something in the building fails, which is raised. A building without meters and gateways waits too."""
        if not self._tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _forwarder(self, place: GatewayPlace) -> Forwarder:
        eui = str(place.eui)
        radio = GatewayRadio(
            eui,
            self.clock,
            demodulators=place.demodulators,
            antenna_gain_db=place.antenna_gain_db,
            # No two boards were switched on together.
            counter=int(COUNTER_RANGE * uniform(self.config.building.seed, "counter", eui)),
        )
        self.air.add(radio)
        return Forwarder(
            radio,
            (place.host, place.port),
            gps=place.gps,
            pull_interval_s=place.pull_interval_s,
            stat_interval_s=place.stat_interval_s,
        )

    def _open(self, place: MeterPlace, stack: AsyncExitStack) -> Line:
        if self._line is not None:
            return self._line(place)
        path = self.config.device(place.line)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            line = PseudoTerminal(path) if place.output == "terminal" else FileLine(path)
        except OSError as error:
            raise BuildingError(f"no device for meter {place.name} at {path} ({error}); free the path") from None
        stack.callback(line.close)
        return line

    async def _talk(self, place: MeterPlace, line: Line) -> None:
        device = self.meters[place.name]
        await self.clock.sleep(device.period_s * uniform(self.config.building.seed, "phase", place.name))
        await speak(device, line, self.clock)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def meter(place: MeterPlace, seed: int) -> Meter:
    """The meter that `place` describes; `seed` is the building's. BuildingError for a capture that is none."""
    if place.capture is not None:
        try:
            return CapturedMeter(place.capture.read_bytes(), place.period_s or 2.0)
        except (OSError, ValueError) as error:
            raise BuildingError(f"capture {place.capture} of meter {place.name}: {error}; give another file") from None
    assert place.shape is not None
    assert place.id is not None
    load = Load(
        zlib.crc32(f"{seed}/{place.name}".encode()),
        yearly_kwh=place.yearly_kwh,
        habit=place.habit,
        kwp=place.kwp,
        tariffs=place.tariffs,
    )
    if place.shape == d0_meter.NAME:
        return d0_meter.D0Meter(place.id, Mains(load), named=place.named, period_s=place.period_s)
    return SimulatedMeter(
        SHAPES[place.shape], place.id, Mains(load), pin=place.unlocked, named=place.named, period_s=place.period_s
    )
