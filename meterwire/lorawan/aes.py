"""AES-128 for many small messages: one block cipher context and one CMAC context, each made once per key.

A context costs more to make than a frame costs to process, so sessions keep theirs.
"""

from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from meterwire.errors import FormatError

KEY_LENGTH: Final = 16
BLOCK: Final = 16


class Aes:
    """The bare block cipher. `encrypt` takes any number of whole blocks in one call and returns as many."""

    __slots__ = ("encrypt",)

    def __init__(self, key: bytes) -> None:
        self.encrypt = Cipher(algorithms.AES(check_key(key)), modes.ECB()).encryptor().update  # noqa: S305


class Cmac:
    """AES-CMAC (RFC 4493) over one CBC context that lives as long as the key.

    CBC chains on from the last block of the message before, so that block is remembered and taken out of the next
    message's first one: a whole MAC is then a single call into the cipher. For the same reason an object belongs to
    one thread; nothing here awaits.
    """

    __slots__ = ("_chain", "_k1", "_k2", "_update")

    def __init__(self, key: bytes) -> None:
        self._update = Cipher(algorithms.AES(check_key(key)), modes.CBC(bytes(BLOCK))).encryptor().update
        block = self._update(bytes(BLOCK))
        self._chain = int.from_bytes(block, "big")
        self._k1 = _double(self._chain)
        self._k2 = _double(self._k1)

    def mac(self, message: bytes) -> bytes:
        """The full 16 octets. LoRaWAN truncates them to the first four."""
        length = len(message)
        padding = -length % BLOCK
        if padding or not length:
            bits = (length + (padding or BLOCK)) * 8
            tail = (0x80 << ((padding or BLOCK) - 1) * 8) ^ self._k2
            number = int.from_bytes(message, "big") << ((padding or BLOCK) * 8) ^ tail
        else:
            bits = length * 8
            number = int.from_bytes(message, "big") ^ self._k1
        number ^= self._chain << bits - 128
        block = self._update(number.to_bytes(bits // 8, "big"))[-BLOCK:]
        self._chain = int.from_bytes(block, "big")
        return block

    def verify(self, message: bytes, tag: bytes) -> bool:
        """True when `tag` (1 to 16 octets) begins the MAC of `message`; compared in constant time."""
        return bool(tag) and compare_digest(self.mac(message)[: len(tag)], tag)


def check_key(key: bytes) -> bytes:
    """`key` itself. Raises FormatError, which does not show it, unless it has 16 octets."""
    if len(key) != KEY_LENGTH:
        raise FormatError(f"an AES-128 key has {KEY_LENGTH} octets, not {len(key)}")
    return bytes(key)


def _double(number: int) -> int:
    shifted = number << 1 & (1 << 128) - 1
    return shifted ^ 0x87 if number >> 127 else shifted
