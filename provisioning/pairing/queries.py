"""Which metering point an input belongs to: for people, and in bulk for the telemetry pipeline."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter, Meter, MeteringPoint
from provisioning.pairing.models import Pairing


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
