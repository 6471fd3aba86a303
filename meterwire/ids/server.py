"""SML server ids: which kind a device's own name is, and the meter identifier in it where there is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from meterwire.errors import IdentifierError
from meterwire.ids.meter import MeterId

SERVER_ID_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0x01: "OMS wireless",
        0x02: "M-Bus wired",
        0x03: "utility specific, 18 digits",
        0x04: "utility specific, 16 digits",
        0x05: "MAC address",
        0x06: "DIN draft of 2010-02",
        0x07: "IMEI",
        0x08: "utility specific, 6 to 7 digits",
        0x09: "DIN draft of 2010-07",
        0x0A: "DIN 43863-5",
    }
)
_SECTOR_CHARACTERS = "0123456789ABCDEFG"


@dataclass(frozen=True, slots=True)
class ServerId:
    """A server id as the meter sends it: type octet (a key of SERVER_ID_TYPES) and the rest, 7 to 10 octets in all."""

    octets: bytes

    def __post_init__(self) -> None:
        if not 7 <= len(self.octets) <= 10 or self.octets[0] not in SERVER_ID_TYPES:
            raise IdentifierError("an SML server id has 7 to 10 bytes and begins with 01 to 0A")
        if self.octets[0] in (0x09, 0x0A) and meter_id_of(self.octets) is None:
            raise IdentifierError("a server id of type 09 or 0A holds sector, three letters, block and number")
        if self.octets[0] in (0x01, 0x02) and len(self.octets) != 9:
            raise IdentifierError("a server id of type 01 or 02 has 9 bytes")

    @property
    def kind(self) -> str:
        """What the type octet stands for."""
        return SERVER_ID_TYPES[self.octets[0]]

    @property
    def meter_id(self) -> MeterId | None:
        """The meter identifier of a 09 or 0A form."""
        return meter_id_of(self.octets)

    def __str__(self) -> str:
        return self.octets.hex().upper()


def meter_id_of(server_id: bytes) -> MeterId | None:
    """The DIN 43863-5 identifier in an SML server id; None for every form other than 09 and 0A."""
    if len(server_id) != 10 or server_id[0] not in (0x09, 0x0A) or server_id[1] >= len(_SECTOR_CHARACTERS):
        return None
    sector, maker = _SECTOR_CHARACTERS[server_id[1]], server_id[2:5].decode("latin-1")
    try:
        return MeterId(sector, maker, server_id[5], int.from_bytes(server_id[6:], "big"))
    except IdentifierError:
        return None
