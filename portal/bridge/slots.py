"""Follows slots after pairing: echoes of adapters, proposed data rates, neighbours, places that no longer fit, and room
that comes back to those that lie over others.

Events that a restart loses come again: concentrators repeat what they hear hourly and what they propose daily.
"""

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final, TypeVar

from django.db import InterfaceError, OperationalError
from django.db.models import F, Q, QuerySet

from meterwire.config_records import SlotReport, SlotState
from meterwire.errors import MeterspanError
from portal.telemetry.models import AdapterEvent
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import follow_rate, hear_echo, renew_slot
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.services import heard_by

log = logging.getLogger(__name__)

AT_ONCE: Final = 100
LOOK_S: Final = 30.0
MAX_NAMESAKES: Final = 4
ACTOR: Final = System("slots")
EVENTS: Final = frozenset({"joined", "heard", "rate_proposed"})
T = TypeVar("T")


class Slots:
    """`advance` runs in a database thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._looked_at = float("-inf")
        self._after = 0  # whom the last look for misplaced slots came to
        # Full concentrator -> what its slots were, and how many of the crowded found no room in them.
        self._tried: dict[int, tuple[int, int]] = {}

    def advance(self, adapters: Collection[int], events: Collection[str]) -> None:
        """`adapters` have reported something, `events` have come; who was moved is looked up now and then."""
        for row in Configuration.objects.filter(pk__in=adapters).select_related("adapter__organisation"):
            _attempt(_echo, row)
        rows = AdapterEvent.objects.filter(pk__in=events).order_by("at")
        for event in rows.select_related("adapter__organisation", "concentrator"):
            _attempt(_follow, event)
        if self._monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = self._monotonic()
            self._put_right()
            self._ease()

    def _put_right(self) -> None:
        """The next slots that lie at a concentrator which is no longer their adapter's; one that fails comes again."""
        some = list(_misplaced().filter(pk__gt=self._after).order_by("pk")[:AT_ONCE])
        for one in some:
            _attempt(_renew, one)
        self._after = some[-1].pk if len(some) == AT_ONCE else 0

    def _ease(self) -> None:
        """Places of their own for those that lie over others, where slots have changed since all of them were tried."""
        tried, left = {}, AT_ONCE
        for concentrator, edition in SlotPlan.objects.filter(full_since__isnull=False).values_list("pk", "edition"):
            before, done = self._tried.get(concentrator, (edition, 0))
            done = done if before == edition else 0
            crowded = Assignment.objects.filter(concentrator=concentrator, overlap_ms__gt=0)
            # The shortest fit into most.
            ordered = crowded.select_related("adapter__organisation").order_by("length_ms", "pk")
            some = list(ordered[done : done + left])
            for one in some:
                _attempt(_renew, one)
            left -= len(some)
            tried[concentrator] = edition, done + len(some)
        self._tried = tried


def _attempt(work: Callable[[T], None], row: T) -> None:
    """One row that cannot be followed, or says what nobody foresaw, must not stop the others, nor pairings."""
    try:
        work(row)
    except MeterspanError as error:
        log.warning("a slot could not be followed: %s", error)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("a slot could not be followed", extra={"row": str(row)})


def _renew(row: Assignment) -> None:
    renew_slot(ACTOR, row.adapter)


def _echo(row: Configuration) -> None:
    """The last slot report of an adapter. One that cannot be read as such is left alone."""
    echo: dict[str, Any] = row.reported.get("slot", {})
    if not echo:
        return
    report = SlotReport(echo["version"], SlotState(echo["state"]), echo["rate_ppb"], echo["uncertainty_ms"])
    hear_echo(ACTOR, row.adapter, report, datetime.fromisoformat(echo["at"]))


def _follow(event: AdapterEvent) -> None:
    adapter, detail = event.adapter, event.detail
    if event.kind == "joined" and adapter is not None and adapter.kind == Adapter.Kind.METERSPAN:
        address = {"dev_addr": str(detail.get("dev_addr", ""))[:8]}
        new = {**address, "organisation_id": adapter.organisation_id}  # who joins before its pairing has no slot yet
        Assignment.objects.update_or_create(adapter=adapter, defaults=address, create_defaults=new)
    elif event.kind == "rate_proposed" and adapter is not None and event.concentrator_id == adapter.concentrator_id:
        row = Assignment.objects.filter(pk=adapter.pk).first()
        rate = detail.get("dr")
        if row is not None and isinstance(rate, int) and detail.get("version") == row.version:
            margin = detail.get("margin")
            follow_rate(ACTOR, adapter, rate, margin if isinstance(margin, int | float) else None)
    elif event.kind == "heard" and event.concentrator is not None:
        rssi = detail.get("rssi")
        level = float(rssi) if isinstance(rssi, int | float) else None
        for other in _heard(event)[:MAX_NAMESAKES]:
            heard_by(ACTOR, other, event.concentrator, event.at, level)


def _heard(event: AdapterEvent) -> QuerySet[Adapter]:
    """Which adapters a concentrator that does not serve them heard. Several may have the same address: all count."""
    own = Adapter.objects.filter(organisation=event.organisation_id, archived_at=None, concentrator__isnull=False)
    if event.dev_eui:
        return own.filter(dev_eui=event.dev_eui)
    address = event.detail.get("dev_addr")
    return own.filter(slot__dev_addr=address) if isinstance(address, str) and address else own.none()


def _misplaced() -> QuerySet[Assignment]:
    """Slots at a concentrator that does not serve the adapter any more, or of one that was archived."""
    elsewhere = ~Q(adapter__concentrator=F("concentrator")) | Q(adapter__concentrator=None)
    rows = Assignment.objects.filter(concentrator__isnull=False)
    return rows.filter(elsewhere | Q(adapter__archived_at__isnull=False)).select_related("adapter__organisation")
