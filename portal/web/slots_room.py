"""How full the time of a concentrator is, in words and figures: used, reserved, free, and how many more fit."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.web import figures
from portal.web.states import Form, State
from provisioning.fleet.models import Concentrator
from provisioning.slots.closed_time import open_now, open_time
from provisioning.slots.making_room import Means, what_makes_room
from provisioning.slots.models import SlotPlan
from provisioning.slots.queries import Fullness, fullness, how_many_fit, in_closed_time
from provisioning.slots.services import plan_of

NEARLY = 0.9  # of what can be used: time to think of what makes room
ALARM = 0.7  # of a guard: from there on it is told (portal.telemetry.slot_queries)
_BAR = 200.0
_GAINS: dict[Means, str | Promise] = {
    "rate": gettext_lazy("A better place for the antenna, so that every adapter is heard one rate faster:"),
    "two_readings": gettext_lazy("Two readings in each telegram, half as many telegrams:"),
    "guard": gettext_lazy("A beacon, which allows a guard of 20 ms:"),
    "second": gettext_lazy("A second concentrator that takes half of them:"),
}
_BEACON_THERE = gettext_lazy("A guard of 20 ms, which the beacon allows:")


@dataclass(frozen=True, slots=True)
class Room:
    """A concentrator's time; `fits`: data rate by name and how many more slots at it; `gains`: what would make room, in
    words, and for how many more; `closed`: slots that were given before the plan closed their time.
    """

    plan: SlotPlan
    full: Fullness
    state: State
    fits: list[tuple[str, int]] = field(default_factory=list)
    gains: list[tuple[str, int]] = field(default_factory=list)
    closed: int = 0

    @property
    def kept(self) -> float:
        """In which nobody has a slot."""
        return self.full.reserve + self.full.beacon

    @property
    def used_percent(self) -> str:
        return percent(self.full.used)

    @property
    def reserve_percent(self) -> str:
        return percent(self.kept)

    @property
    def free_percent(self) -> str:
        return percent(self.full.free)

    @property
    def bar(self) -> SafeString:
        return bar(self.full.used, self.kept)

    @property
    def opened(self) -> bool:
        """Whether more than the reserve is open, until a slot lies there."""
        return open_now(self.plan) != open_time(self.plan)

    @property
    def open_time(self) -> str:
        """When everybody may send, as adapters are told: more than the reserve until a slot lies there."""
        opened = open_now(self.plan)
        if opened is None:
            return _("none")
        seconds = figures.figure(opened.length_ms / 1000, 0 if opened.length_ms % 1000 == 0 else 1)
        return _("{seconds} s of every {time}").format(seconds=seconds, time=figures.span(opened.period_s))


def room(concentrator: Concentrator, *, more: bool = True) -> Room:
    """`more`: also how many more fit and what would make room, which looks at every hole there is."""
    plan, full = plan_of(concentrator), fullness(concentrator)
    fits = sorted(how_many_fit(concentrator).items(), reverse=True) if more else []
    gains = what_makes_room(concentrator) if more else []
    return Room(
        plan=plan,
        full=full,
        state=_state(plan, full),
        fits=[(figures.rate(rate), n) for rate, n in fits],
        gains=[(_means(gain.kind, plan), gain.gains) for gain in gains],
        closed=len(in_closed_time(concentrator)) if more else 0,
    )


def _means(kind: Means, plan: SlotPlan) -> str:
    return str(_BEACON_THERE if kind == "guard" and plan.beacon_period_s else _GAINS[kind])


def _state(plan: SlotPlan, full: Fullness) -> State:
    if full.overlapping or plan.full_since is not None:
        return State("bad", _("full"))
    if not plan.by_pairing:
        return State("idle", _("gives no slots"))
    if full.used > NEARLY * (1 - full.reserve - full.beacon):
        return State("warn", _("nearly full"))
    return State("ok", _("has room"))


def percent(share: float) -> str:
    """A share in per cent, finer where it is small."""
    return f"{figures.figure(100 * share, 1 if share < 0.1 else 0)} %"


def bar(used: float, reserve: float) -> SafeString:
    """Used and reserved time as one bar."""
    words = _("{used} used, {reserve} in reserve").format(used=percent(used), reserve=percent(reserve))
    return _bar((("ok", used), ("idle", reserve)), words)


def guard_bar(used: float) -> SafeString:
    """How much of a guard was used; its colour tells when to look, and the words beside it say so too."""
    form: Form = "bad" if used >= 1 else "warn" if used >= ALARM else "ok"
    return _bar(((form, used),), _("{used} of the guard used").format(used=percent(used)))


def _bar(shares: Iterable[tuple[str, float]], words: str) -> SafeString:
    """Drawn as attributes, which the content policy allows."""
    parts, at = [], 0.0
    for name, share in shares:
        width = min(_BAR * share, _BAR - at)
        if width > 0:
            parts.append(
                format_html('<rect class="{}" x="{}" width="{}" height="8"/>', name, f"{at:.2f}", f"{width:.2f}")
            )
        at += width
    return format_html(
        '<svg class="bar" viewBox="0 0 200 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        words,
        format_html_join("", "{}", ((part,) for part in parts)),
    )
