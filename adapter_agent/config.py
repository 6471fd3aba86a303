"""The adapter's configuration: TOML into frozen values, each fault named with file, line and cure."""

from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from msgspec import Meta

from adapter_agent.meter import INTERFACES
from adapter_agent.meter.line import BAUD_RATES, STANDARD_INPUT
from adapter_agent.meter.mbus import Station
from adapter_agent.radio import RADIOS
from edge.config import ConfigError, Document, read
from meterwire.errors import FormatError
from meterwire.ids import DevEUI, JoinEUI, MeterId
from meterwire.registers import AGE, Register, by_obis
from meterwire.wmbus.wired import TEST

Carries = Literal["bytes", "reading", "telegram"]
Share = Annotated[float, Meta(ge=0, le=1)]

# Keys of [radio] that hold for every radio; the rest belongs to the radio's own type.
RADIO_COMMON: Final = ("type", "confirm_every")


class Obis:
    """A register of the dictionary by its OBIS code, `1-0:1.8.0`."""

    __slots__ = ("register",)

    def __init__(self, register: Register) -> None:
        self.register = register

    @classmethod
    def parse(cls, text: str) -> Self:
        register = by_obis(text)
        if register is None or register.index == AGE:
            raise FormatError(f"'{text[:40]}' is no register that a values telegram can carry")
        return cls(register)

    def __str__(self) -> str:
        return self.register.obis


@dataclass(frozen=True, slots=True)
class Adapter:
    """[adapter]: who this adapter is and where it keeps its state."""

    dev_eui: DevEUI
    join_eui: JoinEUI
    state_dir: Path
    credential_file: Path | None = None
    key_file: Path | None = None

    @property
    def credential(self) -> Path:
        """The file whose secret seals the state."""
        return self.credential_file or self.state_dir / "credential"


@dataclass(frozen=True, slots=True)
class Input:
    """[[input]]: one meter. `address` and `every_s` are for `mbus`, `meter` and `checks` for `wmbus`."""

    device: str
    number: Annotated[int, Meta(ge=0, le=7)] = 0
    interface: str = "sml"
    baud: int = 9600
    address: str = str(TEST)
    every_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    meter: MeterId | None = None
    checks: bool = True


@dataclass(frozen=True, slots=True)
class Sampler:
    """[sampler]: what is sent and when. `on_change` is an amount in the register's unit."""

    period_s: Annotated[float, Meta(gt=0, le=86_400)] = 900.0
    registers: tuple[Obis, ...] = (Obis.parse("1-0:1.8.0"), Obis.parse("1-0:2.8.0"))
    on_change: dict[str, Annotated[float, Meta(gt=0)]] = field(default_factory=dict)
    least_interval_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    silent_after_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    jitter: Share = 0.1

    def thresholds(self) -> dict[int, Decimal]:
        """Register index -> amount of change that is sent at once."""
        return {Obis.parse(obis).register.index: Decimal(str(amount)) for obis, amount in self.on_change.items()}


@dataclass(frozen=True, slots=True)
class Sealing:
    """[sealing]: `values` leaves register names readable after the outer decryption, `all` hides them too."""

    mode: Literal["values", "all", "clear"] = "values"
    least_width: Annotated[int, Meta(ge=1, le=8)] = 1


@dataclass(frozen=True, slots=True)
class Signing:
    """[signing]: whether each day's telegrams are kept for two days and signed, and on which curve."""

    enabled: bool = True
    curve: Literal["p-256", "brainpoolP256r1"] = "p-256"


@dataclass(frozen=True, slots=True)
class Coupling:
    """[coupling]: the serial line between interface board and base board, and what it carries."""

    device: str
    carries: Carries
    baud: int = 115_200


@dataclass(frozen=True, slots=True)
class Radio:
    """The keys of [radio] that every radio shares; `confirm_every` n asks for an answer to every n-th telegram."""

    type: str = "virtual"
    confirm_every: Annotated[int, Meta(ge=0, le=1000)] = 8


@dataclass(frozen=True, slots=True)
class Dates:
    """[clock]: whether the machine's own date is to be believed before the network has told the time."""

    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Commissioning:
    """[commissioning]: the button, and how long everything happens at once after it; 0 minutes: never."""

    minutes: Annotated[float, Meta(ge=0, le=60)] = 15.0
    button: Path | None = None


@dataclass(frozen=True, slots=True)
class Logs:
    """[log]."""

    form: Literal["json", "console"] = "console"
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file but [radio], of which each kind of radio has its own."""

    adapter: Adapter
    input: tuple[Input, ...] = ()
    sampler: Sampler = field(default_factory=Sampler)
    sealing: Sealing = field(default_factory=Sealing)
    signing: Signing = field(default_factory=Signing)
    coupling: Coupling | None = None
    clock: Dates = field(default_factory=Dates)
    commissioning: Commissioning = field(default_factory=Commissioning)
    log: Logs = field(default_factory=Logs)

    @property
    def has_radio(self) -> bool:
        """Whether this is a whole adapter or a base board, and not an interface board."""
        return self.coupling is None or not self.input

    @property
    def seals(self) -> bool:
        """Whether the inner keys belong on this side."""
        return self.coupling is None or (self.coupling.carries == "telegram") != self.has_radio


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration; `radio_section` is what the radio's kind made of [radio], None on an interface board."""

    config: Config
    radio: Radio
    radio_section: Any


def load(path: Path, *, board: bool | None = False) -> Loaded:
    """The configuration of a whole adapter or a base board; with `board`, of an interface board; None: of any.

    Raises ConfigError.
    """
    return check(read(path), board=board)


def check(document: Document, *, board: bool | None = False) -> Loaded:
    """As `load`, for a document already read."""
    config = document.convert(Config, ignore=("radio",))
    radio, section = (Radio(), None) if board else _radio(document)
    _check_inputs(config, document)
    _check_sampler(config.sampler, document)
    if board is not None:
        _check_halves(config, document, board)
    return Loaded(_with_paths(config, document.source.parent), radio, section)


def _radio(document: Document) -> tuple[Radio, Any]:
    table: Any = document.data.get("radio", {})
    own = [key for key in table if key not in RADIO_COMMON] if isinstance(table, dict) else []
    radio = document.convert(Radio, "radio", ignore=own)
    kind = RADIOS.get(radio.type)
    if kind is None:
        raise document.error("radio.type", f"unknown radio '{radio.type}'", f"known here: {', '.join(sorted(RADIOS))}")
    return radio, document.convert(kind.config, "radio", ignore=RADIO_COMMON)


def _with_paths(config: Config, folder: Path) -> Config:
    """Devices named relative to the file's folder."""
    inputs = [
        one if one.device == STANDARD_INPUT else replace(one, device=str(folder / one.device)) for one in config.input
    ]
    coupling = config.coupling and replace(config.coupling, device=str(folder / config.coupling.device))
    return replace(config, input=tuple(inputs), coupling=coupling)


def _check_inputs(config: Config, document: Document) -> None:
    seen: set[int] = set()
    for position, one in enumerate(config.input):
        at = f"input[{position}]"
        if one.interface not in INTERFACES:
            known = ", ".join(sorted(INTERFACES))
            raise document.error(
                f"{at}.interface", f"unknown meter interface '{one.interface}'", f"known here: {known}"
            )
        if one.number in seen:
            raise document.error(f"{at}.number", f"input {one.number} is there twice", "number the inputs from 0 to 7")
        seen.add(one.number)
        _check_baud(one.baud, f"{at}.baud", document)
        _check_station(one, at, document)
    if config.coupling:
        _check_baud(config.coupling.baud, "coupling.baud", document)


def _check_station(one: Input, at: str, document: Document) -> None:
    try:
        Station.parse(one.address)
    except FormatError as error:
        raise document.error(f"{at}.address", str(error), 'for example "5"') from None
    if one.interface == "mbus" and one.device == STANDARD_INPUT:
        raise document.error(f"{at}.device", "an M-Bus meter is asked, standard input only listens", "name the line")


def _check_sampler(sampler: Sampler, document: Document) -> None:
    if not sampler.registers:
        raise document.error("sampler.registers", "no register is to be sent", 'for example ["1-0:1.8.0"]')
    try:
        sampler.thresholds()
    except (FormatError, InvalidOperation) as error:
        raise document.error("sampler.on_change", str(error), 'write for example { "1-0:16.7.0" = 500 }') from None
    missing = set(sampler.thresholds()) - {obis.register.index for obis in sampler.registers}
    if missing:
        raise document.error("sampler.on_change", "it names a register that is not sent", "add it to 'registers'")


def _check_halves(config: Config, document: Document, board: bool) -> None:
    if board:
        if config.coupling is None:
            raise document.error("coupling", "an interface board needs its line to the base board", "add [coupling]")
        if not config.input:
            raise document.error("input", "an interface board needs at least one meter", "add [[input]]")
    elif config.coupling is None and not config.input:
        raise document.error("input", "there is nothing to read", "add [[input]], or [coupling] to an interface board")
    elif config.coupling is not None and config.input:
        raise document.error(
            "input[0]", "a base board gets its meters over [coupling]", "move [[input]] to the board's file"
        )


def _check_baud(baud: int, at: str, document: Document) -> None:
    if baud not in BAUD_RATES:
        raise document.error(at, f"{baud} baud is no speed of a serial line here", f"one of {sorted(BAUD_RATES)}")


__all__ = ["Config", "ConfigError", "Loaded", "Radio", "check", "load"]
