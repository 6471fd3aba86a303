"""What a concentrator reports about itself, as the bridge hears it."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from meterwire.messages import State
from meterwire.transport_key import fingerprint
from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.errors import Invalid
from provisioning.fleet.models import Concentrator
from provisioning.fleet.services.concentrators import checked_key

ANNOUNCE_INTERVAL = timedelta(minutes=1)  # a concentrator that changes its key at every heartbeat fills no audit
MAX_AHEAD = 1_000_000
_MAX_INT, _MAX_BIGINT = 2**31 - 1, 2**63 - 1
_BRIDGE = System("bridge")


def report_state(eui: str, state: State, received_at: datetime) -> Concentrator | None:
    """Store birth, heartbeat or last will of a concentrator; None for one that is not registered.

    The will of an earlier boot changes nothing. A new public key is noted and waits for approval, never used.
    """
    row = Concentrator.objects.filter(eui=eui, archived_at=None).select_related("organisation").first()
    if row is None:
        return None
    news = state.public_key not in (None, row.public_key, row.announced_key)
    with audited(row.organisation) if news else transaction.atomic():
        row = Concentrator.objects.select_for_update().get(pk=row.pk)
        if not state.online and row.boot and row.boot != state.boot:
            return row
        values: dict[str, Any] = _reported(state) if state.online else {"online": False}
        values["last_state_at"] = received_at
        if state.online and state.revision > row.desired_revision:
            values |= _ahead(row, state.revision)
        if state.public_key == row.public_key:
            values["announced_key"] = row.public_key  # a key that had changed is back
        announced = _announced(row, state.public_key, received_at) if news else {}
        _save(row, {**values, **announced})
        if announced:
            data = {"fingerprint": fingerprint(bytes.fromhex(row.announced_key)), "changed": row.key_changed}
            record(row.organisation, _BRIDGE, "concentrator.key_announced", row, data)
    return row


def _reported(state: State) -> dict[str, Any]:
    clock = state.clock
    offset = clock.offset_ms if clock is not None else None
    return {
        "online": True,
        "boot": state.boot,
        "version": state.version[:40],
        "running_revision": min(state.revision, _MAX_BIGINT),
        "devices": _bounded(state.devices, _MAX_INT),
        "mode": state.mode,
        "queue_depth": _bounded(state.queue_depth, _MAX_INT),
        "oldest_age_s": max(0.0, min(state.oldest_age_s, 1e9)),
        "dropped": _bounded(state.dropped, _MAX_BIGINT),
        "clock_quality": clock.quality if clock is not None else "",
        "clock_offset_ms": None if offset is None else max(-1e12, min(offset, 1e12)),
        "gateways": [
            {"gw": gateway.gw, "online": gateway.online, "last_seen": gateway.last_seen} for gateway in state.gateways
        ],
    }


def _ahead(row: Concentrator, running: int) -> dict[str, Any]:
    """The portal was set back (a restored backup): continue above what the concentrator runs, with a whole table."""
    if running > row.desired_revision + MAX_AHEAD:
        return {}
    return {"desired_revision": running + 1, "whole_since": running + 1}


def _announced(row: Concentrator, key: str | None, now: datetime) -> dict[str, Any]:
    if not key or key in (row.public_key, row.announced_key):
        return {}
    if row.announced_at is not None and timedelta(0) <= now - row.announced_at < ANNOUNCE_INTERVAL:
        return {}
    try:
        return {"announced_key": checked_key(key), "announced_at": now}
    except Invalid:
        return {}


def _save(row: Concentrator, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=list(values))


def _bounded(value: int, limit: int) -> int:
    return max(0, min(value, limit))
