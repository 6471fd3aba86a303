"""Sites with their states, from the facts that were counted already."""

from dataclasses import dataclass
from datetime import datetime

from portal.web import states
from portal.web.snapshot import Snapshot
from portal.web.states import Counts, State
from provisioning.fleet.models import Concentrator

_ORDER = {"bad": 0, "warn": 1, "ok": 2, "idle": 3}


@dataclass(frozen=True, slots=True)
class Line:
    """One site in a list."""

    pk: int
    name: str
    state: State
    counts: Counts
    concentrators: list[Concentrator]
    last_seen: datetime | None


def lines(facts: Snapshot) -> list[Line]:
    """All sites, those that need somebody first."""
    by_site: dict[int | None, list[Concentrator]] = {}
    for concentrator in facts.concentrators:
        by_site.setdefault(concentrator.site_id, []).append(concentrator)
    found = [line(facts, pk, by_site.get(pk, [])) for pk in facts.site_names]
    return sorted(found, key=lambda row: (_ORDER[row.state.form], row.name))


def line(facts: Snapshot, pk: int, concentrators: list[Concentrator] | None = None) -> Line:
    """One site."""
    if concentrators is None:
        concentrators = [c for c in facts.concentrators if c.site_id == pk]
    counts = facts.by_site.get(pk, Counts())
    return Line(
        pk,
        facts.site_names.get(pk, ""),
        states.of_site(counts, concentrators, facts.at),
        counts,
        concentrators,
        facts.last_seen.get(pk),
    )
