"""What travels between the two boards: messages in frames that survive a noisy line.

A frame is A5 5A, length 2 (big-endian), the same inverted, MessagePack body, CRC-32 of the body. A damaged length thus
shows at once, instead of making the receiver wait for bytes that never come.
"""

from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Literal, TypeAlias
from zlib import crc32

import msgspec
from msgspec import Meta, Struct

from adapter_agent.meter.installation import METER_PORT, OMS_PORT
from meterwire.config_records import MAX_IDENTITY
from meterwire.errors import FormatError, LimitExceeded
from meterwire.ids import meter_id_of
from meterwire.reading import Reading, RegisterValue
from meterwire.registers import MAX_INDEX

VERSION: Final = 1
MAX_BODY: Final = 32 * 1024
MAX_INPUTS: Final = 8
MAX_REGISTERS: Final = 255
MAX_TELEGRAMS: Final = 64
MAX_PROTECTED: Final = 255

_MAGIC: Final = b"\xa5\x5a"
_HEAD, _TAIL = 6, 4

InputNumber = Annotated[int, Meta(ge=0, lt=MAX_INPUTS)]
Counter32 = Annotated[int, Meta(ge=0, le=2**32)]
RegisterIndex = Annotated[int, Meta(ge=1, le=MAX_INDEX)]
ProtectedPort = Annotated[int, Meta(ge=METER_PORT, le=OMS_PORT)]
ProtectedBytes = Annotated[bytes, Meta(max_length=MAX_PROTECTED)]
Exponent = Annotated[int, Meta(ge=-128, le=127)]


class Hello(Struct, tag="hello", array_like=True, frozen=True):
    """Board to base, at start and every few seconds: what it carries, its meter interfaces, its next inner counter."""

    version: int
    carries: Literal["bytes", "reading", "telegram"]
    inputs: Annotated[tuple[tuple[InputNumber, str], ...], Meta(max_length=MAX_INPUTS)]
    upcoming: Counter32 = 0


class Chunk(Struct, tag="bytes", array_like=True, frozen=True):
    """Board to base: bytes of a meter as they came."""

    input: InputNumber
    data: bytes


class Register(Struct, array_like=True, frozen=True):
    value: Annotated[str, Meta(max_length=200)] | None
    unit: Annotated[str, Meta(max_length=20)] | None
    scaler: int | None
    status: int | None


class Read(Struct, tag="reading", array_like=True, frozen=True):
    """Board to base: one decoded reading."""

    input: InputNumber
    server_id: Annotated[bytes, Meta(max_length=64)] | None
    sensor_time: int | None
    registers: Annotated[dict[Annotated[str, Meta(max_length=40)], Register], Meta(max_length=MAX_REGISTERS)]
    identification: Annotated[str, Meta(max_length=64)] | None = None


class Protected(Struct, tag="protected", array_like=True, frozen=True):
    """Board to base: a telegram that the meter protected itself and that the board cannot open."""

    input: InputNumber
    port: ProtectedPort
    payload: ProtectedBytes


class Poll(Struct, tag="poll", array_like=True, frozen=True):
    """Base to board: seal what is to be sent now, in telegrams of at most `limit` bytes.

    `prove`: which meters were read has to be proven (again). `proven`: inputs whose proof has been acknowledged since
    the last poll.
    """

    number: int
    limit: Annotated[int, Meta(ge=1, le=242)]
    prove: bool = False
    proven: Annotated[tuple[InputNumber, ...], Meta(max_length=MAX_INPUTS)] = ()


class Telegrams(Struct, tag="telegrams", array_like=True, frozen=True):
    """Board to base: the answer to a poll, (counter, payload) each; `proofs` names the inputs that a counter's
    telegram proves. `protected` goes on as the meters made it, (port, payload) each.
    """

    number: int
    telegrams: Annotated[
        tuple[tuple[Counter32, Annotated[bytes, Meta(max_length=242)]], ...], Meta(max_length=MAX_TELEGRAMS)
    ]
    upcoming: Counter32
    proofs: Annotated[
        dict[Counter32, Annotated[tuple[InputNumber, ...], Meta(max_length=MAX_INPUTS)]],
        Meta(max_length=MAX_TELEGRAMS),
    ] = {}
    protected: Annotated[tuple[tuple[ProtectedPort, ProtectedBytes], ...], Meta(max_length=MAX_INPUTS)] = ()


class Configure(Struct, tag="configure", array_like=True, frozen=True):
    """Base to board, after each hello: the dictionary indices to send of the inputs for which that is configured."""

    registers: Annotated[
        dict[InputNumber, Annotated[tuple[RegisterIndex, ...], Meta(min_length=1, max_length=MAX_INDEX)]],
        Meta(max_length=MAX_INPUTS),
    ]


class Nameplate(Struct, tag="nameplate", array_like=True, frozen=True):
    """Board to base, where the board seals: what the meter at an input says about itself.

    `resolutions`: dictionary index -> exponent, of the registers that are sent.
    """

    input: InputNumber
    kind: Annotated[int, Meta(ge=0, le=2)]
    octets: Annotated[bytes, Meta(max_length=MAX_IDENTITY)]
    resolutions: Annotated[dict[RegisterIndex, Exponent], Meta(max_length=MAX_INDEX)]


class Changed(Struct, tag="changed", array_like=True, frozen=True):
    """Board to base: a register has changed so much that a poll before the next regular one is worth it."""


class Time(Struct, tag="time", array_like=True, frozen=True):
    """Base to board: the network's time now, Unix seconds."""

    unix: float


Message: TypeAlias = Hello | Chunk | Read | Protected | Poll | Telegrams | Configure | Nameplate | Changed | Time

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def pack(message: Message) -> bytes:
    """The frame of a message. Raises LimitExceeded."""
    body = _encode(message)
    if len(body) > MAX_BODY:
        raise LimitExceeded(f"a coupling message of {len(body)} bytes; at most {MAX_BODY} travel")
    length = len(body)
    head = length.to_bytes(2, "big") + (length ^ 0xFFFF).to_bytes(2, "big")
    return _MAGIC + head + body + crc32(body).to_bytes(4, "big")


class Unpacker:
    """Finds messages in a byte stream; damage costs the frames it hits. `refused` counts them by reason."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by `data`."""
        self._buffer += data
        messages: list[Message] = []
        while (at := self._buffer.find(_MAGIC)) >= 0:
            del self._buffer[:at]
            if len(self._buffer) < _HEAD:
                return messages
            length = int.from_bytes(self._buffer[2:4], "big")
            if length > MAX_BODY or int.from_bytes(self._buffer[4:6], "big") != length ^ 0xFFFF:
                self._skip("length")
                continue
            end = _HEAD + length + _TAIL
            if len(self._buffer) < end:
                return messages
            if crc32(self._buffer[_HEAD : end - _TAIL]).to_bytes(4, "big") != self._buffer[end - _TAIL : end]:
                self._skip("crc")
                continue
            try:
                messages.append(_decode(bytes(self._buffer[_HEAD : end - _TAIL])))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.refused["message"] += 1
            del self._buffer[:end]
        del self._buffer[: -1 if self._buffer.endswith(_MAGIC[:1]) else None]
        return messages

    def _skip(self, reason: str) -> None:
        self.refused[reason] += 1
        del self._buffer[: len(_MAGIC)]


def from_reading(input_: int, reading: Reading) -> Read:
    registers = {
        obis: Register(None if r.value is None else f"{r.value:f}", r.unit, r.scaler, r.status)
        for obis, r in list(reading.registers.items())[:MAX_REGISTERS]
    }
    return Read(input_, reading.server_id, reading.sensor_time, registers, reading.identification)


def to_reading(message: Read) -> Reading:
    """The reading in a message. Raises FormatError for a value that is no number."""
    try:
        registers = {
            obis: RegisterValue(None if r.value is None else Decimal(r.value), r.unit, r.scaler, r.status)
            for obis, r in message.registers.items()
        }
    except InvalidOperation:
        raise FormatError("a register value on the coupling line is no number") from None
    if any(r.value is not None and not r.value.is_finite() for r in registers.values()):
        raise FormatError("a register value on the coupling line is no number")
    identity = None if message.server_id is None else meter_id_of(message.server_id)
    return Reading(identity, message.server_id, registers, message.sensor_time, message.identification)
