"""The answer to a scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from meterwire.ids import DevEUI, MeterId
from meterwire.label import Label
from meterwire.scan.messages import MESSAGES


class Kind(StrEnum):
    """What was scanned."""

    ADAPTER = "adapter"
    METER = "meter"
    ADAPTER_DAMAGED = "adapter_damaged"
    DEV_EUI = "dev_eui"
    METER_TYPO = "meter_typo"
    EAN = "ean"
    URL = "url"
    WIFI = "wifi"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    CONTROL_CHARACTERS = "control_characters"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Scan:
    """`code` is stable and finer than `kind`; `message` is one sentence for the person who scans.

    `dev_eui` is set for ADAPTER and DEV_EUI, `label` for ADAPTER, `meter_id` for METER. `values` fill the placeholders
    of `MESSAGES[code]`, for who translates it.
    """

    kind: Kind
    code: str
    dev_eui: DevEUI | None = None
    label: Label | None = None
    meter_id: MeterId | None = None
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def message(self) -> str:
        return MESSAGES[self.code] % self.values
