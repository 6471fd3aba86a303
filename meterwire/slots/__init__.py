"""The arithmetic of time slots (design 7, patent [0150] to [0153]): who sends when, for how long, in whose way."""

from meterwire.slots.length import Kind, airtime_ms, length_ms
from meterwire.slots.plan import (
    CHANNELS,
    DEFAULT_QUANTUM_MS,
    FRAME_S,
    FREQUENCIES_HZ,
    MAX_DATA_RATE,
    MAX_GUARD_MS,
    MAX_LENGTH_MS,
    PERIODS,
    QUANTA_MS,
    check_quantum,
)
from meterwire.slots.slot import MAX_VERSION, Slot, Window

__all__ = [
    "CHANNELS",
    "DEFAULT_QUANTUM_MS",
    "FRAME_S",
    "FREQUENCIES_HZ",
    "MAX_DATA_RATE",
    "MAX_GUARD_MS",
    "MAX_LENGTH_MS",
    "MAX_VERSION",
    "PERIODS",
    "QUANTA_MS",
    "Kind",
    "Slot",
    "Window",
    "airtime_ms",
    "check_quantum",
    "length_ms",
]
