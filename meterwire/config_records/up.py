"""Records by which an adapter reports itself: its counter, firmware, identity, its meters' identities, and refusals."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from meterwire.config_records.down import MAX_IDENTITY, no_input
from meterwire.config_records.record import Bounded, sized
from meterwire.errors import FormatError
from meterwire.ids import DevEUI
from meterwire.registers import MAX_INDEX, MAX_INPUT

MAX_FIRMWARE: Final = 20
MAX_REASON: Final = 20


class IdentityKind(IntEnum):
    """How a meter names itself: not at all, by an SML server id, or by text (D0, IEC 62056-21)."""

    NONE = 0
    SERVER_ID = 1
    TEXT = 2


@dataclass(frozen=True, slots=True)
class CounterReport(Bounded):
    """Type 0x81, after each join: the full 32-bit inner counter that the adapter uses next."""

    type = 0x81
    counter: int

    def _fault(self) -> str | None:
        return None if 0 <= self.counter < 1 << 32 else f"counter {self.counter} is no 32-bit value"

    def _octets(self) -> bytes:
        return self.counter.to_bytes(4, "big")

    @classmethod
    def _read(cls, value: bytes) -> Self:
        return cls(int.from_bytes(sized(value, 4, 4, "a counter report"), "big"))


@dataclass(frozen=True, slots=True)
class FirmwareReport(Bounded):
    """Type 0x82: the firmware's version as text of 1 to 20 bytes UTF-8."""

    type = 0x82
    version: str

    def _fault(self) -> str | None:
        if not 1 <= len(self._octets()) <= MAX_FIRMWARE or not self.version.isprintable():
            return f"a firmware version is 1 to {MAX_FIRMWARE} printable bytes"
        return None

    def _octets(self) -> bytes:
        return self.version.encode("utf-8", "surrogatepass")

    @classmethod
    def _read(cls, value: bytes) -> Self:
        try:
            return cls(value.decode())
        except UnicodeDecodeError:
            raise FormatError("the firmware version is no UTF-8 text") from None


@dataclass(frozen=True, slots=True)
class OwnIdentity(Bounded):
    """Type 0x83: the adapter's own DevEUI, the first of the two identities of [0149]."""

    type = 0x83
    dev_eui: DevEUI

    def _fault(self) -> str | None:
        return None

    def _octets(self) -> bytes:
        return self.dev_eui.bytes

    @classmethod
    def _read(cls, value: bytes) -> Self:
        return cls(DevEUI(sized(value, 8, 8, "an own identity")))


@dataclass(frozen=True, slots=True)
class ReadIdentity(Bounded):
    """Type 0x84: what the meter at `input` (0 to 7) names itself, the second identity of [0149].

    `octets` (0 to 20): none for NONE, the server id as it came for SERVER_ID, for TEXT visible ASCII in upper case
    without blanks. An early hint only: the concentrator could forge it, see `meterwire.identity`.
    """

    type = 0x84
    input: int
    kind: int
    octets: bytes

    def _fault(self) -> str | None:
        if not 0 <= self.input <= MAX_INPUT:
            return no_input(self.input)
        if self.kind not in IdentityKind.__members__.values():
            return f"a meter names itself in kind 0, 1 or 2, not {self.kind}"
        if (self.kind == IdentityKind.NONE) != (not self.octets) or len(self.octets) > MAX_IDENTITY:
            return f"an identity that was read has 1 to {MAX_IDENTITY} bytes, and none for a meter that tells nothing"
        if self.kind == IdentityKind.TEXT and not _is_plain(self.octets):
            return "the text a meter names itself by is visible ASCII in upper case without blanks"
        return None

    def _octets(self) -> bytes:
        return bytes((self.input, self.kind)) + self.octets

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 2, 2 + MAX_IDENTITY, "an identity that was read")
        return cls(value[0], value[1], value[2:])


@dataclass(frozen=True, slots=True)
class Resolution(Bounded):
    """Type 0x85: the meter's own resolution of a register: 10**exponent (-128 to 127) in the dictionary's unit."""

    type = 0x85
    register: int
    exponent: int

    def _fault(self) -> str | None:
        if not 0 <= self.register <= 0xFF or not 1 <= self.register & 31 <= MAX_INDEX:
            return f"{self.register} names no register of the dictionary"
        return None if -128 <= self.exponent <= 127 else f"an exponent is -128 to 127, not {self.exponent}"

    def _octets(self) -> bytes:
        return bytes((self.register,)) + self.exponent.to_bytes(1, "big", signed=True)

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 2, 2, "a resolution")
        return cls(value[0], int.from_bytes(value[1:], "big", signed=True))


@dataclass(frozen=True, slots=True)
class CommissioningReport(Bounded):
    """Type 0x86: seconds of commissioning that are left, 0 to 65535."""

    type = 0x86
    seconds_left: int

    def _fault(self) -> str | None:
        return None if 0 <= self.seconds_left <= 0xFFFF else f"{self.seconds_left} seconds are no 16-bit value"

    def _octets(self) -> bytes:
        return self.seconds_left.to_bytes(2, "big")

    @classmethod
    def _read(cls, value: bytes) -> Self:
        return cls(int.from_bytes(sized(value, 2, 2, "a commissioning report"), "big"))


@dataclass(frozen=True, slots=True)
class ConfigurationRefused(Bounded):
    """Type 0x87: configuration `version` (16 bits) was not applied, because of its record of `record_type` (0: of the
    whole); `reason` is 1 to 20 printable ASCII characters.
    """

    type = 0x87
    version: int
    record_type: int
    reason: str

    def _fault(self) -> str | None:
        if not 0 <= self.version <= 0xFFFF or not 0 <= self.record_type <= 0xFF:
            return "a refused configuration has a 16-bit version and an 8-bit record type"
        if not 1 <= len(self.reason) <= MAX_REASON or not (self.reason.isascii() and self.reason.isprintable()):
            return f"the reason of a refusal is 1 to {MAX_REASON} printable ASCII characters"
        return None

    def _octets(self) -> bytes:
        return self.version.to_bytes(2, "big") + bytes((self.record_type,)) + self.reason.encode("ascii")

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 4, 3 + MAX_REASON, "a refused configuration")
        return cls(int.from_bytes(value[:2], "big"), value[2], value[3:].decode("latin-1"))


def _is_plain(octets: bytes) -> bool:
    return all(0x21 <= octet <= 0x7E for octet in octets) and octets == octets.upper()
