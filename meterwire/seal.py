"""The inner encryption of values telegrams (design 5.2): AES-128-CCM under a key the concentrator need not hold."""

import hmac
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from meterwire.errors import FormatError, TagMismatch, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.values_telegram import (
    HEADER_LENGTH,
    MAX_PAYLOAD,
    PORT,
    SIGNED,
    Mode,
    Value,
    ValuesTelegram,
    decode_value,
    encode_body,
    header,
    layout,
    parse_values,
    restore_counter,
    split_body,
)

__all__ = [
    "InnerKey",
    "Key16",
    "Mode",
    "Value",
    "ValuesOpener",
    "ValuesSealer",
    "ValuesTelegram",
    "parse_values",
    "restore_counter",
]

_KEY = re.compile("[0-9A-Fa-f]{32}")


class Key16:
    """A 128-bit key that shows itself nowhere: hidden `repr`, constant-time comparison, no hash."""

    __slots__ = ("_octets",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, key: bytes) -> None:
        if len(key) != 16:
            raise ValueOutOfRange(f"a key has 16 bytes, not {len(key)}")
        self._octets = bytes(key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 32 hex digits. ValueOutOfRange, whose message does not show them."""
        if not _KEY.fullmatch(text):
            raise ValueOutOfRange("a key is written as 32 hex digits")
        return cls(bytes.fromhex(text))

    def reveal(self) -> bytes:
        """The 16 octets; only for a cipher or a key wrap."""
        return self._octets

    def check_value(self) -> bytes:
        """Three octets that tell two people whether they hold the same key: the zero block encrypted, cut."""
        encryptor = Cipher(algorithms.AES(self._octets), modes.ECB()).encryptor()  # noqa: S305 one fixed block
        return encryptor.update(bytes(16))[:3]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key16) and hmac.compare_digest(self._octets, other._octets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"


class InnerKey(Key16):
    """A key of the inner layer with the tag length that belongs to it: 4 bytes, or 8 where more is at stake."""

    __slots__ = ("tag_length",)

    def __init__(self, key: bytes, tag_length: int = 4) -> None:
        super().__init__(key)
        if tag_length not in (4, 8):
            raise ValueOutOfRange(f"an inner tag has 4 or 8 bytes, not {tag_length}")
        self.tag_length = tag_length

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, InnerKey) and self.tag_length == other.tag_length

    __hash__ = None


class ValuesSealer:
    """Seals values telegrams of one adapter under one key.

    `widths` (register number to bytes) fixes a least width per register, so that a telegram's length does not tell
    the magnitude. Each counter value may be sealed once only: take it from `meterwire.counter.Counter`, and send a
    repetition as the same bytes.
    """

    def __init__(
        self,
        key: InnerKey,
        slot: int,
        dev_eui: DevEUI,
        port: int = PORT,
        widths: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        if not 0 <= slot <= 7:
            raise ValueOutOfRange(f"key slots run from 0 to 7, not {slot}")
        self._aead = AESCCM(key.reveal(), key.tag_length)
        self._tag_length, self._slot, self._widths = key.tag_length, slot, widths
        self._prefix, self._port = dev_eui.bytes, _port(port)

    def seal(self, counter: int, values: Iterable[Value], mode: Mode = Mode.VALUES) -> bytes:
        """The telegram's bytes, at most MAX_PAYLOAD. ValueOutOfRange names what does not fit."""
        body = encode_body(values, self._widths)
        nonce = self._prefix + _counter(counter) + self._port
        head = header(mode, self._tag_length, self._slot, counter & 0xFFFF)
        if mode is Mode.METER:
            telegram = head + body
        elif mode is Mode.CLEAR:
            telegram = head + body + self._aead.encrypt(nonce, b"", head + body)
        elif mode is Mode.ALL:
            telegram = head + self._aead.encrypt(nonce, body, head)
        else:
            telegram = head + self._values_only(nonce, head, body)
        if len(telegram) > MAX_PAYLOAD:
            raise ValueOutOfRange(
                f"{len(telegram)} bytes do not fit into one telegram of {MAX_PAYLOAD}: send fewer registers at a time"
            )
        return telegram

    def _values_only(self, nonce: bytes, head: bytes, body: bytes) -> bytes:
        registers = layout(body)
        names, plain = split_body(body, registers)
        sealed = self._aead.encrypt(nonce, plain, head + names)
        telegram, taken = bytearray(body), 0
        for _, offset, length in registers:
            telegram[offset : offset + length] = sealed[taken : taken + length]
            taken += length
        return bytes(telegram) + sealed[taken:]


class ValuesOpener:
    """Opens and authenticates values telegrams of one adapter under one key. Keeps its cipher, so keep the object.

    It does not remember counters: refusing replays is the caller's business (design 5.8).
    """

    def __init__(self, key: InnerKey, dev_eui: DevEUI, port: int = PORT) -> None:
        self._decrypt = AESCCM(key.reveal(), key.tag_length).decrypt
        self._tag_length = key.tag_length
        self._prefix, self._port = dev_eui.bytes, _port(port)
        self._pair = _NO_PAIR

    def open(self, telegram: bytes | ValuesTelegram, counter: int) -> tuple[Value, ...]:
        """The authentic values, in the telegram's order. `counter` is the full 32-bit counter.

        FormatError for what is no telegram, has no tag (mode METER) or another tag length than the key; TagMismatch
        for a wrong key, a wrong counter or changed bytes; ValueOutOfRange for a counter over 32 bits.
        """
        payload = telegram.payload if isinstance(telegram, ValuesTelegram) else telegram
        return tuple(Value(register, value) for register, value in self.open_raw(payload, counter))

    def open_raw(self, payload: bytes, counter: int) -> list[tuple[int, int]]:
        """As `open`, but (register number, integer) pairs: the quick way for a stream of telegrams."""
        # An adapter sends the same layout again and again: one of two registers is remembered from the last authentic
        # telegram, and the next one that looks alike needs no parsing.
        length, head, first, split, second, rest, names, one, two, bits, mask = self._pair
        if len(payload) == length and payload[0] == head and payload[3] == first and payload[split] == second:
            try:
                nonce = self._prefix + counter.to_bytes(4, "big") + self._port
                plain = self._decrypt(nonce, payload[4:split] + payload[rest:], payload[:3] + names)
            except InvalidTag:
                raise _tag_mismatch() from None
            except OverflowError:
                raise _no_counter(counter) from None
            number = int.from_bytes(plain)
            return [(one, number >> bits), (two, number & mask)]
        return self._open_any(parse_values(payload), counter)

    def _open_any(self, telegram: ValuesTelegram, counter: int) -> list[tuple[int, int]]:
        if telegram.mode is Mode.METER:
            raise FormatError("the telegram has no inner tag (mode 0): nothing proves who sent it")
        if telegram.tag_length != self._tag_length:
            raise FormatError(
                f"the telegram has a tag of {telegram.tag_length} bytes, the key asks for {self._tag_length}:"
                " wrong key, or changed on the way"
            )
        head, body = telegram.payload[:HEADER_LENGTH], telegram.body
        if telegram.mode is Mode.ALL:
            body = self._authentic(counter, body + telegram.tag, head)
        elif telegram.mode is Mode.CLEAR:
            self._authentic(counter, telegram.tag, head + body)
        if telegram.mode is not Mode.VALUES:
            return [(number, decode_value(number, body[at : at + size])) for number, at, size in layout(body)]
        registers = layout(body)
        names, sealed = split_body(body, registers)
        plain, opened, place = self._authentic(counter, sealed + telegram.tag, head + names), [], 0
        for number, _, size in registers:
            opened.append((number, decode_value(number, plain[place : place + size])))
            place += size
        self._pair = _pair(telegram, head[0], names) or self._pair
        return opened

    def _authentic(self, counter: int, sealed: bytes, associated: bytes) -> bytes:
        try:
            return self._decrypt(self._prefix + _counter(counter) + self._port, sealed, associated)
        except InvalidTag:
            raise _tag_mismatch() from None


# What tells a remembered layout, and takes it apart: length of the telegram, HDR, first REG, offset of the second REG,
# second REG, the offset behind it, both REG bytes, both register numbers, bits and mask of the second value.
_Pair = tuple[int, int, int, int, int, int, bytes, int, int, int, int]
_NO_PAIR: _Pair = (-1, 0, 0, 0, 0, 0, b"", 0, 0, 0, 0)


def _pair(telegram: ValuesTelegram, head: int, names: bytes) -> _Pair | None:
    """The layout of a telegram of two unsigned registers of input 0; None for any other."""
    registers = telegram.registers or ()
    if len(registers) != 2 or len(names) != 2 or any(number in SIGNED for number, _ in registers):
        return None
    (one, size), (two, last) = registers
    split = HEADER_LENGTH + 1 + size
    length = split + 1 + last + telegram.tag_length
    return length, head, names[0], split, names[1], split + 1, names, one, two, 8 * last, (1 << 8 * last) - 1


def _tag_mismatch() -> TagMismatch:
    return TagMismatch(
        "the inner tag does not fit: wrong key, wrong counter or changed bytes; compare the key's check value"
    )


def _counter(counter: int) -> bytes:
    if not 0 <= counter < 1 << 32:
        raise _no_counter(counter)
    return counter.to_bytes(4, "big")


def _no_counter(counter: int) -> ValueOutOfRange:
    return ValueOutOfRange(f"counter {counter} is no 32-bit value")


def _port(port: int) -> bytes:
    if not 0 <= port <= 255:
        raise ValueOutOfRange(f"ports run from 0 to 255, not {port}")
    return bytes((port,))
