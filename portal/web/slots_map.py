"""A concentrator's slot map as compact columns, for the script that draws it: 30,000 slots in a few hundred kB."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from meterwire.slots import FRAME_S, FREQUENCIES_HZ
from portal.web import slots_states
from portal.web.access import Access, reach_of
from portal.web.slots_wrong import wrong_at
from provisioning.fleet.models import Concentrator
from provisioning.slots.closed_time import closed, open_now, open_time
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.queries import conflicts, heard_at
from provisioning.slots.services import plan_of

_COLUMNS = (
    "adapter_id", "adapter__dev_eui", "adapter__site_id", "channel", "phase_ms",
    "period_s", "data_rate", "guard_ms", "length_ms",
)  # fmt: skip
_ECHO = ("version", "echoed_version", "echoed_state", "overlap_ms")
WIDTH = 5


def drawn(access: Access, concentrator: Concentrator) -> dict[str, Any]:
    """For JSON. `slots` is flat, WIDTH numbers for each: adapter (0: not for this member's eyes), channel, phase (ms),
    index into `kinds` (period s, data rate, guard ms, length ms), index into `states` (form, word); the first `own` are
    the concentrator's, the rest it only hears. `euis` are the DevEUIs without their common `prefix`, put together.
    """
    found = _Columns(reach_of(access)[1])
    wrong = wrong_at(concentrator)
    own = Assignment.objects.filter(concentrator=concentrator).order_by("channel", "phase_ms")
    for *place, version, echoed, state, overlap in own.values_list(*_COLUMNS, *_ECHO).iterator(4000):
        code = slots_states.code_of(version, echoed, state, overlap, wrong.get(place[0], ""))
        found.add(tuple(place), code)
    count = len(found.euis)
    for *place, conflict in _heard(concentrator):
        found.add(tuple(place), "conflict" if conflict else "neighbour")
    prefix = _shared([eui for eui in found.euis if eui])
    plan = plan_of(concentrator)
    return {
        "frame": FRAME_S,
        "channels": [round(hz / 1e6, 1) for hz in FREQUENCIES_HZ],
        "closed": _closed(plan),
        "open": _open(plan),
        "kinds": list(found.kinds),
        "states": [(said.state.form, said.state.word) for said in map(slots_states.said, slots_states.CODES)],
        "own": count,
        "slots": found.numbers,
        "prefix": prefix,
        "euis": "".join(eui[len(prefix) :] or "·" * (16 - len(prefix)) for eui in found.euis),
    }


class _Columns:
    """Collects; `sites`: those whose adapters the member may know by name (None: all)."""

    def __init__(self, sites: frozenset[int] | None) -> None:
        self._sites = sites
        self._states = {code: number for number, code in enumerate(slots_states.CODES)}
        self.numbers: list[int] = []
        self.euis: list[str] = []
        self.kinds: dict[tuple[int, ...], int] = {}

    def add(self, row: tuple[Any, ...], code: str) -> None:
        adapter, eui, site, channel, phase, *kind = row
        named = self._sites is None or site in self._sites
        number = self.kinds.setdefault(tuple(kind), len(self.kinds))
        self.numbers += (adapter if named else 0, channel, phase, number, self._states[code])
        self.euis.append(eui if named else "")


def _heard(concentrator: Concentrator) -> Iterable[tuple[Any, ...]]:
    """Slots that others gave and this concentrator hears, and whether each meets one of its own."""
    conflict = conflicts(concentrator).filter(adapter=OuterRef("adapter"))
    rows = heard_at(concentrator).annotate(meets=Exists(conflict)).order_by("channel", "phase_ms")
    return rows.values_list(*_COLUMNS, "meets")


def _closed(plan: SlotPlan) -> list[tuple[str, int, int, int]]:
    """Time without slots: what it is for, phase (ms), period (s), length (ms)."""
    free = open_time(plan)
    names = {free.phase_ms: _("open time")} if free else {}
    return [(names.get(c.phase_ms, _("beacon")), c.phase_ms, c.period_s, c.length_ms) for c in closed(plan)]


def _open(plan: SlotPlan) -> list[tuple[str, int, int, int]]:
    """As `_closed`, where everybody may send until a slot lies there: more than what is open for ever, or nothing."""
    now = open_now(plan)
    if now is None or now == open_time(plan):
        return []
    return [(_("open until slots need it"), now.phase_ms, now.period_s, now.length_ms)]


def _shared(euis: list[str]) -> str:
    """How all of them begin."""
    low, high = (min(euis), max(euis)) if euis else ("", "")
    return low[: next((k for k, (a, b) in enumerate(zip(low, high, strict=True)) if a != b), len(low))]
