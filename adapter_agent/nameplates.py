"""What each meter says about itself: its own identity and the resolution of its registers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.clock import Clock
from meterwire.config_records import MAX_IDENTITY, IdentityKind, ReadIdentity
from meterwire.reading import Reading
from meterwire.registers import by_obis, register_number

SILENT_S: Final = 30.0  # a meter that has not named itself by then is reported as one that does not
UNNAMED_READINGS: Final = 3  # … or after so many readings without a name
MAX_RESOLUTION: Final = 12  # powers of ten that a resolution may be away from the dictionary's unit


@dataclass(slots=True)
class Nameplate:
    """One meter's. `octets` is empty for kind NONE; `resolutions` are by dictionary index, in the dictionary's unit."""

    kind: int = IdentityKind.NONE
    octets: bytes = b""
    resolutions: dict[int, int] = field(default_factory=dict)
    unnamed: int = 0


class Nameplates:
    """By input. `on_change` is called when a meter's identity has become known or is another one."""

    def __init__(self, clock: Clock, inputs: Iterable[int] = ()) -> None:
        self.on_change: Callable[[], None] = _nobody
        self._clock = clock
        self._plates: dict[int, Nameplate] = {}
        self._since: dict[int, float] = {}
        self.expect(inputs)

    def expect(self, inputs: Iterable[int]) -> None:
        """There is a meter at each of `inputs`, which has a while to name itself."""
        for input_ in inputs:
            self._since.setdefault(input_, self._clock.monotonic())

    def take(self, input_: int, reading: Reading) -> None:
        """Note what a reading tells beside its values. A meter that leaves its name out once has not lost it."""
        self.expect((input_,))
        kind, octets = identity_of(reading)
        plate = self._plates.setdefault(input_, Nameplate())
        plate.resolutions |= resolutions_of(reading)
        if kind == IdentityKind.NONE:
            plate.unnamed = min(plate.unnamed + 1, UNNAMED_READINGS)
        else:
            self._name(plate, kind, octets)

    def tell(self, input_: int, kind: int, octets: bytes, resolutions: Mapping[int, int]) -> None:
        """What the other board has found out; kind NONE once it has given up waiting."""
        self.expect((input_,))
        plate = self._plates.setdefault(input_, Nameplate(unnamed=UNNAMED_READINGS))
        plate.resolutions |= resolutions
        if kind != IdentityKind.NONE:
            self._name(plate, kind, octets)

    def identities(self) -> Mapping[int, bytes]:
        """Input -> the octets by which the meter there names itself, where it does."""
        return {input_: plate.octets for input_, plate in self._plates.items() if plate.kind != IdentityKind.NONE}

    def records(self) -> list[ReadIdentity]:
        """What can be reported of each input; nothing of a meter that may still name itself."""
        return [
            ReadIdentity(input_, plate.kind, plate.octets)
            for input_ in sorted(self._since)
            if self._settled(input_, plate := self._plates.get(input_, Nameplate()))
        ]

    def resolutions(self) -> Mapping[int, int]:
        """Register number -> exponent of every register that the meters have sent."""
        return {
            register_number(index, input_): exponent
            for input_, plate in sorted(self._plates.items())
            for index, exponent in sorted(plate.resolutions.items())
        }

    def of(self, input_: int) -> Nameplate | None:
        """The nameplate as far as it can be told, None while its meter may still name itself."""
        plate = self._plates.get(input_, Nameplate())
        return plate if self._settled(input_, plate) else None

    @property
    def inputs(self) -> list[int]:
        """Where a meter is expected."""
        return sorted(self._since)

    def _settled(self, input_: int, plate: Nameplate) -> bool:
        waited = self._clock.monotonic() - self._since.get(input_, self._clock.monotonic())
        return plate.kind != IdentityKind.NONE or plate.unnamed >= UNNAMED_READINGS or waited >= SILENT_S

    def _name(self, plate: Nameplate, kind: int, octets: bytes) -> None:
        if (plate.kind, plate.octets) != (kind, octets):
            plate.kind, plate.octets = kind, octets
            self.on_change()


def identity_of(reading: Reading) -> tuple[int, bytes]:
    """(kind, octets) of the name that the meter gives itself in a reading; (NONE, empty) without a usable one."""
    if reading.server_id and len(reading.server_id) <= MAX_IDENTITY:
        return IdentityKind.SERVER_ID, reading.server_id
    text = "".join((reading.identification or "").split()).upper()
    if text and text.isascii() and text.isprintable() and len(text) <= MAX_IDENTITY:
        return IdentityKind.TEXT, text.encode("ascii")
    return IdentityKind.NONE, b""


def resolutions_of(reading: Reading) -> dict[int, int]:
    """Dictionary index -> power of ten of the last digit that the meter shows, in the dictionary's unit."""
    found = {}
    for obis, value in reading.registers.items():
        register = by_obis(obis)
        if register is None or value.scaler is None or abs(value.scaler) > MAX_RESOLUTION:
            continue
        if value.unit == register.unit or not register.unit:
            found[register.index] = value.scaler
    return found


def _nobody() -> None:
    return None
