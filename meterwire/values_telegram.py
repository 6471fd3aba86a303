"""The layout of CT-V values telegrams (design 5.2), without any cryptography: `meterwire.seal` adds that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from meterwire.errors import FormatError, LimitExceeded, UnsupportedVersion, ValueOutOfRange
from meterwire.registers import AGE, IDENTITY, MAX_INPUT, PREVIOUS, REGISTERS, split_number

PORT = 16
MAX_PAYLOAD = 242  # the longest application payload of LoRaWAN in EU868
MAX_VALUE_LENGTH = 8
HEADER_LENGTH = 3
ESCAPE = 31  # REG index that announces an extended register
IDENTITY_LENGTH = 4
MAX_PREVIOUS_LENGTH = 2  # a longer difference is left out: carriage must stay cheap

SIGNED = frozenset(index for index, register in REGISTERS.items() if register.signed)


class Mode(IntEnum):
    """HDR bits 5-4. METER: protected by the meter, no tag of ours. CLEAR: readable, with a tag."""

    METER = 0
    VALUES = 1
    ALL = 2
    CLEAR = 3


@dataclass(frozen=True, slots=True)
class Value:
    """One register's integer. `register` is the register number (input * 32 + index), `value` in the dictionary's
    resolution: at least 0 and below 2**64, or -2**63 to 2**63 - 1 for a signed register.

    Index 0 is the previous value of an input: how much its first register has grown, 0 to 65535 (meterwire.previous).
    """

    register: int
    value: int


@dataclass(frozen=True, slots=True)
class ValuesTelegram:
    """A telegram taken apart, still sealed. Nothing in it is authenticated.

    `registers` are (register number, value length) in their order, None in mode ALL, where they are encrypted.
    `body` is everything between CNT and TAG as it travels; `tag` is empty in mode METER.
    """

    mode: Mode
    tag_length: int
    key_slot: int
    counter_low: int
    registers: tuple[tuple[int, int], ...] | None
    body: bytes
    tag: bytes

    @property
    def payload(self) -> bytes:
        """The telegram's bytes again."""
        return header(self.mode, self.tag_length, self.key_slot, self.counter_low) + self.body + self.tag

    def clear_values(self) -> tuple[Value, ...] | None:
        """The values of mode METER or CLEAR, which anybody may have written; None where they are encrypted."""
        if self.mode in (Mode.VALUES, Mode.ALL):
            return None
        return decode_body(self.body)


def parse_values(payload: bytes) -> ValuesTelegram:
    """Take a telegram apart, without a key. FormatError (also UnsupportedVersion, LimitExceeded) for anything else."""
    if len(payload) > MAX_PAYLOAD:
        raise LimitExceeded(f"values telegram of {len(payload)} bytes; at most {MAX_PAYLOAD} fit into a frame")
    if len(payload) < HEADER_LENGTH:
        raise FormatError(f"values telegram cut off after {len(payload)} of at least {HEADER_LENGTH} bytes")
    first = payload[0]
    if first >> 6:
        raise UnsupportedVersion(f"values telegram of version {first >> 6}; this release reads version 0")
    mode, tag_length = Mode(first >> 4 & 3), 8 if first & 8 else 4
    end = len(payload) - (tag_length if mode is not Mode.METER else 0)
    body = bytes(payload[HEADER_LENGTH:end]) if end > HEADER_LENGTH else b""
    if len(body) < 2:
        raise FormatError(f"values telegram of {len(payload)} bytes holds no register: it was cut off")
    return ValuesTelegram(
        mode,
        tag_length,
        first & 7,
        int.from_bytes(payload[1:3], "big"),
        None if mode is Mode.ALL else tuple((number, length) for number, _, length in layout(body)),
        body,
        bytes(payload[end:]),
    )


def restore_counter(low16: int, next_expected: int) -> int:
    """The full counter with low half `low16` that equals `next_expected` or is the nearest above it.

    Near 2**32 the result may exceed 32 bits; no opener accepts that. A repetition of the last telegram is found by
    passing that telegram's counter as `next_expected`.
    """
    return next_expected + ((low16 - next_expected) & 0xFFFF)


def header(mode: Mode, tag_length: int, key_slot: int, counter_low: int) -> bytes:
    """HDR and CNT."""
    first = mode << 4 | (8 if tag_length == 8 else 0) | key_slot
    return bytes((first,)) + counter_low.to_bytes(2, "big")


def layout(body: bytes) -> list[tuple[int, int, int]]:
    """(register number, offset of the value, length) of each register in a body. FormatError.

    Refused: a cut register, a register twice, an extended register that has a shorter form, an identity hash of another
    length than 4, and a previous value (index 0) of over 2 bytes or without a register of its input before it.
    """
    found: list[tuple[int, int, int]] = []
    seen: set[int] = set()
    place, end = 0, len(body)
    while place < end:
        register, length = body[place] & 31, (body[place] >> 5) + 1
        place += 1
        if register == ESCAPE:
            register = _extended(body, place, length)
            place += 1
        if register & 31 == PREVIOUS:
            _check_previous(register, length, seen)
        if place + length > end:
            raise FormatError(f"the value of register {register} is cut off: {end - place} of {length} bytes")
        if register in seen:
            raise FormatError(f"register {register} appears twice in one telegram")
        seen.add(register)
        found.append((register, place, length))
        place += length
    if not found:
        raise FormatError("the telegram holds no register")
    return found


def split_body(body: bytes, registers: Sequence[tuple[int, int, int]]) -> tuple[bytes, bytes]:
    """(REG bytes, value bytes), each joined in order, of a body with the layout `registers`."""
    names, values, place = [], [], 0
    for _, offset, length in registers:
        names.append(body[place:offset])
        place = offset + length
        values.append(body[offset:place])
    return b"".join(names), b"".join(values)


def decode_body(body: bytes) -> tuple[Value, ...]:
    """The values of a readable body. FormatError."""
    return tuple(
        Value(register, decode_value(register, body[offset : offset + length]))
        for register, offset, length in layout(body)
    )


def decode_value(register: int, octets: bytes) -> int:
    """The integer in a value field: unsigned big-endian, zigzag for a signed register."""
    raw = int.from_bytes(octets, "big")
    return raw >> 1 ^ -(raw & 1) if register & 31 in SIGNED else raw


def encode_body(values: Iterable[Value], widths: Mapping[int, int] = MappingProxyType({})) -> bytes:
    """REG and value bytes: shortest form, but at least `widths[register]` (1 to 8) where given. ValueOutOfRange.

    An identity hash takes 4 bytes, whatever its value and `widths`.
    """
    body = bytearray()
    seen: set[int] = set()
    for value in values:
        number = value.register
        index, input_ = _split(number)
        if number in seen:
            raise ValueOutOfRange(f"register {number} is given twice; a telegram carries each once")
        if index == PREVIOUS and not is_measured_before(input_, seen):
            raise ValueOutOfRange(f"input {input_} has a previous value, which names no register, and none before it")
        seen.add(number)
        raw = _raw(value, index)
        length = _length(raw, number, widths)
        if input_ or index == IDENTITY:
            body += bytes((length - 1 << 5 | ESCAPE, number))
        else:
            body.append(length - 1 << 5 | index)
        body += raw.to_bytes(length, "big")
    if not body:
        raise ValueOutOfRange("a values telegram takes at least one value")
    return bytes(body)


def is_measured_before(input: int, numbers: Iterable[int]) -> bool:
    """Whether `numbers` hold a register of the input that a previous value may belong to: no age, no identity hash."""
    return any(number >> 5 == input and number & 31 not in (PREVIOUS, AGE, IDENTITY) for number in numbers)


def _check_previous(number: int, length: int, seen: set[int]) -> None:
    if length > MAX_PREVIOUS_LENGTH:
        raise FormatError(f"a previous value (index 0) has 1 or {MAX_PREVIOUS_LENGTH} bytes, not {length}")
    if not is_measured_before(number >> 5, seen):
        raise FormatError(f"a previous value (index 0) of input {number >> 5} without a register before it")


def _split(number: int) -> tuple[int, int]:
    if number & 31 == PREVIOUS and 0 <= number >> 5 <= MAX_INPUT:
        return PREVIOUS, number >> 5
    return split_number(number)


def _extended(body: bytes, place: int, length: int) -> int:
    if place >= len(body):
        raise FormatError("the telegram is cut off inside an extended register")
    number = body[place]
    index = number & 31
    if index == IDENTITY:
        if length != IDENTITY_LENGTH:
            raise FormatError(f"an identity hash has {IDENTITY_LENGTH} bytes, not {length}")
        return number
    if not number >> 5:
        raise FormatError(f"extended register 0x{number:02x} names input 0, which has the short form")
    return number


def _length(raw: int, number: int, widths: Mapping[int, int]) -> int:
    width, limit = widths.get(number, 1), MAX_VALUE_LENGTH
    if number & 31 == IDENTITY:
        width = limit = IDENTITY_LENGTH
    elif number & 31 == PREVIOUS:
        width, limit = min(width, MAX_PREVIOUS_LENGTH), MAX_PREVIOUS_LENGTH
    if not 1 <= width <= MAX_VALUE_LENGTH:
        raise ValueOutOfRange(f"a value is 1 to {MAX_VALUE_LENGTH} bytes wide, not {width}")
    length = max(width, (raw.bit_length() + 7) // 8)
    if length > limit:
        raise ValueOutOfRange(f"the value of register {number} takes more than {limit} bytes")
    return length


def _raw(value: Value, index: int) -> int:
    number = value.value
    if index in SIGNED:
        return number << 1 if number >= 0 else (-number << 1) - 1
    if number < 0 and index in (IDENTITY, PREVIOUS):
        name = "an identity hash" if index == IDENTITY else "a previous value"
        raise ValueOutOfRange(f"{name} is an unsigned value, not {number}")
    if number < 0:
        raise ValueOutOfRange(
            f"register {REGISTERS[index].obis} ({REGISTERS[index].name}) takes no negative value; {number} was given:"
            " check the meter's reading"
        )
    return number
