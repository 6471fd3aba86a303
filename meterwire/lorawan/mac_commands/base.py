"""What every MAC command is, and how fields are packed into octets."""

from dataclasses import dataclass
from typing import ClassVar

from meterwire.errors import FormatError
from meterwire.lorawan.frame import MAX_FREQUENCY_HZ


class MacCommandError(FormatError):
    """A field of a MAC command is outside its range, or a command stream is too long."""

    code: ClassVar[str] = "mac_command"


@dataclass(frozen=True, slots=True)
class MacCommand:
    """Base of all commands. CID, direction and payload length belong to the class; most carry no payload."""

    cid: ClassVar[int]
    uplink: ClassVar[bool]
    length: ClassVar[int] = 0

    def payload(self) -> bytes:
        """The octets after the CID. Raises MacCommandError when a field is outside its range."""
        return b""

    @classmethod
    def from_payload(cls, octets: bytes) -> "MacCommand":
        """The command in exactly `length` octets."""
        return cls()

    def encode(self) -> bytes:
        return bytes((self.cid,)) + self.payload()


def bounded(name: str, value: int, high: int, low: int = 0) -> int:
    """`value` itself. Raises MacCommandError outside `low` to `high`."""
    if not low <= value <= high:
        raise MacCommandError(f"{name} {value} is outside {low} to {high}")
    return value


def nibbles(high: tuple[str, int], low: tuple[str, int]) -> bytes:
    """One octet of two named values from 0 to 15."""
    return bytes((bounded(*high, 15) << 4 | bounded(*low, 15),))


def bits(*flags: bool) -> bytes:
    """One octet, the first flag in bit 0."""
    return bytes((sum(flag << n for n, flag in enumerate(flags)),))


def bit(octets: bytes, n: int) -> bool:
    """Bit `n` of the first octet."""
    return bool(octets[0] >> n & 1)


def frequency(hz: int) -> bytes:
    """Three octets in units of 100 Hz."""
    if hz % 100:
        raise MacCommandError(f"{hz} Hz is no multiple of 100 Hz")
    return (bounded("frequency", hz, MAX_FREQUENCY_HZ) // 100).to_bytes(3, "little")


def hertz(octets: bytes) -> int:
    """The inverse of `frequency`."""
    return int.from_bytes(octets, "little") * 100
