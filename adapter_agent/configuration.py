"""What the portal has configured on port 33: checked as a whole, kept over a power failure, complete or not at all."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from adapter_agent.durable import Durable
from meterwire import config_records
from meterwire.config_records import (
    BeaconRecord,
    Commissioning,
    MeterIdentity,
    OpenTimeRecord,
    PreviousRecord,
    Record,
    Registers,
    Reporting,
    SlotRecord,
)
from meterwire.errors import FormatError, MeterspanError
from meterwire.registers import AGE
from meterwire.slots import Slot

log = logging.getLogger(__name__)

Setting = (
    MeterIdentity | Reporting | Registers | Commissioning | SlotRecord | BeaconRecord | PreviousRecord | OpenTimeRecord
)


class Unusable(MeterspanError):
    """The configuration cannot be applied: `record` is the type at fault (0: none in particular), `reason` ASCII."""

    code = "configuration"

    def __init__(self, record: int, reason: str) -> None:
        super().__init__(f"the configuration is refused: {reason} (record 0x{record:02x}); the one before stays")
        self.record, self.reason = record, reason


@dataclass(frozen=True, slots=True)
class Configuration:
    """Version 0 without settings is what an adapter leaves the factory with: its own file's settings hold."""

    version: int = 0
    settings: tuple[Setting, ...] = ()

    @property
    def period_s(self) -> float | None:
        """Seconds between regular telegrams, also outside of a slot; a slot has its own period."""
        slotted = None if self.slot is None else float(self.slot.period_s)
        return next((float(one.period_s) for one in self.settings if isinstance(one, Reporting)), slotted)

    @property
    def slot(self) -> Slot | None:
        """When, where and how fast the regular telegrams go out; None: at a time of the adapter's own."""
        return next((one.slot for one in self.settings if isinstance(one, SlotRecord)), None)

    @property
    def previous(self) -> bool:
        """Whether telegrams carry the previous value too."""
        return any(isinstance(one, PreviousRecord) and one.carried for one in self.settings)

    @property
    def beacon(self) -> BeaconRecord | None:
        """Where the concentrator's beacon is heard; None: it sends none."""
        return next((one for one in self.settings if isinstance(one, BeaconRecord)), None)

    @property
    def open_time(self) -> OpenTimeRecord | None:
        """To which time frames without a slot keep; None: they may go out at any time."""
        return next((one for one in self.settings if isinstance(one, OpenTimeRecord)), None)

    @property
    def registers(self) -> Mapping[int, tuple[int, ...]]:
        """Input -> dictionary indices to send."""
        return {one.input: one.indexes for one in self.settings if isinstance(one, Registers)}

    @property
    def identities(self) -> Mapping[int, bytes]:
        """Input -> the identity under which the meter there is registered."""
        return {one.input: one.octets for one in self.settings if isinstance(one, MeterIdentity)}

    @property
    def commissioning_minutes(self) -> int | None:
        """How long to be in commissioning from now on; acted on once, when the configuration comes."""
        return next((one.minutes for one in self.settings if isinstance(one, Commissioning)), None)


FACTORY: Final = Configuration()


def checked(version: int, records: Iterable[Record], inputs: Collection[int] | None = None) -> Configuration:
    """The configuration in `records`, for an adapter with `inputs` (None: not known here). Raises Unusable."""
    if not version:
        raise Unusable(0, "version 0 is factory")
    settings: list[Setting] = []
    seen: set[tuple[int, int | None]] = set()
    for record in records:
        if not isinstance(record, Setting):
            raise Unusable(record.type, "unknown record")
        input_ = record.input if isinstance(record, MeterIdentity | Registers) else None
        if (record.type, input_) in seen:
            raise Unusable(record.type, "given twice")
        if input_ is not None and inputs is not None and input_ not in inputs:
            raise Unusable(record.type, f"no input {input_}")
        if isinstance(record, Registers) and AGE in record.indexes:
            raise Unusable(record.type, "age is not sent")
        seen.add((record.type, input_))
        settings.append(record)
    return Configuration(version, tuple(settings))


class ConfigurationFile:
    """The configuration at rest."""

    def __init__(self, file: Durable) -> None:
        self._file = file

    def load(self) -> Configuration:
        """What was saved last; FACTORY where nothing can be read: the portal sends it again then."""
        try:
            content = self._file.read()
            return FACTORY if content is None else _decoded(content)
        except (MeterspanError, msgspec.DecodeError) as error:
            log.error("the stored configuration is not used: %s", error, extra={"alarm": "configuration_lost"})
            return FACTORY

    def save(self, configuration: Configuration) -> None:
        """All or nothing. Raises the file's error; the old one stays then."""
        parts = config_records.encode(configuration.version, configuration.settings, config_records.MAX_PAYLOAD)
        self._file.write(msgspec.json.encode(parts))


def _decoded(content: bytes) -> Configuration:
    parts = [config_records.decode(part) for part in msgspec.json.decode(content, type=list[bytes])]
    if not parts:
        raise FormatError("the stored configuration is empty")
    return checked(parts[0].version, [record for part in parts for record in part.records])
