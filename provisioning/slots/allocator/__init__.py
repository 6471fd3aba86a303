"""An allocator of time slots for whole sites, in memory and without a database, as plans and simulations use it.

The portal gives slots one by one, from what its database holds: `provisioning.slots.room`.
"""

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
