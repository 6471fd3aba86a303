"""Follows pairings to their first reading: informed, joined, configured, identity, reading.

Each station is found by what the database holds, not by what came in, so a restarted bridge misses none and two bridges
find the same. News only say where to look first; a sweep looks everywhere else now and then.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from django.db.models import QuerySet

from meterwire.identity import Outcome
from portal.bridge import identity
from portal.bridge.facts import Facts
from portal.telemetry.live import Changes
from portal.telemetry.quarantine import withdraw
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Pairing, PairingStep
from provisioning.pairing.services import record_step

log = logging.getLogger(__name__)

AT_ONCE = 300  # adapters with news in one turn
NEWEST, SWEPT = 50, 100  # waiting pairings looked at in each turn: the latest, and the next of all others
MAX_NEWS = 20_000
SWEEP_S = 2.0
LATE = timedelta(minutes=10)  # another bridge may store readings for the metering point so long after a mismatch
Step = PairingStep.Step


class Told(Protocol):
    """What an ingested batch names."""

    adapters: set[int]
    concentrators: set[int]
    events: set[str]


@dataclass
class News:
    """Where something happened since the last turn."""

    adapters: set[int] = field(default_factory=set)
    concentrators: set[int] = field(default_factory=set)
    events: set[str] = field(default_factory=set)

    def add(self, told: Told) -> None:
        """Bounded: what finds no room is found by the sweep."""
        if len(self.adapters) < MAX_NEWS:
            self.adapters |= told.adapters
        if len(self.events) < MAX_NEWS:
            self.events |= told.events
        self.concentrators |= told.concentrators


class Steps:
    """Runs in a database thread."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._swept, self._swept_at = 0, 0.0
        self._left: list[int] = []

    def advance(self, news: News) -> Changes:
        """Write down every station that was reached; returns what open pages should be told."""
        now = datetime.fromtimestamp(self._time(), UTC)
        waiting = [*self._left, *news.adapters]
        some, self._left = waiting[:AT_ONCE], waiting[AT_ONCE : AT_ONCE + MAX_NEWS]
        pairings = self._chosen(some, news.concentrators)
        changes = Changes()
        if pairings:
            facts = Facts(pairings, now)
            for pairing in pairings:
                try:
                    if follow(pairing, facts, now):
                        changes.add(pairing.organisation_id, "pairing", pairing.adapter_id, None, now.isoformat())
                except ValueError:  # one row that cannot be read must not stop the others
                    log.exception("a pairing cannot be followed", extra={"pairing": pairing.pk})
        return changes

    def _chosen(self, adapters: Collection[int], concentrators: Iterable[int]) -> list[Pairing]:
        opened = Pairing.objects.filter(to_at=None).select_related("adapter__concentrator", "meter", "organisation")
        found: dict[int, Pairing] = {}
        if abs(self._time() - self._swept_at) >= SWEEP_S:
            self._swept_at = self._time()
            pending = opened.filter(state=Pairing.State.PENDING)
            found = {row.pk: row for row in (*pending.order_by("-pk")[:NEWEST], *self._next(pending))}
        if adapters:
            found |= {row.pk: row for row in opened.filter(adapter_id__in=adapters)}
        if concentrators:
            uninformed = opened.filter(adapter__concentrator_id__in=list(concentrators)).exclude(
                steps__step=Step.INFORMED
            )
            found |= {row.pk: row for row in uninformed[:AT_ONCE]}
        return list(found.values())

    def _next(self, pending: QuerySet[Pairing]) -> list[Pairing]:
        """The next waiting ones after those of the last turn, from the first again after the last."""
        rows = list(pending.filter(pk__gt=self._swept).order_by("pk")[:SWEPT])
        self._swept = rows[-1].pk if len(rows) == SWEPT else 0
        return rows


def follow(pairing: Pairing, facts: Facts, now: datetime) -> bool:
    """Bring one pairing up to date; True when it moved."""
    reached = facts.reached.setdefault(pairing.pk, {})

    def reach(step: PairingStep.Step, at: datetime | None, detail: dict[str, Any]) -> bool:
        if at is None or step in reached:
            return False
        reached[step] = at
        return record_step(pairing.pk, step.value, at, detail)

    moved = False
    joined = facts.joined(pairing) if Step.JOINED not in reached else None
    if Step.INFORMED not in reached:
        at = facts.informed(pairing, joined[0] if joined is not None else reached.get(Step.JOINED))
        eui = "" if pairing.adapter.concentrator is None else pairing.adapter.concentrator.eui
        moved |= reach(Step.INFORMED, at, {"concentrator": eui})
    if joined is not None:
        moved |= reach(Step.JOINED, *joined)
    if Step.READING not in reached and (first := facts.first_reading(pairing)) is not None:
        moved |= reach(Step.READING, first.pop("at"), first)
    if Step.CONFIGURED not in reached:
        moved |= reach(Step.CONFIGURED, *facts.configured(pairing, reached))
    return _identify(pairing, facts, reached, now) or moved


def _identify(pairing: Pairing, facts: Facts, reached: dict[str, datetime], now: datetime) -> bool:
    reported = facts.reported(pairing)
    reading_at = reached.get(Step.JOINED if pairing.adapter.kind == Adapter.Kind.FOREIGN else Step.READING)
    if pairing.identity == Pairing.Identity.MISMATCH and pairing.identity_at and now - pairing.identity_at < LATE:
        withdraw(pairing, since=pairing.identity_at)
    verdict = identity.judge(pairing, reported, reading_at, now)
    if verdict is None or (verdict.outcome is Outcome.UNREADABLE and pairing.identity == Pairing.Identity.UNREADABLE):
        return False
    return identity.take(pairing, verdict, reported)
