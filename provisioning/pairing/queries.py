"""Which metering point an input belongs to: for people, and in bulk for the telemetry pipeline."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Exists, Max, Model, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation, User
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter, Meter, MeteringPoint
from provisioning.pairing.models import MAX_WRONG, Pairing, PairingStep, WrongClaim
from provisioning.pairing.services.slots import takes_slots
from provisioning.slots.models import Assignment


def visible_pairings(
    actor: Actor, organisation: Organisation | None = None, *, open_only: bool = False
) -> QuerySet[Pairing]:
    """Pairings with adapter, metering point and meter, latest first."""
    rows = Pairing.objects.select_related("adapter", "metering_point__site", "meter")
    if open_only:
        rows = rows.filter(to_at=None)
    return within_reach(rows, actor, organisation, "fleet.view", "metering_point__site_id")


def metering_point_at(adapter_id: int, input: int, moment: datetime) -> int | None:
    """The key of the metering point that (adapter, input) read at `moment`; None: unpaired then."""
    held = Pairing.objects.filter(adapter_id=adapter_id, input=input, from_at__lte=moment)
    current = held.filter(Q(to_at=None) | Q(to_at__gt=moment)).order_by("-from_at")
    return current.values_list("metering_point_id", flat=True).first()


def slot_state(pairing: Pairing) -> str | None:
    """`given`: an open pairing's adapter sends in its slot; `waits`: it has one or gets one; None: it gets none."""
    if pairing.to_at is not None:
        return None
    rows = Adapter.objects.select_related("slot", "configuration", "concentrator__slot_plan")
    adapter = rows.get(pk=pairing.adapter_id)
    slot: Assignment | None = getattr(adapter, "slot", None)
    if slot is None or slot.concentrator_id is None:
        return "waits" if takes_slots(adapter) else None
    taken_over = slot.echoed_version == slot.version and slot.echoed_state == Assignment.State.IN_SLOT
    return "given" if taken_over else "waits"


class PairingTimes:
    """All pairings of some adapters in memory, asked by moment; from inclusive, to exclusive."""

    def __init__(self, rows: Iterable[tuple[int, int, datetime, datetime | None, int]]) -> None:
        """Rows of (adapter, input, from, to, metering point), in any order."""
        self._times: dict[tuple[int, int], list[tuple[datetime, datetime | None, int]]] = {}
        for adapter_id, input, from_at, to_at, point in rows:
            self._times.setdefault((adapter_id, input), []).append((from_at, to_at, point))
        for spans in self._times.values():
            spans.sort(key=lambda span: (span[0], span[1] or datetime.max.replace(tzinfo=UTC)))

    def at(self, adapter_id: int, input: int, moment: datetime) -> int | None:
        """The key of the metering point that (adapter, input) read at `moment`; None: unpaired then."""
        spans = self._times.get((adapter_id, input))
        if not spans:
            return None
        place = bisect_right(spans, moment, key=lambda span: span[0]) - 1
        if place < 0:
            return None
        _, to_at, point = spans[place]
        return point if to_at is None or moment < to_at else None


def pairing_times(adapter_ids: Iterable[int]) -> PairingTimes:
    """For the pipeline: the pairings of these adapters, one query."""
    rows = Pairing.objects.filter(adapter_id__in=list(adapter_ids))
    return PairingTimes(
        rows.order_by().values_list("adapter_id", "input", "from_at", "to_at", "metering_point_id").iterator()
    )


def open_pairing_reason(row: Model) -> str:
    """A guard of fleet archiving: why `row` is still needed; empty when no open pairing names it."""
    held = Pairing.objects.filter(to_at=None)
    if isinstance(row, Adapter) and held.filter(adapter=row).exists():
        return _("This adapter is paired; unpair it first.")
    if isinstance(row, MeteringPoint) and held.filter(metering_point=row).exists():
        return _("This metering point is paired; unpair it first.")
    if isinstance(row, Meter) and held.filter(meter=row).exists():
        return _("This meter belongs to an open pairing; replace the meter there, or unpair it first.")
    return ""


def progress(pairing: Pairing) -> list[tuple[str, datetime | None, dict[str, Any]]]:
    """All stations in their order, with the time when each was reached (None: not yet) and its detail."""
    reached = {row.step: row for row in pairing.steps.all()}
    return [
        (step, reached[step].at if step in reached else None, dict(reached[step].detail) if step in reached else {})
        for step in PairingStep.Step.values
    ]


def installations(user: User, organisation: Organisation, since: datetime) -> QuerySet[Pairing]:
    """What that person paired since then, the latest first, ended ones too."""
    rows = Pairing.objects.filter(organisation=organisation, claimed_by=user, from_at__gte=since)
    return rows.select_related("adapter", "metering_point__site", "meter")


def blocked_people(organisation: Organisation) -> QuerySet[User]:
    """Who tried too many wrong labels: with `wrong` attempts and the time of the `latest`. For operators."""
    held = WrongClaim.objects.filter(organisation=organisation, cleared_at=None).order_by().values("user_id")
    many = held.annotate(wrong=Count("pk"), latest=Max("at")).filter(wrong__gte=MAX_WRONG, user_id=OuterRef("pk"))
    people = User.objects.annotate(wrong=Subquery(many.values("wrong")), latest=Subquery(many.values("latest")))
    return people.filter(wrong__isnull=False).order_by("-latest")


def open_pairings_of(adapter_ids: Iterable[int]) -> list[Pairing]:
    """For the bridge: the open pairings of these adapters, one query."""
    rows = Pairing.objects.filter(adapter_id__in=list(adapter_ids), to_at=None)
    return list(rows.select_related("adapter", "meter", "metering_point", "organisation"))


def watched(adapter_ids: Iterable[int]) -> set[int]:
    """For the bridge: those of these adapters with an open pairing that still has stations to reach."""
    done = PairingStep.objects.filter(pairing=OuterRef("pk"), step=PairingStep.Step.READING)
    rows = Pairing.objects.filter(adapter_id__in=list(adapter_ids), to_at=None).filter(
        Q(state=Pairing.State.PENDING) | ~Exists(done)
    )
    return set(rows.values_list("adapter_id", flat=True))
