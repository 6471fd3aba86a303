"""What is written besides the pipeline: events of concentrators, and what a message was refused for."""

import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F

from meterwire.errors import FormatError
from meterwire.messages import Event, parse_timestamp, ulid
from meterwire.values_telegram import HEADER_LENGTH
from portal.telemetry import slots
from portal.telemetry.arrivals import Arrival, Source, moment
from portal.telemetry.models import AdapterEvent, AdapterStatus
from portal.telemetry.sealed import clear
from provisioning.fleet.models import Adapter

MAX_DETAIL_BYTES = 4_000
MAX_INTEGER = (1 << 63) - 1  # longer ones are no figures of ours, and whoever counts with them would stumble
_LONG = re.compile(rb"\d{19}")
_REFUSALS = frozenset({"frame_refused", "join_refused"})


def store_events(items: Sequence[tuple[Source, Event]], now: datetime) -> list[AdapterEvent]:
    """Store events of concentrators, each id once; returns those that are new.

    What a concentrator refused on the radio counts among its adapter's refusals, whose last diagnosis it becomes; how
    it saw a slot kept is added to the adapter's day.
    """
    with transaction.atomic():
        slotted = {source.pk for source, event in items if event.kind == slots.KIND}
        if slotted:
            slots.one_at_a_time(slotted)
        known = set(AdapterEvent.objects.filter(pk__in=[event.id for _, event in items]).values_list("pk", flat=True))
        fresh = {event.id: (source, event) for source, event in items if event.id not in known}
        adapters = _adapters(fresh.values())
        rows = [_row(source, event, adapters, now) for source, event in fresh.values()]
        if slotted:
            slots.count([row for row in rows if row.kind == slots.KIND], now)
        AdapterEvent.objects.bulk_create(rows, ignore_conflicts=True)
        for row in rows:
            if row.kind in _REFUSALS and row.adapter_id is not None and row.organisation_id is not None:
                _count_refusal(row.adapter_id, row.organisation_id, row.reason or row.kind, row.at)
    return rows


def record_protocol_error(source: Source | None, eui: str, code: str, message: str, now: datetime) -> AdapterEvent:
    """A message that could not be taken: wrong version, too many entries, no message at all, or a stranger's.

    `source` None: no concentrator is registered under `eui`, and the event belongs to no organisation.
    """
    return AdapterEvent.objects.create(
        id=_new_id(now),
        organisation_id=None if source is None else source.organisation,
        concentrator_id=None if source is None else source.pk,
        kind="protocol",
        reason=code[:40],
        detail={"concentrator": eui, "message": message[:500]},
        at=now,
    )


def note_event(adapter: Adapter, kind: str, reason: str, detail: Mapping[str, Any], *, at: datetime, once: str) -> bool:
    """Something that the portal itself found out about an adapter; False when it was noted before.

    `once` names the occasion: the same at the same time is one event, whichever bridge found it.
    """
    name = sha256(f"{adapter.pk} {kind} {reason} {once}".encode()).digest()[:10]
    _, made = AdapterEvent.objects.get_or_create(
        id=ulid(at.timestamp(), name),
        defaults={
            "organisation_id": adapter.organisation_id,
            "concentrator_id": adapter.concentrator_id,
            "adapter": adapter,
            "dev_eui": adapter.dev_eui,
            "kind": kind,
            "reason": reason,
            "detail": dict(detail),
            "at": at,
        },
    )
    return made


def set_aside(arrival: Arrival, error: Exception, now_us: int) -> None:
    """Keep a telegram that the database refuses for a reason nobody foresaw, so that it cannot block the others."""
    telegram = arrival.telegram
    payload = telegram.payload
    if arrival.source.keeps_sealed and clear(arrival):
        payload = payload[:HEADER_LENGTH]
    AdapterEvent.objects.create(
        id=_new_id(moment(now_us)),
        organisation_id=arrival.source.organisation,
        concentrator_id=arrival.source.pk,
        adapter_id=None if arrival.adapter is None else arrival.adapter.pk,
        dev_eui=telegram.dev_eui,
        kind="protocol",
        reason="unstorable",
        detail={
            "error": type(error).__name__,
            "telegram": telegram.id,
            "fport": telegram.fport,
            "fcnt": telegram.fcnt,
            "counter": telegram.counter,
            "payload": payload.hex(),
            "received_at": telegram.received_at,
        },
        at=moment(now_us),
    )


def _row(source: Source, event: Event, adapters: dict[tuple[int, str], int], now: datetime) -> AdapterEvent:
    try:
        at = parse_timestamp(event.time)
    except FormatError:
        at = now
    return AdapterEvent(
        id=event.id,
        organisation_id=source.organisation,
        concentrator_id=source.pk,
        adapter_id=adapters.get((source.organisation, event.dev_eui or "")),
        dev_eui=event.dev_eui or "",
        kind=event.kind,
        reason=event.reason or "",
        detail=_bounded(event),
        at=at,
    )


def _bounded(event: Event) -> dict[str, object]:
    """The detail as a database can hold it: no more than MAX_DETAIL_BYTES, and no NUL, which jsonb refuses.

    Integers end at MAX_INTEGER.
    """
    raw = msgspec.json.encode(event.detail)
    if len(raw) > MAX_DETAIL_BYTES:
        return {"left_out": f"{len(raw)} bytes"}
    raw = raw.replace(b"\\u0000", b"")
    detail: dict[str, object] = msgspec.json.decode(raw) if not _LONG.search(raw) else json.loads(raw, parse_int=_ended)
    return detail


def _ended(digits: str) -> int:
    return max(-MAX_INTEGER, min(MAX_INTEGER, int(digits)))


def _adapters(items: Collection[tuple[Source, Event]]) -> dict[tuple[int, str], int]:
    """Keys of the adapters that the events name, by organisation and DevEUI."""
    rows = Adapter.objects.filter(
        dev_eui__in={event.dev_eui for _, event in items if event.dev_eui},
        organisation_id__in={source.organisation for source, _ in items},
        archived_at=None,
    )
    return {(org, dev_eui): pk for org, dev_eui, pk in rows.values_list("organisation_id", "dev_eui", "pk")}


def _count_refusal(adapter: int, organisation: int, code: str, at: datetime) -> None:
    AdapterStatus.objects.get_or_create(adapter_id=adapter, defaults={"organisation_id": organisation})
    AdapterStatus.objects.filter(adapter_id=adapter).update(refused=F("refused") + 1, last_error=code, last_error_at=at)


def _new_id(now: datetime) -> str:
    return ulid(now.timestamp(), secrets.token_bytes(10))
