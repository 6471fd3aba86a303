"""How signed days are told on pages: a state in words, what it rests on, and what to do."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from meterwire.signed_day import begin_of, number_of
from portal.days.models import VERIFIED, DayState, SignedDay, SigningKey
from portal.days.queries import Day, days_of, signing_keys
from portal.days.services.requests import SIGNED_BY
from portal.web.figures import date_of, figure
from portal.web.states import State
from provisioning.fleet.models import Adapter

SHOWN = 31  # days on one page
EARLIEST = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Line:
    """One day as the table shows it; `proof`: the day is proven and its proof can be had."""

    day: date
    telegrams: int
    state: State
    note: str
    signed: SignedDay | None
    proof: bool

    @property
    def name(self) -> str:
        """The day as dates are written here: it is one of UTC, and no time zone may move it."""
        return date_of(datetime.combine(self.day, time(12), timezone.get_current_timezone()))


@dataclass(frozen=True, slots=True)
class Page:
    """Days up to `last`, the newest first; `older` and `newer` are the last days of the pages around."""

    lines: list[Line]
    keys: list[SigningKey]
    last: date
    older: date
    newer: date | None


def page_of(adapter: Adapter, chosen: str) -> Page:
    """The page whose last day is `chosen` (ISO), or the newest one."""
    now = timezone.now()
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    last = min(max(_date(chosen) or yesterday, EARLIEST + timedelta(days=SHOWN)), yesterday)
    keys = signing_keys(adapter)
    lines = [_line(one, bool(keys), now) for one in days_of(adapter, last, SHOWN)]
    newer = None if last == yesterday else min(yesterday, last + timedelta(days=SHOWN))
    return Page(lines, keys, last, last - timedelta(days=SHOWN), newer)


def _date(text: str) -> date | None:
    try:
        return parse_date(text[:10])
    except ValueError:
        return None


def _line(one: Day, signs: bool, now: datetime) -> Line:
    row = one.signed
    if row is None and signs and now < begin_of(number_of(one.day) + 1) + SIGNED_BY:
        return Line(one.day, one.telegrams, State("idle", _("signed in the night")), "", None, False)
    if row is None:
        note = _("No signature has come.") if signs else ""
        return Line(one.day, one.telegrams, State("idle", _("unsigned")), note, None, False)
    return Line(one.day, one.telegrams, _state(row), _note(row), row, row.state in VERIFIED)


def _state(row: SignedDay) -> State:
    match row.state:
        case DayState.SIGNED:
            return State("ok", _("signed"))
        case DayState.PARTIAL:
            text = ngettext("signed except for {n} telegram", "signed except for {n} telegrams", row.missing)
            return State("warn", text.format(n=figure(row.missing)))
        case DayState.WRONG:
            return State("bad", _("signature wrong"))
        case DayState.UNVERIFIED:
            return State("warn", _("not verifiable"))
        case DayState.UNSIGNED:
            return State("idle", _("unsigned"))
    return State("warn", _("being checked"))


def _note(row: SignedDay) -> str:
    found = {
        DayState.PARTIAL: _("What they said is lost; that they were sent, and in which place, is proven."),
        DayState.WRONG: _(
            "The signature does not fit the telegrams stored here. Compare the signing key with the device,"
            " and look for a concentrator that changes frames."
        ),
        DayState.UNVERIFIED: _(
            "The adapter signed telegrams that never came, and tells nothing of them any more. If they still come, the"
            " day is checked again by itself."
        ),
        DayState.UNSIGNED: _("No signature has come, and the adapter has none: it had no date, or was off at night."),
        DayState.WAITING: _("What is missing is being asked for."),
    }.get(DayState(row.state), "")
    if row.uncovered:
        extra = ngettext(
            "{n} telegram came that no signature covers.",
            "{n} telegrams came that no signature covers.",
            row.uncovered,
        )
        found = f"{found} {extra.format(n=figure(row.uncovered))}".strip()
    return found
