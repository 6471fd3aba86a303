"""Who a telegram is from: maker, number, version and device type, eight octets in all (EN 13757-7)."""

from dataclasses import dataclass
from typing import Final, Self

from meterwire.errors import FormatError, IdentifierError
from meterwire.ids import MeterId

LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Address:
    """M-field (2 octets, low first), identification (4 octets BCD, low first), version and device type."""

    maker: bytes
    number: bytes
    version: int
    device_type: int

    @classmethod
    def of_link(cls, octets: bytes) -> Self:
        """From the link layer, where the maker comes first. FormatError unless there are 8 octets."""
        _check(octets)
        return cls(octets[:2], octets[2:6], octets[6], octets[7])

    @classmethod
    def of_header(cls, octets: bytes) -> Self:
        """From a long transport header, where the number comes first. FormatError unless there are 8 octets."""
        _check(octets)
        return cls(octets[4:6], octets[:4], octets[6], octets[7])

    @classmethod
    def of_meter(cls, meter: MeterId) -> Self:
        """IdentifierError where the meter's sector has no device type."""
        maker, rest = meter.oms()
        return cls(maker, rest[:4], rest[4], rest[5])

    @property
    def link(self) -> bytes:
        """The 8 octets in the link layer's order, which is also that of the initial vector of mode 5."""
        return self.maker + self.number + bytes((self.version, self.device_type))

    @property
    def header(self) -> bytes:
        """The 8 octets in the long header's order."""
        return self.number + self.maker + bytes((self.version, self.device_type))

    @property
    def meter_id(self) -> MeterId | None:
        """The identifier of DIN 43863-5 behind it; None where there is none, as for radio converters."""
        try:
            return MeterId.from_oms(self.maker, self.link[2:])
        except IdentifierError:
            return None

    def server_id(self, *, wired: bool) -> bytes:
        """The 9-octet server id of an LMN meter: 01 wireless or 02 wired, then the address."""
        return bytes((2 if wired else 1,)) + self.link


def _check(octets: bytes) -> None:
    if len(octets) != LENGTH:
        raise FormatError(f"an M-Bus address has {LENGTH} octets, not {len(octets)}")
