"""GPS time, which DeviceTimeAns and TS003 use: seconds since 1980-01-06 that know no leap seconds."""

from bisect import bisect_right
from typing import Final

GPS_EPOCH_UNIX: Final = 315_964_800


def gps_seconds(unix_s: float) -> float:
    """GPS time of a Unix time from 1980-01-06 on. During an inserted leap second the Unix time is ambiguous."""
    return unix_s - GPS_EPOCH_UNIX + bisect_right(_LEAPS_UNIX, unix_s)


def unix_seconds(gps_s: float) -> float:
    """The inverse of `gps_seconds`; a leap second itself maps onto the Unix second after it."""
    return gps_s + GPS_EPOCH_UNIX - bisect_right(_LEAPS_GPS, gps_s)


# The Unix second that follows each inserted leap second since 1980 (IERS Bulletin C; none announced since 2016).
_LEAPS_UNIX: Final = (
    362_793_600,  # 1981-07-01
    394_329_600,  # 1982-07-01
    425_865_600,  # 1983-07-01
    489_024_000,  # 1985-07-01
    567_993_600,  # 1988-01-01
    631_152_000,  # 1990-01-01
    662_688_000,  # 1991-01-01
    709_948_800,  # 1992-07-01
    741_484_800,  # 1993-07-01
    773_020_800,  # 1994-07-01
    820_454_400,  # 1996-01-01
    867_715_200,  # 1997-07-01
    915_148_800,  # 1999-01-01
    1_136_073_600,  # 2006-01-01
    1_230_768_000,  # 2009-01-01
    1_341_100_800,  # 2012-07-01
    1_435_708_800,  # 2015-07-01
    1_483_228_800,  # 2017-01-01
)
_LEAPS_GPS: Final = tuple(at - GPS_EPOCH_UNIX + n for n, at in enumerate(_LEAPS_UNIX, start=1))
