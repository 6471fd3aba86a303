"""Maintenance windows in local time: over midnight, and on the days when the clock changes. Pure."""

from collections.abc import Iterable
from datetime import datetime, time
from zoneinfo import ZoneInfo


def is_open(begin: time | None, end: time | None, zone: str, now: datetime) -> bool:
    """Whether `now` lies in the window from `begin` to before `end`, local time in `zone`.

    None: always. A window that ends before it begins runs over midnight. The wall clock alone decides: an hour that
    the clock repeats is in the window twice, one that it skips is not there.
    """
    if begin is None or end is None:
        return True
    local = now.astimezone(ZoneInfo(zone)).time()
    return begin <= local < end if begin < end else local >= begin or local < end


def open_zones(begin: time | None, end: time | None, zones: Iterable[str], now: datetime) -> list[str]:
    """Those of `zones` in which the window is open now."""
    return [zone for zone in zones if is_open(begin, end, zone, now)]
