"""An allocator of time slots for whole sites, in memory and without a database.

Simulations use it as it is; the portal keeps it in step with its database (`provisioning.slots.services.memory`).
"""

from provisioning.slots.allocator.allocator import (
    TOLERANCE_MS,
    Allocator,
    Changed,
    Outcome,
    Overlapping,
    Rate,
    SlotHeld,
    Squeezed,
    Stored,
)
from provisioning.slots.allocator.grid import Closed, Place, reserved
from provisioning.slots.allocator.signal import Signal

__all__ = [
    "TOLERANCE_MS",
    "Allocator",
    "Changed",
    "Closed",
    "Outcome",
    "Overlapping",
    "Place",
    "Rate",
    "Signal",
    "SlotHeld",
    "Squeezed",
    "Stored",
    "reserved",
]
