"""Reads the messages of port 34, each by its type, in the direction it came."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meterwire.errors import FormatError, LimitExceeded, UnsupportedVersion, ValueOutOfRange
from meterwire.key_messages.down import Down, ExchangeConfirm, ExchangeOffer, KeyDelivery, KeyRevoke
from meterwire.key_messages.message import HEADER_BYTES
from meterwire.key_messages.protection import MAC_BYTES
from meterwire.key_messages.up import DeliveryAnswer, ExchangeAnswer, ExchangeResult, KeyReport, RevokeAnswer, Up

PORT: Final = 34
MAX_PAYLOAD: Final = 51  # what fits at every EU868 data rate

Message = Down | Up

# A new message is one class and one line here. 0x20 to 0x2F and 0xA0 to 0xAF belong to signed days.
_KINDS: tuple[type[Message], ...] = (
    KeyDelivery,
    ExchangeOffer,
    ExchangeConfirm,
    KeyRevoke,
    DeliveryAnswer,
    ExchangeAnswer,
    ExchangeResult,
    KeyReport,
    RevokeAnswer,
)
MESSAGES: Mapping[int, type[Message]] = MappingProxyType({kind.type: kind for kind in _KINDS})


def decode(payload: bytes, up: bool) -> Message:
    """Read a payload that an adapter sent (`up`) or is sent. Proves nothing: see `verify`.

    FormatError (LimitExceeded, UnsupportedVersion for a type that is not known) for anything that is no message.
    """
    if len(payload) > MAX_PAYLOAD:
        raise LimitExceeded(f"a key message has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
    if len(payload) < HEADER_BYTES + MAC_BYTES:
        raise FormatError(f"a key message is cut off after {len(payload)} bytes")
    kind = MESSAGES.get(payload[0])
    if kind is None:
        raise UnsupportedVersion(f"0x{payload[0]:02x} is no type of key message that is known here")
    if up != (payload[0] >= 0x80):
        raise FormatError(f"key message 0x{payload[0]:02x} does not go {'up' if up else 'down'}")
    fields = bytes(payload[HEADER_BYTES:-MAC_BYTES])
    if len(fields) not in kind.sizes:
        raise FormatError(f"key message 0x{payload[0]:02x} has a wrong length of {len(payload)} bytes")
    try:
        return kind.read(int.from_bytes(payload[1:HEADER_BYTES]), fields)
    except ValueOutOfRange as error:
        raise FormatError(str(error)) from None
