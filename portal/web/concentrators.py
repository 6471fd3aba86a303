"""Reads for the page of a concentrator: its adapters by state, gateways, strangers, and what happened."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from portal.telemetry.models import AdapterEvent, AdapterStatus
from portal.web import diagnosis
from portal.web.diagnosis import Diagnosis, one_line
from portal.web.states import Counts
from provisioning.fleet.models import Adapter, Concentrator

LOOK_BACK = timedelta(days=7)
MAX_HEARD = 500
MAX_STRANGERS = 20
MAX_EVENTS = 120
MAX_GROUPS = 15


@dataclass(frozen=True, slots=True)
class Gateway:
    """A packet forwarder behind the concentrator."""

    eui: str
    online: bool
    last_seen: datetime | None


@dataclass(slots=True)
class Stranger:
    """Somebody whom this concentrator hears and does not serve; `count` frames in the last days."""

    name: str
    join_eui: str
    joins: bool
    count: int
    last: datetime
    rssi: float | None
    registered: int | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """An event and what it means; `times` of the same kind in a row are one."""

    at: datetime
    told: Diagnosis
    dev_eui: str
    adapter: int | None
    detail: str
    times: int = 1


def counts(concentrator: Concentrator) -> Counts:
    """The adapters it serves, by state."""
    heard = Q(status__last_seen__isnull=False)
    row = Adapter.objects.filter(concentrator=concentrator, archived_at=None).aggregate(
        n=Count("pk"),
        heard=Count("pk", filter=heard & Q(status__state=AdapterStatus.State.HEARD)),
        silent=Count("pk", filter=heard & Q(status__state=AdapterStatus.State.SILENT)),
    )
    return Counts(row["heard"], row["silent"], row["n"] - row["heard"] - row["silent"])


def gateways(concentrator: Concentrator) -> list[Gateway]:
    """As it last reported them."""
    found = []
    for row in concentrator.gateways if isinstance(concentrator.gateways, list) else []:
        if isinstance(row, dict) and isinstance(row.get("gw"), str):
            seen = row.get("last_seen")
            found.append(
                Gateway(row["gw"], bool(row.get("online")), parse_datetime(seen) if isinstance(seen, str) else None)
            )
    return found


def strangers(concentrator: Concentrator) -> list[Stranger]:
    """Whom it heard lately and does not serve, the newest first."""
    since = timezone.now() - LOOK_BACK
    rows = AdapterEvent.objects.filter(concentrator=concentrator, kind="heard", at__gte=since).order_by("-at")[
        :MAX_HEARD
    ]
    found: dict[str, Stranger] = {}
    for row in rows:
        detail = row.detail if isinstance(row.detail, dict) else {}
        name = row.dev_eui or str(detail.get("dev_addr", ""))[:16] or "?"
        times = detail.get("count")
        count = times if isinstance(times, int) else 1
        known = found.get(name)
        if known is None:
            found[name] = Stranger(
                name, str(detail.get("join_eui", ""))[:16], bool(row.dev_eui), count, row.at, _rssi(detail)
            )
        else:
            known.count = max(known.count, count)
    newest = list(found.values())[:MAX_STRANGERS]
    own = Adapter.objects.filter(
        organisation_id=concentrator.organisation_id, archived_at=None, dev_eui__in=[s.name for s in newest if s.joins]
    )
    registered = dict(own.values_list("dev_eui", "pk"))
    for stranger in newest:
        stranger.registered = registered.get(stranger.name)
    return newest


def events(concentrator: Concentrator) -> list[Happened]:
    """What happened there lately, without strangers and without the hourly word that a device kept its slot."""
    rows = AdapterEvent.objects.filter(concentrator=concentrator).exclude(kind="heard")
    rows = rows.filter(~Q(kind="slot") | Q(detail__outside__gt=0))
    found = []
    for (kind, reason), group in groupby(rows.order_by("-at")[:MAX_EVENTS], key=lambda r: (r.kind, r.reason)):
        first, *more = group
        told = diagnosis.of_event(kind, reason)
        if more:
            found.append(Happened(first.at, told, "", None, "", 1 + len(more)))
        else:
            found.append(Happened(first.at, told, first.dev_eui, first.adapter_id, one_line(first.detail)))
    return found[:MAX_GROUPS]


def _rssi(detail: dict[str, Any]) -> float | None:
    rx = detail.get("rx")
    first = rx[0] if isinstance(rx, list) and rx else rx
    rssi = first.get("rssi") if isinstance(first, dict) else detail.get("rssi")
    return float(rssi) if isinstance(rssi, int | float) else None
