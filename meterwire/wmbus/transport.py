"""The layers above the link: extended link layer, authentication layer, transport header (EN 13757-4 and -7)."""

from dataclasses import dataclass
from typing import Final

from meterwire.errors import FormatError, UnsupportedSecurity
from meterwire.wmbus import afl as afl_layer
from meterwire.wmbus.address import LENGTH as ADDRESS_LENGTH
from meterwire.wmbus.address import Address
from meterwire.wmbus.afl import Afl, decode_afl

LONG_HEADER, SHORT_HEADER, NO_HEADER = 0x72, 0x7A, 0x78
BLOCK: Final = 16
PLAIN, MODE_5, MODE_7 = 0, 5, 7
_EXTENDED: Final = {0x8C: 3, 0x8E: 11}  # CI-field -> octets of the layers whose payload is not encrypted with them
_HEADERS: Final = {LONG_HEADER: ADDRESS_LENGTH, SHORT_HEADER: 0}


@dataclass(frozen=True, slots=True)
class Upper:
    """The layers above the link, still sealed.

    `address` is that of the long header, None where only the link layer names the meter. `message` begins at the
    transport layer's CI-field, `data` behind its header. `octets` are authentication and transport layer as they came.
    """

    afl: Afl | None
    address: Address | None
    access: int
    status: int
    configuration: int
    message: bytes
    data: bytes
    octets: bytes

    @property
    def mode(self) -> int:
        """The security mode, 0 to 31."""
        return self.configuration >> 8 & 31

    @property
    def sealed(self) -> bytes:
        """The encrypted blocks of modes 5 and 7."""
        return self.data[: self.blocks * BLOCK]

    @property
    def blocks(self) -> int:
        """How many blocks are encrypted (modes 5 and 7), 0 to 15."""
        return self.configuration >> 4 & 15

    @property
    def protected(self) -> bool:
        """Whether a key is needed to read the records."""
        return self.mode != PLAIN


def decode_upper(octets: bytes) -> Upper:
    """Take the layers from the first CI-field on apart, without a key.

    UnsupportedSecurity for layers that this release cannot open (encrypted link layers, other transport layers),
    FormatError for cut or contradictory ones.
    """
    rest = octets
    if rest and rest[0] in _EXTENDED:
        rest = rest[_EXTENDED[rest[0]] :]
    message, afl = rest, None
    if message and message[0] == afl_layer.CI:
        afl, message = decode_afl(message)
    if not message:
        raise FormatError("the telegram ends before its transport layer")
    if message[0] == NO_HEADER:
        return Upper(afl, None, 0, 0, 0, message, message[1:], rest)
    if message[0] not in _HEADERS:
        raise UnsupportedSecurity(f"the transport layer 0x{message[0]:02x} is none that can be read here")
    return _headed(afl, message, rest)


def encode_header(
    *, address: Address | None = None, access: int, status: int = 0, mode: int, blocks: int, derivation: int = 0x10
) -> bytes:
    """A long header for `address`, a short one for None. `blocks` 0 to 15 (modes 5 and 7)."""
    head = bytes((SHORT_HEADER,)) if address is None else bytes((LONG_HEADER,)) + address.header
    configuration = (mode << 8 | blocks << 4).to_bytes(2, "little")
    return head + bytes((access, status)) + configuration + (bytes((derivation,)) if mode == MODE_7 else b"")


def _headed(afl: Afl | None, message: bytes, octets: bytes) -> Upper:
    at = 1 + _HEADERS[message[0]]
    if len(message) < at + 4:
        raise FormatError("the transport header is cut off")
    address = Address.of_header(message[1:at]) if at > 1 else None
    configuration = int.from_bytes(message[at + 2 : at + 4], "little")
    end = at + 4
    if configuration >> 8 & 31 == MODE_7:
        end += 1
        if len(message) < end:
            raise FormatError("the transport header is cut off")
        if message[end - 1] >> 4 & 3 != 1:
            raise UnsupportedSecurity("the meter derives its keys in a way that is not known here")
    found = Upper(afl, address, message[at], message[at + 1], configuration, message, message[end:], octets)
    if found.mode in (MODE_5, MODE_7) and len(found.sealed) != found.blocks * BLOCK:
        raise FormatError(f"the header announces {found.blocks} encrypted blocks; the telegram holds fewer")
    return found
