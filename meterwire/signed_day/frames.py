"""The frames of signed days on port 34: types 0x20 (down) and 0xA0 to 0xA5 (up), big-endian, at most 51 bytes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import ClassVar, Final

from meterwire.curves import PUBLIC_BYTES, PublicKey
from meterwire.errors import FormatError, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_messages.codec import MAX_PAYLOAD as MAX_FRAME
from meterwire.key_messages.protection import MAC_BYTES, tag, verify
from meterwire.seal import Key16
from meterwire.signed_day.runs import MAX_LENGTH, Run

MAX_RUNS: Final = 11  # in one frame
DOWN, UP = range(0x20, 0x30), range(0xA0, 0xB0)


class Wanted(IntEnum):
    """What a request asks for. TELEGRAMS brings the hash of a telegram that is no longer held."""

    SIGNATURE = 0
    TELEGRAMS = 1
    HASHES = 2
    KEY = 3
    RUNS = 4


class Reason(IntEnum):
    """Why an adapter cannot answer a request. UNSIGNED: there were telegrams, but nobody has signed the day (yet)."""

    NOTHING_HELD = 1
    UNSIGNED = 2


@dataclass(frozen=True, slots=True)
class DayRequest:
    """The portal asks for something of a day: `count` leaves with counters from `first` on, where that matters."""

    type: ClassVar[int] = 0x20
    authentic: ClassVar[bool] = True

    day: int
    wanted: Wanted
    first: int = 0
    count: int = 0

    def body(self) -> bytes:
        return _number(self.day, 2) + bytes([self.wanted]) + _number(self.first, 4) + _number(self.count, 2)

    @classmethod
    def read(cls, body: bytes) -> "DayRequest":
        _length(body, 9)
        return cls(int.from_bytes(body[:2]), Wanted(body[2]), int.from_bytes(body[3:7]), int.from_bytes(body[7:9]))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The adapter announces the key with which it signs; `seq` is 1 for its first key and rises with each new one."""

    type: ClassVar[int] = 0xA0
    authentic: ClassVar[bool] = True

    seq: int
    public: PublicKey

    def body(self) -> bytes:
        return _number(self.seq, 2) + self.public.octets

    @classmethod
    def read(cls, body: bytes) -> "SigningKey":
        _length(body, 2 + PUBLIC_BYTES)
        return cls(int.from_bytes(body[:2]), PublicKey(body[2:]))


@dataclass(frozen=True, slots=True)
class SignatureHalf:
    """One half, r (0) or s (1), of the signature of a day, with what was signed except the root."""

    authentic: ClassVar[bool] = False

    half: int
    day: int
    leaves: int
    first: int
    last: int
    octets: bytes

    @property
    def type(self) -> int:
        return 0xA1 + self.half

    def body(self) -> bytes:
        if self.half not in (0, 1) or len(self.octets) != 32:
            raise ValueOutOfRange("half a signature is 0 or 1, with 32 bytes")
        return (
            _number(self.day, 2)
            + _number(self.leaves, 2)
            + _number(self.first, 4)
            + _number(self.last, 4)
            + self.octets
        )

    @classmethod
    def read(cls, body: bytes, half: int) -> "SignatureHalf":
        _length(body, 44)
        day, leaves = int.from_bytes(body[:2]), int.from_bytes(body[2:4])
        first, last = int.from_bytes(body[4:8]), int.from_bytes(body[8:12])
        if not 1 <= leaves <= last - first + 1:
            raise FormatError(f"{leaves} telegrams do not fit between the counters {first} and {last}")
        return cls(half, day, leaves, first, last, body[12:])


@dataclass(frozen=True, slots=True)
class LeafHash:
    """The leaf hash of a telegram, which the adapter holds longer than the telegram itself."""

    type: ClassVar[int] = 0xA3
    authentic: ClassVar[bool] = False

    day: int
    counter: int
    digest: bytes

    def body(self) -> bytes:
        if len(self.digest) != 32:
            raise ValueOutOfRange("a leaf hash has 32 bytes")
        return _number(self.day, 2) + _number(self.counter, 4) + self.digest

    @classmethod
    def read(cls, body: bytes) -> "LeafHash":
        _length(body, 38)
        return cls(int.from_bytes(body[:2]), int.from_bytes(body[2:6]), body[6:])


@dataclass(frozen=True, slots=True)
class LeafRuns:
    """Which counters a day used: 1 to MAX_RUNS runs, complete from the first one's first counter to the last one's end.

    On the air: the first counter, then length and the gap before the next run, without the gap behind the last.
    """

    type: ClassVar[int] = 0xA4
    authentic: ClassVar[bool] = False

    day: int
    runs: tuple[Run, ...]

    def body(self) -> bytes:
        if not 1 <= len(self.runs) <= MAX_RUNS:
            raise ValueOutOfRange(f"a frame holds 1 to {MAX_RUNS} runs")
        octets = _number(self.day, 2) + _number(self.runs[0].first, 4) + _number(self.runs[0].length, 2)
        for before, run in pairwise(self.runs):
            octets += _number(run.first - before.end, 2) + _number(run.length, 2)
        return octets

    @classmethod
    def read(cls, body: bytes) -> "LeafRuns":
        if len(body) < 8 or len(body) % 4:
            raise FormatError(f"runs of counters take 8, 12, 16 … bytes, not {len(body)}")
        if len(body) > 4 + 4 * MAX_RUNS:
            raise FormatError(f"a frame holds at most {MAX_RUNS} runs of counters")
        runs = [_run(int.from_bytes(body[2:6]), int.from_bytes(body[6:8]))]
        for at in range(8, len(body), 4):
            runs.append(_run(runs[-1].end + int.from_bytes(body[at : at + 2]), int.from_bytes(body[at + 2 : at + 4])))
        return cls(int.from_bytes(body[:2]), tuple(runs))


@dataclass(frozen=True, slots=True)
class DayRefusal:
    """The adapter cannot answer a request for a day. It proves nothing: it only spares the portal the waiting."""

    type: ClassVar[int] = 0xA5
    authentic: ClassVar[bool] = False

    day: int
    wanted: Wanted
    reason: Reason

    def body(self) -> bytes:
        return _number(self.day, 2) + bytes([self.wanted, self.reason])

    @classmethod
    def read(cls, body: bytes) -> "DayRefusal":
        _length(body, 4)
        return cls(int.from_bytes(body[:2]), Wanted(body[2]), Reason(body[3]))


Message = DayRequest | SigningKey | SignatureHalf | LeafHash | LeafRuns | DayRefusal


def is_day_frame(payload: bytes, *, up: bool) -> bool:
    """Whether a payload of port 34 belongs to signed days."""
    return bool(payload) and payload[0] in (UP if up else DOWN)


def encode(message: Message, mac_key: Key16 | None = None, dev_eui: DevEUI | None = None) -> bytes:
    """The frame's bytes. `mac_key` and `dev_eui` where the message is `authentic`. ValueOutOfRange."""
    octets = bytes([message.type]) + message.body()
    if not message.authentic:
        return octets
    if mac_key is None or dev_eui is None:
        raise ValueOutOfRange("this frame is authenticated: it takes a key and the adapter's name")
    return octets + tag(octets, mac_key, dev_eui)


def decode(payload: bytes, *, up: bool) -> Message:
    """What a frame says; nothing is proven yet where it is `authentic` (see `authenticate`). FormatError."""
    if not is_day_frame(payload, up=up) or len(payload) > MAX_FRAME:
        raise FormatError("this is no frame of signed days")
    type_, body = payload[0], bytes(payload[1:])
    try:
        if type_ in (0xA1, 0xA2):
            return SignatureHalf.read(body, type_ - 0xA1)
        kind = _KINDS.get(type_)
        if kind is None:
            raise FormatError(f"0x{type_:02x} is no frame of signed days that is known here")
        if not kind.authentic:
            return kind.read(body)
        if len(body) < MAC_BYTES:
            raise FormatError("the frame is cut off before its authentication code")
        return kind.read(body[:-MAC_BYTES])
    except ValueError as error:
        raise FormatError(f"a frame of signed days holds what does not exist: {error}") from None


def authenticate(payload: bytes, mac_key: Key16, dev_eui: DevEUI) -> None:
    """AuthenticationError unless the code at the end of an `authentic` frame was made with `mac_key`."""
    verify(payload, mac_key, dev_eui)


_KINDS: Final[dict[int, type[DayRequest | SigningKey | LeafHash | LeafRuns | DayRefusal]]] = {
    kind.type: kind for kind in (DayRequest, SigningKey, LeafHash, LeafRuns, DayRefusal)
}


def _number(value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 8 * size:
        raise ValueOutOfRange(f"{value} does not fit into {size} bytes")
    return value.to_bytes(size)


def _length(body: bytes, wanted: int) -> None:
    if len(body) != wanted:
        raise FormatError(f"the frame has {len(body)} bytes behind its type, not {wanted}")


def _run(first: int, length: int) -> Run:
    if not 1 <= length <= MAX_LENGTH or first + length > 1 << 32:
        raise FormatError(f"there are no {length} counters from {first} on")
    return Run(first, length)


def run_frames(day: int, runs: Iterable[Run]) -> list[LeafRuns]:
    """As few frames as tell all `runs`, in their order. A gap too long for its field begins a new one."""
    frames: list[list[Run]] = []
    for run in runs:
        last = frames[-1] if frames else []
        if last and len(last) < MAX_RUNS and run.first - last[-1].end < 1 << 16:
            last.append(run)
        else:
            frames.append([run])
    return [LeafRuns(day, tuple(frame)) for frame in frames]
