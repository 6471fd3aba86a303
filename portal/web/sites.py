"""Sites with their states, from the facts that were counted already."""

from collections.abc import Iterable
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


def ordered(facts: Snapshot) -> list[int]:
    """The keys of all sites, those that need somebody first, then by name."""

    def rank(site: int) -> tuple[int, str]:
        form, _case = states.site_case(facts.by_site.get(site, Counts()), facts.at_site.get(site, []))
        return _ORDER[form], facts.site_names[site]

    return sorted(facts.site_names, key=rank)


def lines(facts: Snapshot, keys: Iterable[int]) -> list[Line]:
    """These sites, in this order."""
    return [line(facts, key) for key in keys]


def line(facts: Snapshot, key: int) -> Line:
    """One site."""
    counts, concentrators = facts.by_site.get(key, Counts()), facts.at_site.get(key, [])
    state = states.of_site(counts, concentrators)
    return Line(key, facts.site_names.get(key, ""), state, counts, concentrators, facts.last_seen.get(key))
