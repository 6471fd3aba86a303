"""Configuration and registration records on port 33 (design 5.6): numbered parts of type-length-value records."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange

PORT: Final = 33
HEADER_LENGTH: Final = 4  # version 2, part 1, parts 1
MAX_PAYLOAD: Final = 242
SLOWEST_PAYLOAD: Final = 51  # what fits at every EU868 data rate
MAX_FIRMWARE: Final = 20


@dataclass(frozen=True, slots=True)
class CounterReport:
    """Type 0x81, upwards after each join: the full 32-bit inner counter that the adapter uses next."""

    type = 0x81
    counter: int

    def encode(self) -> bytes:
        if not 0 <= self.counter < 1 << 32:
            raise ValueOutOfRange(f"counter {self.counter} is no 32-bit value")
        return self.counter.to_bytes(4, "big")

    @classmethod
    def decode(cls, value: bytes) -> Self:
        if len(value) != 4:
            raise FormatError(f"a counter report has 4 bytes, not {len(value)}")
        return cls(int.from_bytes(value, "big"))


@dataclass(frozen=True, slots=True)
class FirmwareReport:
    """Type 0x82, upwards: the firmware's version as text of 1 to 20 bytes UTF-8."""

    type = 0x82
    version: str

    def encode(self) -> bytes:
        octets = self.version.encode("utf-8", "surrogatepass")
        if not 1 <= len(octets) <= MAX_FIRMWARE or not self.version.isprintable():
            raise ValueOutOfRange(f"a firmware version is 1 to {MAX_FIRMWARE} printable bytes")
        return octets

    @classmethod
    def decode(cls, value: bytes) -> Self:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            raise FormatError("the firmware version is no UTF-8 text") from None
        if not 1 <= len(value) <= MAX_FIRMWARE or not text.isprintable():
            raise FormatError(f"a firmware version is 1 to {MAX_FIRMWARE} printable bytes")
        return cls(text)


@dataclass(frozen=True, slots=True)
class UnknownRecord:
    """A record whose type this release does not know; kept as it came."""

    type: int
    value: bytes

    def encode(self) -> bytes:
        return self.value


Record = CounterReport | FirmwareReport | UnknownRecord

# A new record type is one class above and one line here.
RECORDS: Mapping[int, Callable[[bytes], Record]] = MappingProxyType(
    {kind.type: kind.decode for kind in (CounterReport, FirmwareReport)}
)


@dataclass(frozen=True, slots=True)
class Part:
    """One telegram: `version` of the configuration (16 bits; upwards the one that runs), `part` 1 to `parts`."""

    version: int
    part: int
    parts: int
    records: tuple[Record, ...]


def encode(version: int, records: Iterable[Record], limit: int = SLOWEST_PAYLOAD) -> list[bytes]:
    """The payloads, each at most `limit` bytes, that carry the records in order; one without records for none.

    ValueOutOfRange for a version over 16 bits, a record that does not fit, or more than 255 parts.
    """
    if not 0 <= version <= 0xFFFF:
        raise ValueOutOfRange(f"a configuration version is 0 to 65535, not {version}")
    bodies = [b""]
    for record in records:
        value = record.encode()
        if not 0 <= record.type <= 0xFF or len(value) > 0xFF or HEADER_LENGTH + 2 + len(value) > limit:
            raise ValueOutOfRange(
                f"record of type {record.type} with {len(value)} bytes does not fit into {limit} bytes"
            )
        field = bytes((record.type, len(value))) + value
        if HEADER_LENGTH + len(bodies[-1]) + len(field) > limit:
            bodies.append(b"")
        bodies[-1] += field
    if len(bodies) > 0xFF:
        raise ValueOutOfRange(f"{len(bodies)} parts; at most 255 are numbered")
    return [version.to_bytes(2, "big") + bytes((part, len(bodies))) + body for part, body in enumerate(bodies, 1)]


def decode(payload: bytes) -> Part:
    """Read one telegram. FormatError (LimitExceeded) for anything that is none."""
    if len(payload) > MAX_PAYLOAD:
        raise LimitExceeded(f"configuration telegram of {len(payload)} bytes; at most {MAX_PAYLOAD} fit into a frame")
    if len(payload) < HEADER_LENGTH:
        raise FormatError(f"configuration telegram cut off after {len(payload)} of at least {HEADER_LENGTH} bytes")
    part, parts = payload[2], payload[3]
    if not 1 <= part <= parts:
        raise FormatError(f"configuration telegram claims to be part {part} of {parts}")
    records, place = [], HEADER_LENGTH
    while place < len(payload):
        if place + 2 > len(payload) or place + 2 + payload[place + 1] > len(payload):
            raise FormatError(f"the record at byte {place} is cut off")
        kind, end = payload[place], place + 2 + payload[place + 1]
        value = bytes(payload[place + 2 : end])
        records.append(RECORDS[kind](value) if kind in RECORDS else UnknownRecord(kind, value))
        place = end
    return Part(int.from_bytes(payload[:2], "big"), part, parts, tuple(records))


class Assembly:
    """Collects the parts of one configuration; nothing counts until all are in. A newer version starts afresh."""

    def __init__(self) -> None:
        self._version, self._parts = -1, 0
        self._held: dict[int, tuple[Record, ...]] = {}

    def add(self, part: Part) -> tuple[Record, ...] | None:
        """All records in order once the last part has come, else None."""
        if (part.version, part.parts) != (self._version, self._parts):
            self._version, self._parts, self._held = part.version, part.parts, {}
        self._held[part.part] = part.records
        if len(self._held) < self._parts:
            return None
        records = tuple(record for number in sorted(self._held) for record in self._held[number])
        self._held = {}
        return records
