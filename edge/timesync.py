"""Asks the kernel whether something keeps its clock right (adjtimex(2)): NTP, PTP or a GPS daemon, whichever it is."""

import ctypes
from typing import Final

TIME_ERROR: Final = 5  # "the system clock is not synchronised"
_TIMEX_BYTES: Final = 512  # struct timex has 208; the first field, modes, stays 0: read only


def host_synchronised() -> bool:
    """False also where the kernel cannot be asked."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    return 0 <= state < TIME_ERROR


def dates_known(quality: str) -> bool:
    """Whether today's date can be judged by, with the configured `quality` of the clock ("auto" asks the kernel)."""
    return quality == "ntp" or (quality == "auto" and host_synchronised())
