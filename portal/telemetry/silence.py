"""Who has fallen silent: each adapter for itself, or in one row the concentrator all of whose adapters did."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from portal.telemetry.live import Changes
from portal.telemetry.models import AdapterStatus, Silence

HEARD, SILENT = AdapterStatus.State.HEARD, AdapterStatus.State.SILENT
TOGETHER = 2  # so many silent adapters and no other make it the concentrator's silence


def detect(now: datetime) -> Changes:
    """Bring the states of adapters and the rows of Silence up to date; returns what changed, for open pages."""
    changes = Changes()
    with transaction.atomic():
        _fall_silent(now, changes)
        _end_of_adapters()
        heard = _heard_by_concentrator()
        silent = _silent_by_concentrator()
        _end_of_concentrators(heard)
        for concentrator, statuses in silent.items():
            if concentrator is not None and concentrator not in heard and len(statuses) >= TOGETHER:
                _open_concentrator(concentrator, statuses)
            else:
                _open_adapters(statuses)
    return changes


def _fall_silent(now: datetime, changes: Changes) -> None:
    overdue = AdapterStatus.objects.filter(state=HEARD, due_at__lt=now, adapter__archived_at=None)
    found = list(overdue.order_by("pk").values_list("pk", "organisation_id", "concentrator_id"))
    for adapter, organisation, concentrator in found:
        # On the old state: one that was heard this very moment stays heard.
        if AdapterStatus.objects.filter(pk=adapter, state=HEARD, due_at__lt=now).update(state=SILENT):
            changes.add(organisation, "status", adapter, concentrator, None)


def _end_of_adapters() -> None:
    ended = Silence.objects.filter(until=None, adapter__isnull=False).exclude(adapter__status__state=SILENT)
    for row in ended.select_related("adapter__status"):
        last_seen = row.adapter.status.last_seen if row.adapter is not None else None
        row.until = max(row.since, last_seen or row.since)
        row.save(update_fields=["until"])


def _heard_by_concentrator() -> dict[int, datetime]:
    """When each concentrator that brings anything last brought something."""
    rows = AdapterStatus.objects.filter(state=HEARD, concentrator__isnull=False).order_by().values("concentrator")
    return {row["concentrator"]: row["last"] for row in rows.annotate(last=Max("last_seen")) if row["last"] is not None}


def _silent_by_concentrator() -> dict[int | None, list[AdapterStatus]]:
    found: dict[int | None, list[AdapterStatus]] = {}
    for status in AdapterStatus.objects.filter(state=SILENT, adapter__archived_at=None).order_by("pk"):
        found.setdefault(status.concentrator_id, []).append(status)
    return found


def _end_of_concentrators(heard: dict[int, datetime]) -> None:
    for row in Silence.objects.filter(until=None, concentrator__in=list(heard)):
        assert row.concentrator_id is not None
        row.until = max(row.since, heard[row.concentrator_id])
        row.save(update_fields=["until"])


def _open_concentrator(concentrator: int, statuses: Collection[AdapterStatus]) -> None:
    """One row for all; rows of adapters that are part of it, not of an older silence, are taken into it."""
    since = max(status.last_seen for status in statuses if status.last_seen is not None)
    row, _ = Silence.objects.get_or_create(
        concentrator_id=concentrator,
        until=None,
        defaults={"organisation_id": next(iter(statuses)).organisation_id, "since": since},
    )
    part = [status.pk for status in statuses if status.last_seen and status.last_seen >= row.since - _patience(status)]
    Silence.objects.filter(until=None, adapter_id__in=part).delete()
    Silence.objects.filter(pk=row.pk).exclude(adapters=len(part)).update(adapters=len(part))


def _open_adapters(statuses: Collection[AdapterStatus]) -> None:
    known = set(
        Silence.objects.filter(until=None, adapter_id__in=[status.pk for status in statuses]).values_list(
            "adapter_id", flat=True
        )
    )
    Silence.objects.bulk_create(
        Silence(organisation_id=status.organisation_id, adapter_id=status.pk, since=status.last_seen)
        for status in statuses
        if status.pk not in known and status.last_seen is not None
    )


def _patience(status: AdapterStatus) -> timedelta:
    """How long after its last telegram the adapter counts as silent."""
    if status.due_at is None or status.last_seen is None:
        return timedelta(0)
    return status.due_at - status.last_seen
