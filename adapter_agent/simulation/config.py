"""The file that describes a building: its gateways, meters and adapters, and where each of them is."""

import re
from dataclasses import dataclass, field
from math import dist
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from adapter_agent.simulation import d0_meter
from adapter_agent.simulation.air import DEFAULT_LOSS_DB, FADING_DB, SHADOW_DB
from adapter_agent.simulation.load import HABITS
from adapter_agent.simulation.physics import indoor_loss_db
from adapter_agent.simulation.reception import DEMODULATORS
from adapter_agent.simulation.shapes import SHAPES
from edge.config import Document, read
from meterwire.ids import DevEUI, GatewayEUI, MeterId

KNOWN_SHAPES: Final = (*SHAPES, d0_meter.NAME)
STOREY_M: Final = 3.0
MAX_METERS: Final = 2000

Port = Annotated[int, Meta(ge=0, le=65535)]
Decibel = Annotated[float, Meta(ge=-30, le=250)]
Metres = Annotated[float, Meta(ge=-100_000, le=100_000)]
Floor = Annotated[int, Meta(ge=-20, le=200)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


@dataclass(frozen=True, slots=True)
class House:
    """[building]: `folder` holds the meters' devices; `speed` makes simulated time run faster than the machine's."""

    folder: Path = Path("building")
    seed: int = 1
    speed: Annotated[float, Meta(gt=0, le=10_000)] = 1.0


@dataclass(frozen=True, slots=True)
class AirPlace:
    """[air]: where adapters reach the air, and how restless it is. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Port = 0
    fading_db: Annotated[float, Meta(ge=0, le=20)] = FADING_DB
    shadow_db: Annotated[float, Meta(ge=0, le=20)] = SHADOW_DB
    default_loss_db: Decibel = DEFAULT_LOSS_DB


@dataclass(frozen=True, slots=True)
class GatewayPlace:
    """[[gateway]]: a gateway and the network server (host, port) that its packet forwarder talks to."""

    eui: GatewayEUI
    port: Port
    host: str = "127.0.0.1"
    floor: Floor = 0
    x_m: Metres = 0.0
    y_m: Metres = 0.0
    antenna_gain_db: Annotated[float, Meta(ge=0, le=20)] = 0.0
    demodulators: Annotated[int, Meta(ge=1, le=64)] = DEMODULATORS
    gps: bool = True
    pull_interval_s: Annotated[float, Meta(gt=0, le=600)] = 5.0
    stat_interval_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """[[meter]]: a meter of a known shape on a load of its own, or one that repeats a capture.

    It talks into `<folder>/<name>`: a pseudo-terminal, or a plain file that grows. `unlocked` false: no PIN was
    entered and only whole kilowatt hours show. `named` false: it never says which meter it is. `plugged` is the line of
    another meter that it talks into instead of its own, as after a mix-up. `yearly_kwh` is drawn from the grid, `kwp`
    the roof.
    """

    name: Name
    shape: str | None = None
    id: MeterId | None = None
    capture: Path | None = None
    output: Literal["terminal", "file"] = "terminal"
    unlocked: bool = True
    named: bool = True
    plugged: Name | None = None
    period_s: Annotated[float, Meta(ge=0.1, le=3600)] | None = None
    habit: str = "household"
    yearly_kwh: Annotated[float, Meta(gt=0, le=1e9)] = 2800.0
    kwp: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    tariffs: Annotated[int, Meta(ge=1, le=2)] = 1

    @property
    def line(self) -> str:
        """The name of the device that it talks into."""
        return self.plugged or self.name


@dataclass(frozen=True, slots=True)
class AdapterPlace:
    """[[adapter]]: where an adapter hangs and which meters its inputs read, in order.

    `extra_loss_db` is what a metal cabinet takes; `loss_db` sets the whole path loss to a gateway (by EUI) instead.
    """

    dev_eui: DevEUI
    meters: tuple[str, ...] = ()
    floor: Floor = 0
    x_m: Metres = 0.0
    y_m: Metres = 0.0
    extra_loss_db: Decibel = 0.0
    loss_db: dict[str, Decibel] = field(default_factory=dict)

    def losses(self, gateways: tuple[GatewayPlace, ...]) -> dict[str, float]:
        """Path loss in dB to each gateway by EUI."""
        return {str(gateway.eui): self._loss(gateway) for gateway in gateways}

    def _loss(self, gateway: GatewayPlace) -> float:
        known = self.loss_db.get(str(gateway.eui))
        if known is not None:
            return known
        floors = self.floor - gateway.floor
        here = (self.x_m, self.y_m, self.floor * STOREY_M)
        there = (gateway.x_m, gateway.y_m, gateway.floor * STOREY_M)
        return indoor_loss_db(dist(here, there), floors) + self.extra_loss_db


@dataclass(frozen=True, slots=True)
class Log:
    """[log]."""

    form: Literal["json", "console"] = "console"
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    building: House = field(default_factory=House)
    air: AirPlace = field(default_factory=AirPlace)
    gateway: Annotated[tuple[GatewayPlace, ...], Meta(max_length=32)] = ()
    meter: Annotated[tuple[MeterPlace, ...], Meta(max_length=MAX_METERS)] = ()
    adapter: Annotated[tuple[AdapterPlace, ...], Meta(max_length=MAX_METERS)] = ()
    log: Log = field(default_factory=Log)

    def device(self, meter: str) -> Path:
        """Where that meter can be read."""
        return self.building.folder / meter


def load(path: Path) -> Config:
    """The building described by the file at `path`. Raises edge.config.ConfigError."""
    return check(read(path))


def check(document: Document) -> Config:
    """The building described by `document`, names and references checked. Raises edge.config.ConfigError."""
    config = document.convert(Config)
    for number, meter in enumerate(config.meter):
        _check_meter(document, f"meter[{number}]", meter)
    _unique(document, "meter", "name", [meter.name for meter in config.meter])
    _unique(document, "meter", "plugged", [meter.line for meter in config.meter])
    _unique(document, "gateway", "eui", [str(gateway.eui) for gateway in config.gateway])
    _unique(document, "adapter", "dev_eui", [str(adapter.dev_eui) for adapter in config.adapter])
    names = {meter.name for meter in config.meter}
    for number, adapter in enumerate(config.adapter):
        for name in set(adapter.meters) - names:
            raise document.error(
                f"adapter[{number}].meters", f"there is no meter '{name}'", "name one of the [[meter]] entries"
            )
        for eui in adapter.loss_db:
            if not re.fullmatch("[0-9a-f]{16}", eui):
                raise document.error(
                    f"adapter[{number}].loss_db", f"'{eui}' is no gateway", "write its EUI, 16 lower-case hex digits"
                )
    return config


def _check_meter(document: Document, at: str, meter: MeterPlace) -> None:
    if (meter.capture is None) == (meter.shape is None):
        raise document.error(at, "a meter has either a shape or a capture", "give one of the two")
    if meter.shape is not None and meter.shape not in KNOWN_SHAPES:
        raise document.error(f"{at}.shape", f"no shape '{meter.shape}'", f"known: {', '.join(KNOWN_SHAPES)}")
    if meter.shape is not None and meter.id is None:
        raise document.error(at, "the meter has no identity", 'add id = "1 EMH 00 1234 5678"')
    if meter.habit not in HABITS:
        raise document.error(f"{at}.habit", f"no habit '{meter.habit}'", f"known: {', '.join(HABITS)}")


def _unique(document: Document, table: str, key: str, values: list[str]) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise document.error(f"{table}[{number}].{key}", f"'{value}' stands there twice", "make it unique")
