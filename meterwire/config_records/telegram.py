"""The telegrams of port 33: a version, numbered parts, and in each the records it carries."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from meterwire.config_records.down import Commissioning, MeterIdentity, Registers, Reporting
from meterwire.config_records.slots import BeaconRecord, OpenTimeRecord, PreviousRecord, SlotRecord, SlotReport
from meterwire.config_records.up import (
    CommissioningReport,
    ConfigurationRefused,
    CounterReport,
    FirmwareReport,
    OwnIdentity,
    ReadIdentity,
    Resolution,
)
from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange

PORT: Final = 33
HEADER_LENGTH: Final = 4  # version 2, part 1, parts 1
MAX_PAYLOAD: Final = 242
SLOWEST_PAYLOAD: Final = 51  # what fits at every EU868 data rate


@dataclass(frozen=True, slots=True)
class UnknownRecord:
    """A record whose type this release does not know; kept as it came."""

    type: int
    value: bytes

    def encode(self) -> bytes:
        return self.value


Down = (
    MeterIdentity | Reporting | Registers | Commissioning | SlotRecord | BeaconRecord | PreviousRecord | OpenTimeRecord
)
Up = (
    CounterReport
    | FirmwareReport
    | OwnIdentity
    | ReadIdentity
    | Resolution
    | CommissioningReport
    | ConfigurationRefused
    | SlotReport
)
Record = Down | Up | UnknownRecord

# A new record type is one class and one line here.
_KINDS = (
    MeterIdentity,
    Reporting,
    Registers,
    Commissioning,
    SlotRecord,
    BeaconRecord,
    PreviousRecord,
    OpenTimeRecord,
    CounterReport,
    FirmwareReport,
    OwnIdentity,
    ReadIdentity,
    Resolution,
    CommissioningReport,
    ConfigurationRefused,
    SlotReport,
)
RECORDS: Mapping[int, Callable[[bytes], Record]] = MappingProxyType({kind.type: kind.decode for kind in _KINDS})


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
