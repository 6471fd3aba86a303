"""Security modes 5 and 7 (EN 13757-7, OMS volume 2): opening and sealing the records of a telegram."""

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from meterwire.errors import ReplayError, TagMismatch, UnsupportedSecurity
from meterwire.lorawan.aes import mac
from meterwire.seal import Key16
from meterwire.wmbus.address import Address
from meterwire.wmbus.afl import Afl
from meterwire.wmbus.transport import BLOCK, MODE_5, MODE_7, PLAIN, Upper, encode_header

FILL: Final = 0x2F
PROOF: Final = bytes((FILL, FILL))  # the first octets of what a right key opens
MAC_BYTES: Final = 8  # a shorter MAC is refused: BSI TR-03109-1 wants eight octets
MAC_CONTROL: Final = 0x25  # MCL: counter, AES-CMAC cut to eight octets
_ENCRYPTION, _AUTHENTICATION = 0x00, 0x01  # derivation constants for telegrams from the meter


@dataclass(frozen=True, slots=True)
class Opened:
    """The records of a telegram; `counter` is the authenticated message counter of mode 7, else None."""

    records: bytes
    counter: int | None


def open_records(upper: Upper, address: Address, key: Key16 | None, last_counter: int | None = None) -> Opened:
    """The records in a telegram of the meter at `address` (the long header's, else the link layer's).

    Plain telegrams need no key. Mode 5 has no integrity: only its first two octets tell a wrong key.
    UnsupportedSecurity for other modes, TagMismatch for a wrong or absent key and for changed bytes, ReplayError for
    a counter that has not risen above `last_counter`.
    """
    if upper.afl is not None and upper.mode != MODE_7:
        raise UnsupportedSecurity("the telegram has a MAC, and its security mode none")  # one bit makes 7A a 78
    if upper.mode == PLAIN:
        return Opened(upper.data, None)
    if upper.mode not in (MODE_5, MODE_7):
        raise UnsupportedSecurity(f"security mode {upper.mode} cannot be opened here; modes 5 and 7 can")
    if key is None:
        raise TagMismatch("the meter encrypts its telegrams and there is no key; deliver the meter's key")
    return _open_5(upper, address, key) if upper.mode == MODE_5 else _open_7(upper, address, key, last_counter)


def seal_5(records: bytes, address: Address, key: Key16, *, access: int, long: bool) -> bytes:
    """The transport layer with all records encrypted in mode 5; at most 238 octets of them."""
    plain = _filled(records)
    head = encode_header(address=address if long else None, access=access, mode=MODE_5, blocks=_blocks(plain))
    return head + _encrypt(key.reveal(), _initial_vector(address, access), plain)


def seal_7(records: bytes, address: Address, key: Key16, *, access: int, counter: int, long: bool) -> bytes:
    """Authentication and transport layer with all records encrypted in mode 7; at most 238 octets of them."""
    plain = _filled(records)
    head = encode_header(address=address if long else None, access=access, mode=MODE_7, blocks=_blocks(plain))
    message = head + _encrypt(_derived(key, _ENCRYPTION, counter, address), bytes(BLOCK), plain)
    layer = Afl(MAC_CONTROL, counter, b"")
    tag = mac(_derived(key, _AUTHENTICATION, counter, address), layer.associated + message)[:MAC_BYTES]
    return Afl(MAC_CONTROL, counter, tag).encode() + message


def _open_5(upper: Upper, address: Address, key: Key16) -> Opened:
    plain = _decrypt(key.reveal(), _initial_vector(address, upper.access), upper.sealed)
    if plain[: len(PROOF)] != PROOF:
        raise _mismatch()
    return Opened(plain + upper.data[len(plain) :], None)


def _open_7(upper: Upper, address: Address, key: Key16, last_counter: int | None) -> Opened:
    layer = upper.afl
    if layer is None or len(layer.mac) < MAC_BYTES:
        raise UnsupportedSecurity(f"a telegram of mode 7 without a MAC of at least {MAC_BYTES} octets")
    expected = mac(_derived(key, _AUTHENTICATION, layer.counter, address), layer.associated + upper.message)
    if not hmac.compare_digest(expected[: len(layer.mac)], layer.mac):
        raise _mismatch()
    if last_counter is not None and layer.counter <= last_counter:
        raise ReplayError("the meter's message counter has not risen: the telegram is an old one")
    plain = _decrypt(_derived(key, _ENCRYPTION, layer.counter, address), bytes(BLOCK), upper.sealed)
    return Opened(plain + upper.data[len(plain) :], layer.counter)


def _derived(key: Key16, constant: int, counter: int, address: Address) -> bytes:
    return mac(key.reveal(), bytes((constant,)) + counter.to_bytes(4, "little") + address.number + b"\x07" * 7)


def _initial_vector(address: Address, access: int) -> bytes:
    return address.link + bytes((access,)) * 8


def _filled(records: bytes) -> bytes:
    plain = PROOF + records
    return plain + bytes((FILL,)) * (-len(plain) % BLOCK)


def _blocks(plain: bytes) -> int:
    blocks = len(plain) // BLOCK
    if blocks > 15:
        raise UnsupportedSecurity("a telegram holds at most 15 encrypted blocks")
    return blocks


def _decrypt(key: bytes, vector: bytes, sealed: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor().update(sealed)


def _encrypt(key: bytes, vector: bytes, plain: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor().update(plain)


def _mismatch() -> TagMismatch:
    return TagMismatch("the telegram does not open under the meter's key: wrong key, or changed bytes")
