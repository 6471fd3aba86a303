"""The allocator of time slots, in memory and without a database: `provisioning.slots.services` keeps what it gives."""

from provisioning.slots.allocator.allocator import (
    TOLERANCE_MS,
    Allocator,
    Changed,
    Outcome,
    Overlapping,
    SlotHeld,
    Stored,
)
from provisioning.slots.allocator.grid import Closed, Place, reserved

__all__ = [
    "TOLERANCE_MS",
    "Allocator",
    "Changed",
    "Closed",
    "Outcome",
    "Overlapping",
    "Place",
    "SlotHeld",
    "Stored",
    "reserved",
]
