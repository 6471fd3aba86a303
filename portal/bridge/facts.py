"""What the database knows about some pairings that are on their way, asked in a few queries for all of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max

from portal.telemetry.firsts import first_arrived
from portal.telemetry.models import AdapterEvent, AdapterStatus, Telegram
from provisioning.fleet.models import Adapter, DeviceChange
from provisioning.keys.models import SERVING, DeviceKey, KeyState
from provisioning.pairing.models import Configuration, Pairing, PairingStep

RECENT = timedelta(days=7)  # joins further back are not looked for: a telegram shows as well that there is a session
MAX_JOINS = 5_000
Step = PairingStep.Step


class Facts:
    """`reached` are the stations that are written down, by pairing."""

    def __init__(self, pairings: Sequence[Pairing], now: datetime) -> None:
        self.reached: dict[int, dict[str, datetime]] = {}
        rows = PairingStep.objects.filter(pairing__in=[row.pk for row in pairings])
        for pk, step, at in rows.values_list("pairing_id", "step", "at"):
            self.reached.setdefault(pk, {})[step] = at
        self._configurations = Configuration.objects.in_bulk({row.adapter_id for row in pairings})
        self._statuses = AdapterStatus.objects.in_bulk({row.adapter_id for row in pairings})
        self._now = now
        self._load_joins([row for row in pairings if Step.JOINED not in self.reached.get(row.pk, {})])
        self._load_tables([row for row in pairings if Step.INFORMED not in self.reached.get(row.pk, {})])

    def joined(self, pairing: Pairing) -> tuple[datetime, dict[str, Any]] | None:
        """When the adapter had a session at its concentrator: by its join, else by its first telegram since."""
        serving = pairing.adapter.concentrator
        for event in self._joins.get(pairing.adapter_id, ()):
            if event.at >= pairing.from_at and serving is not None and event.concentrator_id == serving.pk:
                detail = {name: event.detail[name] for name in ("rssi", "snr", "dr", "gw") if name in event.detail}
                return event.at, {**detail, "concentrator": serving.eui}
        status = self._statuses.get(pairing.adapter_id)
        if serving is None or status is None or status.last_seen is None or status.last_seen < pairing.from_at:
            return None
        first = (
            Telegram.objects.filter(adapter=pairing.adapter_id, received_at__gte=pairing.from_at, error=None)
            .order_by("received_at")
            .first()
        )
        if first is None:
            return None
        detail = {"rssi": first.rssi, "snr": first.snr, "dr": first.dr, "gw": first.rx[0]["gw"]}
        return first.received_at, {**detail, "concentrator": serving.eui}

    def informed(self, pairing: Pairing, joined_at: datetime | None) -> datetime | None:
        """When the concentrator ran the table with the adapter in it: now, unless the join shows that it did before."""
        if joined_at is not None:
            return joined_at
        adapter, serving = pairing.adapter, pairing.adapter.concentrator
        if serving is None or not serving.key_approved or adapter.pk not in self._keyed or not serving.running_revision:
            return None
        needed = self._revisions.get((serving.pk, adapter.dev_eui), serving.whole_since)
        return self._now if serving.running_revision >= needed else None

    def configured(self, pairing: Pairing, reached: dict[str, datetime]) -> tuple[datetime | None, dict[str, Any]]:
        """When the adapter reported that it runs what is wanted; a foreign device takes no configuration."""
        if pairing.adapter.kind == Adapter.Kind.FOREIGN:
            return reached.get(Step.JOINED), {"version": 0, "firmware": ""}
        row = self._configurations.get(pairing.adapter_id)
        if row is None or (row.version == 0 and row.running is None):
            return reached.get(Step.READING), {"version": 0, "firmware": ""}  # nothing is wanted of it
        if row.running != row.version or row.reported_at is None:
            return None, {}
        return row.reported_at, {"version": row.version, "firmware": row.reported.get("firmware", "")}

    def reported(self, pairing: Pairing) -> dict[str, Any]:
        """What the adapter said about itself."""
        row = self._configurations.get(pairing.adapter_id)
        return {} if row is None else row.reported

    def first_reading(self, pairing: Pairing) -> dict[str, Any] | None:
        """`at` and the detail of the station; asked only when there can be one."""
        status = self._statuses.get(pairing.adapter_id)
        if status is None or status.last_counter is None:
            return None
        if status.last_seen is None or status.last_seen < pairing.from_at:
            return None
        return first_arrived(pairing, self._now)

    def _load_joins(self, pairings: Sequence[Pairing]) -> None:
        self._joins: dict[int, list[AdapterEvent]] = {}
        if not pairings:
            return
        since = max(min(row.from_at for row in pairings), self._now - RECENT)
        rows = AdapterEvent.objects.filter(
            adapter__in={row.adapter_id for row in pairings}, kind="joined", at__gte=since
        ).order_by("at")
        for event in rows[:MAX_JOINS]:
            assert event.adapter_id is not None
            self._joins.setdefault(event.adapter_id, []).append(event)

    def _load_tables(self, pairings: Sequence[Pairing]) -> None:
        self._revisions: dict[tuple[int, str], int] = {}
        self._keyed: set[int] = set()
        if not pairings:
            return
        rows = DeviceChange.objects.filter(
            concentrator__in={row.adapter.concentrator_id for row in pairings if row.adapter.concentrator_id},
            dev_eui__in={row.adapter.dev_eui for row in pairings},
        )
        for concentrator, dev_eui, revision in rows.values_list("concentrator_id", "dev_eui").annotate(Max("revision")):
            self._revisions[concentrator, dev_eui] = revision
        keys = DeviceKey.objects.filter(
            adapter__in={row.adapter_id for row in pairings}, purpose__in=SERVING, state=KeyState.ACTIVE
        )
        self._keyed = set(keys.values_list("adapter_id", flat=True))
