"""How long a slot must be: the airtime of the telegram it carries, a guard on both sides, in whole quanta."""

from enum import IntEnum
from typing import Final

from meterwire.errors import ValueOutOfRange
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.eu868 import EU868
from meterwire.slots.plan import DEFAULT_QUANTUM_MS, MAX_DATA_RATE, MAX_GUARD_MS, check_quantum

LORAWAN_OVERHEAD: Final = 13  # MHDR 1, DevAddr 4, FCtrl 1, FCnt 2, FPort 1, MIC 4


class Kind(IntEnum):
    """What a slot is made for; the value is the longest FRMPayload in bytes of that kind (design 5)."""

    VALUES = 16
    VALUES_PREVIOUS = 19
    LMN = 27
    STATIC = 51

    @property
    def size(self) -> int:
        return self.value


def airtime_ms(size: int, data_rate: int) -> float:
    """Milliseconds on the air of an uplink with `size` bytes of FRMPayload at an EU868 data rate of 0 to 5.

    ValueOutOfRange for another data rate or more bytes than it carries.
    """
    check_data_rate(data_rate)
    most = EU868.data_rate(data_rate).max_app_payload
    if not 0 <= size <= most:
        raise ValueOutOfRange(f"data rate {data_rate} carries 0 to {most} bytes in a telegram, not {size}")
    return airtime_s(LORAWAN_OVERHEAD + size, data_rate) * 1000


def length_ms(size: int, data_rate: int, guard_ms: int, quantum_ms: int = DEFAULT_QUANTUM_MS) -> int:
    """Airtime plus a guard before and one after, rounded up to whole quanta. ValueOutOfRange as for `airtime_ms`."""
    check_quantum(quantum_ms)
    if not 0 <= guard_ms <= MAX_GUARD_MS:
        raise ValueOutOfRange(f"a guard is 0 to {MAX_GUARD_MS} ms, not {guard_ms}")
    exact_us = round(airtime_ms(size, data_rate) * 1000) + 2000 * guard_ms
    return -(-exact_us // (1000 * quantum_ms)) * quantum_ms


def check_data_rate(data_rate: int) -> int:
    """The data rate when slots know it. ValueOutOfRange."""
    if not 0 <= data_rate <= MAX_DATA_RATE:
        raise ValueOutOfRange(f"slots know the data rates 0 to {MAX_DATA_RATE}, not {data_rate}")
    return data_rate
