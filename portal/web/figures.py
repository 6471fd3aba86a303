"""Numbers, times and identifiers as people write them: grouped, with the language's decimal mark and a unit."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone
from django.utils.dates import MONTHS_3
from django.utils.formats import get_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

MINUS = "−"
NONE = "–"

Number = int | float | Decimal


def figure(value: Number | None, digits: int = 0) -> str:
    """`value` with `digits` decimals, grouped in thousands; an en dash for None."""
    if value is None:
        return NONE
    text = f"{value:,.{digits}f}"
    if not any(sign in "123456789" for sign in text):
        text = text.lstrip("-")  # what rounds to nothing has no sign
    marks = {",": get_format("THOUSAND_SEPARATOR"), ".": get_format("DECIMAL_SEPARATOR"), "-": MINUS}
    return text.translate({ord(sign): mark for sign, mark in marks.items()})


def percent(part: int, whole: int, digits: int = 2) -> str:
    """`part` of `whole` in per cent, cut rather than rounded: 100 % is said only when nothing is missing."""
    if not whole:
        return NONE
    scale = 10**digits
    return f"{figure(Decimal(part * 100 * scale // whole) / scale, digits)} %"


def span(seconds: float | None) -> str:
    """A duration in its largest whole unit: "38 s", "15 min", "3 h", "12 d"."""
    if seconds is None:
        return NONE
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{figure(round(seconds / size))} {unit}"
    return f"{figure(round(seconds / 86400))} {pgettext('days', 'd')}"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """Relative under a day, then day and time; an en dash for None."""
    if moment is None:
        return NONE
    seconds = max(0, int(((now or timezone.now()) - moment).total_seconds()))
    if seconds >= 86400:
        return day(moment)
    size, unit = (1, "s") if seconds < 60 else (60, "min") if seconds < 3600 else (3600, "h")
    return _("{time} ago").format(time=f"{seconds // size} {unit}")


def day(moment: datetime) -> str:
    """Day, month, hour and minute in the portal's time zone; with the year when it is not this one."""
    return f"{date_of(moment)}, {timezone.localtime(moment):%H:%M}"


def date_of(moment: datetime) -> str:
    """Day and month in the portal's time zone; with the year when it is not this one."""
    local = timezone.localtime(moment)
    year = "" if local.year == timezone.localtime().year else f" {local.year}"
    return f"{_date(local)}{year}"


def exact(moment: datetime) -> str:
    """Day and time down to the second in the portal's time zone."""
    local = timezone.localtime(moment)
    return f"{_date(local)} {local.year}, {local:%H:%M:%S} {local.tzname()}"


def _date(local: datetime) -> str:
    """Day and month; Django's own formatter costs ten times as much, and lists are full of dates."""
    return pgettext("date", "{day} {month}").format(day=local.day, month=str(MONTHS_3[local.month]).capitalize())


def eui(text: str) -> str:
    """An EUI as printed on labels: upper case."""
    return text.upper()


def fours(digits: str) -> str:
    """Many digits in groups of four, as people compare them."""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def rate(dr: int | None) -> str:
    """An EU868 data rate as people name it."""
    if dr is None:
        return NONE
    return f"SF{12 - dr}" if dr <= 5 else {6: "SF7/250", 7: "FSK"}.get(dr, f"DR{dr}")


def day_of(moment: datetime, back: int = 0) -> datetime:
    """Midnight, in the portal's time zone, `back` days before the day of `moment`."""
    local = timezone.localtime(moment)
    return timezone.make_aware(
        datetime.combine((local - timedelta(days=back)).date(), datetime.min.time()), timezone.get_current_timezone()
    )
