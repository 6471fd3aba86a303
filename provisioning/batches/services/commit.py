"""Registers rows: adapters and their keys in a few statements, past the one-by-one services but to the same end."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from meterwire.ids import DevEUI, JoinEUI
from provisioning import validation
from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.rows import PARTNER
from provisioning.errors import Conflict
from provisioning.fleet.desired import devices_changed
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.waiting import SEALED_KEY_BYTES


@dataclass(frozen=True, slots=True)
class Imported:
    """What one chunk brought, for the audit."""

    first: int
    last: int
    adapters: int
    keys: int
    digest: str

    def as_data(self) -> dict[str, Any]:
        lines = f"{self.first}-{self.last}"
        return {"lines": lines, "adapters": self.adapters, "keys": self.keys, "digest": self.digest}


def register(batch: Batch, rows: Sequence[BatchRow], taken: str) -> Imported:
    """Make the adapters and keys of NEW rows and mark these IMPORTED. Conflict(taken) when a DevEUI is taken by now.

    Runs in the caller's transaction; the caller has checked the permission, and has the owner tokens adopted. Imported
    keys are ACTIVE at once, as import_keys makes them; keys made here wait for their hand-over.
    """
    with validation.unique(taken):
        adapters = Adapter.objects.bulk_create([_adapter(batch, row) for row in rows], batch_size=len(rows))
        keys = [key for adapter, row in zip(adapters, rows, strict=True) for key in _keys(batch, adapter, row)]
        DeviceKey.objects.bulk_create(keys, batch_size=1000)
    marked = BatchRow.objects.filter(pk__in=[row.pk for row in rows], state=BatchRow.State.NEW).update(
        state=BatchRow.State.IMPORTED, sealed=b""
    )
    if marked != len(rows):
        raise Conflict("Another worker imports this batch.")
    if batch.concentrator_id is not None:
        devices_changed(batch.concentrator_id, [row.dev_eui for row in rows])
    return Imported(rows[0].line, rows[-1].line, len(adapters), len(keys), _digest(rows))


def _adapter(batch: Batch, row: BatchRow) -> Adapter:
    values = row.values
    return Adapter(
        organisation_id=batch.organisation_id,
        site_id=batch.site_id,
        concentrator_id=batch.concentrator_id,
        dev_eui=str(DevEUI.parse(row.dev_eui)),
        join_eui=str(JoinEUI.parse(values["join_eui"])),
        serial=values.get("serial", ""),
        location=values.get("location", ""),
        kind=values.get("kind", Adapter.Kind.METERSPAN),
        lorawan=values.get("lorawan", Adapter.LoRaWAN.V1_0_4),
    )


def _keys(batch: Batch, adapter: Adapter, row: BatchRow) -> list[DeviceKey]:
    now, sealed = timezone.now(), bytes(row.sealed)
    newest = {key["purpose"]: key["version"] for key in row.keys}
    made = []
    for at, key in enumerate(row.keys):
        made.append(
            DeviceKey(
                organisation_id=batch.organisation_id,
                adapter=adapter,
                purpose=key["purpose"],
                partner=PARTNER,
                slot=key["slot"],
                version=key["version"],
                state=_state(batch, newest=key["version"] == newest[key["purpose"]]),
                tag_length=key["tag_length"],
                sealed=sealed[at * SEALED_KEY_BYTES : (at + 1) * SEALED_KEY_BYTES],
                intake=True,
                check_value=key["check_value"],
                created_at=now,
                state_at=now,
            )
        )
    return made


def _state(batch: Batch, newest: bool) -> KeyState:
    """Only one key of a purpose is active; the others still open what comes under them."""
    if batch.source == Batch.Source.GENERATED:
        return KeyState.GENERATED
    return KeyState.ACTIVE if newest else KeyState.RETIRING


def _digest(rows: Sequence[BatchRow]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        checks = ",".join(key["check_value"] for key in row.keys)
        digest.update(f"{row.line}:{row.dev_eui}:{checks}\n".encode())
    return digest.hexdigest()[:32]
