"""EUI-64 names of radio devices: adapters (DevEUI), join servers (JoinEUI) and gateways."""

import builtins
import re
from dataclasses import dataclass
from typing import Self

from meterwire.errors import IdentifierError

MAX_TEXT = 64  # longer texts are refused before they are looked at

_SEPARATORS = str.maketrans("", "", "-:. ")
_EUI = re.compile(r"[0-9A-Fa-f]{16}", re.ASCII)
_MAC = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Eui64:
    """Eight octets in reading order (big-endian). `str()` gives 16 lower-case hex digits, `label` upper case.

    On the air LoRaWAN sends them in the opposite order: see `from_air` and `air`.
    """

    bytes: builtins.bytes

    def __post_init__(self) -> None:
        if len(self.bytes) != 8:
            raise IdentifierError(f"an EUI-64 has 8 bytes, not {len(self.bytes)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 16 hex digits of any case; `-`, `:`, `.` and blanks between them do not matter. IdentifierError."""
        digits = _digits(text)
        if not _EUI.fullmatch(digits):
            raise IdentifierError(f"an EUI-64 has 16 hex digits; '{text[:MAX_TEXT]}' has not")
        return cls(builtins.bytes.fromhex(digits))

    @classmethod
    def from_bytes(cls, octets: builtins.bytes) -> Self:
        """Eight octets in reading order. IdentifierError for another length."""
        return cls(builtins.bytes(octets))

    @classmethod
    def from_air(cls, octets: builtins.bytes) -> Self:
        """Eight octets as LoRaWAN sends them (little-endian)."""
        return cls(builtins.bytes(octets[::-1]))

    @classmethod
    def from_mac(cls, text: str) -> Self:
        """The EUI-64 of a 48-bit MAC address: FFFE goes into the middle."""
        digits = _digits(text)
        if not _MAC.fullmatch(digits):
            raise IdentifierError(f"a MAC address has 12 hex digits; '{text[:MAX_TEXT]}' has not")
        return cls(builtins.bytes.fromhex(f"{digits[:6]}fffe{digits[6:]}"))

    @property
    def air(self) -> builtins.bytes:
        """The octets as LoRaWAN sends them (little-endian)."""
        return self.bytes[::-1]

    @property
    def label(self) -> str:
        """16 upper-case hex digits, as printed on labels and shown to people."""
        return self.bytes.hex().upper()

    def __str__(self) -> str:
        return self.bytes.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bytes.hex()})"


class DevEUI(Eui64):
    """Names an adapter or another end device."""

    __slots__ = ()


class JoinEUI(Eui64):
    """Names the join server that holds a device's root key."""

    __slots__ = ()


class GatewayEUI(Eui64):
    """Names a gateway or a concentrator."""

    __slots__ = ()


def _digits(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise IdentifierError(f"a text of {len(text)} characters is no EUI-64")
    return text.translate(_SEPARATORS)
