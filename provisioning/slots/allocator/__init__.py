"""An allocator of time slots for whole sites, in memory and without a database, as plans and simulations use it.

The portal gives slots one by one, from what its database holds: `provisioning.slots.room`.
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
