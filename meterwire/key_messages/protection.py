"""What protects port 34: one transport key of adapter and partner wraps keys, two derived from it authenticate."""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from meterwire.errors import AuthenticationError
from meterwire.ids import DevEUI
from meterwire.lorawan.aes import mac
from meterwire.seal import Key16

MAC_BYTES: Final = 8
WRAPPED_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class MacKeys:
    """One for each direction, so that nothing sent downwards ever passes for something sent upwards."""

    down: Key16
    up: Key16


def mac_keys(transport: Key16) -> MacKeys:
    """HKDF-SHA256 (RFC 5869) of the transport key without salt, the direction in its info."""
    return MacKeys(_derived(transport, "down"), _derived(transport, "up"))


def tag(message: bytes, mac_key: Key16, dev_eui: DevEUI) -> bytes:
    """The first 8 octets of AES-CMAC (RFC 4493) over DevEUI 8 (reading order) and `message` without its mac."""
    return mac(mac_key.reveal(), dev_eui.bytes + message)[:MAC_BYTES]


def verify(payload: bytes, mac_key: Key16, dev_eui: DevEUI) -> None:
    """AuthenticationError, always the same one, unless `payload` ends in the mac of `dev_eui` under `mac_key`.

    The direction is the caller's to know: `mac_keys(...).down` for what goes to the adapter, `.up` for what it sends.
    """
    if not bytes_eq(tag(payload[:-MAC_BYTES], mac_key, dev_eui), bytes(payload[-MAC_BYTES:])):
        raise AuthenticationError("the message on port 34 is not authentic: another transport key, or changed bytes")


def wrap(transport: Key16, key: Key16) -> bytes:
    """The 24 octets of RFC 3394 that `transport` opens."""
    return aes_key_wrap(transport.reveal(), key.reveal())


def unwrap(transport: Key16, wrapped: bytes) -> Key16:
    """The wrapped key. AuthenticationError when it was wrapped under another one, or changed."""
    try:
        return Key16(aes_key_unwrap(transport.reveal(), wrapped))
    except (InvalidUnwrap, ValueError):
        raise AuthenticationError("the wrapped key does not open: another transport key, or changed bytes") from None


def _derived(transport: Key16, direction: str) -> Key16:
    info = f"mspan port 34 mac v1|{direction}".encode()
    return Key16(HKDF(SHA256(), 16, salt=None, info=info).derive(transport.reveal()))
