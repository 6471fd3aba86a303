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
    ESCAPE,
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
        telegram, place, taken = bytearray(body), 0, 0
        for _, offset, length in registers:
            telegram[offset : offset + length] = sealed[taken : taken + length]
            place, taken = offset + length, taken + length
        return bytes(telegram[:place]) + sealed[taken:]


class ValuesOpener:
    """Opens and authenticates values telegrams of one adapter under one key. Keeps its cipher, so keep the object.

    It does not remember counters: refusing replays is the caller's business (design 5.8).
    """

    def __init__(self, key: InnerKey, dev_eui: DevEUI, port: int = PORT) -> None:
        self._decrypt = AESCCM(key.reveal(), key.tag_length).decrypt
        self._tag_length = key.tag_length
        self._tag_bit = 8 if key.tag_length == 8 else 0
        self._values_only = Mode.VALUES << 4 | self._tag_bit
        self._prefix, self._port = dev_eui.bytes, _port(port)

    def open(self, telegram: bytes | ValuesTelegram, counter: int) -> tuple[Value, ...]:
        """The authentic values, in the telegram's order. `counter` is the full 32-bit counter.

        FormatError for what is no telegram, has no tag (mode METER) or another tag length than the key; TagMismatch
        for a wrong key, a wrong counter or changed bytes; ValueOutOfRange for a counter over 32 bits.
        """
        payload = telegram.payload if isinstance(telegram, ValuesTelegram) else telegram
        return tuple(Value(register, value) for register, value in self.open_raw(payload, counter))

    def open_raw(self, payload: bytes, counter: int) -> list[tuple[int, int]]:
        """As `open`, but (register number, integer) pairs: the quick way for a stream of telegrams."""
        # The usual telegram, two plain registers in mode VALUES, is read here in one go; all else goes the long way.
        end = len(payload) - self._tag_length
        if 8 <= end <= MAX_PAYLOAD - self._tag_length and payload[0] & 0xF8 == self._values_only:
            first = payload[3]
            split = 5 + (first >> 5)
            if split < end:
                second = payload[split]
                one, two = first & 31, second & 31
                if split + 2 + (second >> 5) == end and one != two and 0 < one < ESCAPE and 0 < two < ESCAPE:
                    plain = self._authentic(
                        counter, payload[4:split] + payload[split + 1 :], payload[:4] + payload[split : split + 1]
                    )
                    low = int.from_bytes(plain[: split - 4], "big")
                    high = int.from_bytes(plain[split - 4 :], "big")
                    if one in SIGNED:
                        low = low >> 1 ^ -(low & 1)
                    if two in SIGNED:
                        high = high >> 1 ^ -(high & 1)
                    return [(one, low), (two, high)]
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
        return opened

    def _authentic(self, counter: int, sealed: bytes, associated: bytes) -> bytes:
        try:
            return self._decrypt(self._prefix + counter.to_bytes(4, "big") + self._port, sealed, associated)
        except InvalidTag:
            raise TagMismatch(
                "the inner tag does not fit: wrong key, wrong counter or changed bytes; compare the key's check value"
            ) from None
        except OverflowError:
            raise ValueOutOfRange(f"counter {counter} is no 32-bit value") from None


def _counter(counter: int) -> bytes:
    if not 0 <= counter < 1 << 32:
        raise ValueOutOfRange(f"counter {counter} is no 32-bit value")
    return counter.to_bytes(4, "big")


def _port(port: int) -> bytes:
    if not 0 <= port <= 255:
        raise ValueOutOfRange(f"ports run from 0 to 255, not {port}")
    return bytes((port,))
