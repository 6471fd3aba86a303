"""The authentication and fragmentation layer (EN 13757-7): message counter and MAC of security mode 7."""

from dataclasses import dataclass
from typing import Final

from meterwire.errors import FormatError, UnsupportedSecurity

CI: Final = 0x90
MORE, HAS_CONTROL, HAS_LENGTH, HAS_COUNTER, HAS_MAC, HAS_KEY = 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 10, 1 << 9
MAC_BYTES: Final = {3: 2, 4: 4, 5: 8, 6: 12, 7: 16}  # lower half of MCL: AES-CMAC, cut


@dataclass(frozen=True, slots=True)
class Afl:
    """`control` is MCL; `counter` 32 bits; `length` the octets of the message length field, mostly none."""

    control: int
    counter: int
    mac: bytes
    length: bytes = b""

    @property
    def associated(self) -> bytes:
        """What the MAC covers before the transport layer."""
        return bytes((self.control,)) + self.counter.to_bytes(4, "little") + self.length

    def encode(self) -> bytes:
        """From the CI-field on, without a message length."""
        fields = (HAS_CONTROL | HAS_COUNTER | HAS_MAC).to_bytes(2, "little") + self.associated + self.mac
        return bytes((CI, len(fields))) + fields


def decode_afl(octets: bytes) -> tuple[Afl, bytes]:
    """The layer and what follows it, from octets that begin with its CI-field.

    UnsupportedSecurity for fragments and for a layer without counter or MAC, FormatError for a cut one.
    """
    if len(octets) < 4 or len(octets) < 2 + octets[1] or octets[1] < 2:
        raise FormatError("the authentication layer is cut off")
    body, rest = octets[2 : 2 + octets[1]], octets[2 + octets[1] :]
    fields = int.from_bytes(body[:2], "little")
    if fields & MORE or fields & 0xFF:
        raise UnsupportedSecurity("the telegram is a fragment of a longer one; set the meter to whole telegrams")
    if not fields & HAS_CONTROL or not fields & HAS_COUNTER or not fields & HAS_MAC:
        raise UnsupportedSecurity("the authentication layer has no counter or no MAC")
    size = MAC_BYTES.get(body[2] & 15, 0) if len(body) > 2 else 0
    if not size:
        raise UnsupportedSecurity("the MAC of the authentication layer is of an unknown kind")
    at = 5 if fields & HAS_KEY else 3
    end = at + 4 + size + (2 if fields & HAS_LENGTH else 0)
    if len(body) != end:
        raise FormatError(f"the authentication layer has {len(body)} bytes; its fields take {end}")
    mac = body[at + 4 : at + 4 + size]
    return Afl(body[2], int.from_bytes(body[at : at + 4], "little"), mac, body[at + 4 + size :]), rest
