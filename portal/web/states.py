"""How a thing is, in four forms only: ok, warn, bad, idle, each with a word beside it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.telemetry.models import AdapterStatus
from portal.web.figures import figure
from provisioning.fleet.models import Concentrator
from provisioning.pairing.models import Pairing

Form = Literal["ok", "warn", "bad", "idle"]
LATE = 1.75  # of the smoothed period: a telegram is overdue, but not yet called silence
LATE_AT_LEAST_S = 45.0  # less than that nobody can act on
STALE = timedelta(minutes=3)  # a concentrator's heartbeat is due every minute


@dataclass(frozen=True, slots=True)
class State:
    form: Form
    word: str


def of_adapter(status: AdapterStatus | None, now: datetime, archived: bool = False) -> State:
    """The state of an adapter; `status` None: it was never heard."""
    if archived:
        return State("idle", _("archived"))
    if status is None or status.last_seen is None:
        return State("idle", _("never heard"))
    if status.state == AdapterStatus.State.SILENT:
        return State("bad", _("silent"))
    if status.last_error_at is not None and status.last_error_at > status.last_seen:
        return State("warn", _("refused"))
    if status.period_s and (now - status.last_seen).total_seconds() > max(LATE * status.period_s, LATE_AT_LEAST_S):
        return State("warn", _("late"))
    return State("ok", _("on time"))


def of_concentrator(concentrator: Concentrator, now: datetime) -> State:
    """The state of a concentrator, from what it last said about itself."""
    if concentrator.last_state_at is None:
        return State("idle", _("never connected"))
    if not concentrator.online:
        return State("bad", _("no backhaul"))
    if concentrator.key_waiting:
        return State("warn", _("key to approve"))
    if now - concentrator.last_state_at > STALE:
        return State("warn", _("heartbeat late"))
    if concentrator.running_revision < concentrator.desired_revision:
        return State("warn", _("updating"))
    return State("ok", _("online"))


def of_pairing(pairing: Pairing) -> State:
    """A pairing's state; a meter that tells another number than the one meant is the worst."""
    if pairing.state == Pairing.State.ENDED:
        return State("idle", _("ended"))
    if pairing.identity == Pairing.Identity.MISMATCH:
        return State("bad", _("another meter"))
    if pairing.state == Pairing.State.CONFIRMED:
        return State("ok", _("confirmed"))
    if pairing.identity == Pairing.Identity.UNREADABLE:
        return State("warn", _("to compare"))
    return State("warn", _("pending"))


@dataclass(frozen=True, slots=True)
class Counts:
    """Adapters of a site or organisation by state."""

    heard: int = 0
    silent: int = 0
    never: int = 0

    @property
    def total(self) -> int:
        return self.heard + self.silent + self.never


SiteCase = tuple[Form, str]
_SITE_WORDS: dict[str, str | Promise] = {
    "not_installed": gettext_lazy("not installed"),
    "no_backhaul": gettext_lazy("no backhaul"),
    "all_silent": gettext_lazy("all silent"),
    "some_silent": gettext_lazy("{n} silent"),
    "not_heard": gettext_lazy("not heard yet"),
    "some_never": gettext_lazy("{n} never heard"),
    "on_time": gettext_lazy("on time"),
    "empty": gettext_lazy("no adapters"),
}


def site_case(counts: Counts, concentrators: list[Concentrator]) -> SiteCase:
    """How a site is, without words: its worst concentrator first, then its adapters."""
    if not counts.total and not concentrators:
        return "idle", "not_installed"
    if any(c.last_state_at is not None and not c.online for c in concentrators):
        return "bad", "no_backhaul"
    if counts.silent:
        return ("bad", "all_silent") if counts.silent == counts.total else ("warn", "some_silent")
    if counts.never:
        return ("warn", "some_never") if counts.heard else ("idle", "not_heard")
    return ("ok", "on_time") if counts.total else ("idle", "empty")


def of_site(counts: Counts, concentrators: list[Concentrator]) -> State:
    """The state of a site."""
    form, case = site_case(counts, concentrators)
    number = counts.silent if case == "some_silent" else counts.never
    return State(form, str(_SITE_WORDS[case]).format(n=figure(number)))
