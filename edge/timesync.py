"""Asks the kernel whether something keeps its clock right (adjtimex(2)): NTP, PTP or a GPS daemon, whichever it is."""

import ctypes
from typing import ClassVar, Final, Literal, NamedTuple

EARLIEST_UNIX: Final = 1_735_689_600.0  # 2025: no time before this program …
LATEST_UNIX: Final = 4_102_444_800.0  # … and none from 2100 on
TIME_ERROR: Final = 5  # "the system clock is not synchronised"
_LEAP_STATES: Final = (1, 2)  # TIME_INS, TIME_DEL: until the next midnight UTC
_LEAP_STATUS: Final = 0x10 | 0x20  # STA_INS, STA_DEL
_TIMEX_BYTES: Final = 512  # struct timex has 208 where a long has eight octets


class HostClock(NamedTuple):
    """What is known of a clock. `leap`: a leap second comes at the end of this day (UTC). `reference`: what keeps it.

    `usable` is false before it was set at all: nobody is told the time by it.
    """

    synchronised: bool
    leap: bool = False
    reference: Literal["ntp", "gps"] = "ntp"
    usable: bool = True


class _Timex(ctypes.Structure):
    """The beginning of struct timex."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),  # stays 0: read only
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
    ]


def host_clock() -> HostClock:
    """Not synchronised also where the kernel cannot be asked."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state: int = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return HostClock(False)
    leap = state in _LEAP_STATES or bool(_Timex.from_buffer(buffer).status & _LEAP_STATUS)
    return HostClock(0 <= state < TIME_ERROR, leap)


def host_synchronised() -> bool:
    """False also where the kernel cannot be asked."""
    return host_clock().synchronised


def dates_known(quality: str) -> bool:
    """Whether today's date can be judged by, with the configured `quality` of the clock ("auto" asks the kernel)."""
    return quality == "ntp" or (quality == "auto" and host_synchronised())
