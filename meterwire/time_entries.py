"""How a `devices` command tells of time: a device's slot, and the plan of the concentrator's beacon and open time."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class SlotEntry(Struct, frozen=True):
    """The time slot of a device (meterwire.slots.Slot, whose bounds hold here too), at which it is expected."""

    channel: Annotated[int, Meta(ge=0, le=7)]
    phase_ms: Annotated[int, Meta(ge=0, lt=86_400_000)]
    period_s: Literal[60, 300, 900, 3600, 86_400]
    data_rate: Annotated[int, Meta(ge=0, le=5)]
    guard_ms: Annotated[int, Meta(ge=0, le=2000)]
    length_ms: Annotated[int, Meta(ge=1, le=8000)]
    version: Annotated[int, Meta(ge=1, le=0xFFFF)]


class BeaconEntry(Struct, frozen=True):
    """When and where a concentrator sends its beacon, as the adapters are told (meterwire.config_records 0x11)."""

    frequency_hz: Annotated[int, Meta(ge=863_000_000, lt=870_000_000)]
    data_rate: Annotated[int, Meta(ge=0, le=5)]
    period_s: Literal[60, 300, 900, 3600]
    phase_ms: Annotated[int, Meta(ge=0, lt=3_600_000)]


class OpenTimeEntry(Struct, frozen=True):
    """The time in which no adapter has a slot, as the adapters are told (meterwire.config_records 0x13)."""

    period_s: Literal[60, 300, 900]
    phase_ms: Annotated[int, Meta(ge=0, lt=900_000)]
    length_ms: Annotated[int, Meta(ge=1, le=60_000)]


class PlanEntry(Struct, frozen=True):
    """How time is divided at a concentrator: its beacon, where it sends one, and the time for frames without a slot."""

    beacon: BeaconEntry | None = None
    open_time: OpenTimeEntry | None = None
