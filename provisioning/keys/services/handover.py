"""The key file with which an adapter is provisioned: the one way in which keys leave the vault in clear."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.services.lifecycle import make_active, step
from provisioning.keys.vault import Vault

_UNDELIVERED = (KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING)


@dataclass(frozen=True)
class KeyFile:
    """The content for `adapter-agent provision --keys`; clear keys, so it hides itself and belongs into mode 0600."""

    dev_eui: str
    content: bytes = field(repr=False)


def hand_over(actor: Actor, adapter: Adapter, vault: Vault, reason: str) -> KeyFile:
    """Root key, undelivered inner keys and keys for what port 34 and its meters bring, as JSON. The inner keys are then
    being delivered and become active with the first telegram heard under them; all others serve at once.

    An inner key that was heard is never handed over again: a second device, or one that lost its counter, would seal
    under counters that were used. Conflict when there is nothing to hand over. Needs keys.reveal.
    """
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.reveal")
    reason = validation.text("reason", reason, 200, required=True)
    if adapter.kind != Adapter.Kind.METERSPAN:
        raise Invalid("adapter", _("A foreign device brings its own keys."))
    with audited(adapter.organisation):
        validation.present(adapter)
        root = _root(adapter)
        inner = list(
            DeviceKey.objects.filter(adapter=adapter, purpose=Purpose.INNER, state__in=_UNDELIVERED).order_by("slot")
        )
        if not inner:
            raise Conflict(_("This adapter has no inner key that waits for delivery; issue one first."))
        content = {
            "dev_eui": adapter.dev_eui,
            "join_eui": adapter.join_eui,
            "root_key": vault.open(root).reveal().hex(),
            "inner_keys": [_inner(row, vault) for row in inner],
        }
        others = _others(adapter)
        for name, purpose, entry in (
            ("transport_keys", Purpose.TRANSPORT, _transport),
            ("meter_keys", Purpose.METER, _meter),
        ):
            if rows := [row for row in others if row.purpose == purpose]:
                content[name] = [entry(row, vault) for row in rows]
        told = root.state != KeyState.ACTIVE
        for row in (root, *others):
            if row.state != KeyState.ACTIVE:
                make_active(actor, row, "handed over", told=told and row is not root)
        for row in inner:
            step(actor, row, KeyState.DELIVERING, reason="handed over")
        data = {
            "reason": reason,
            "root": root.check_value,
            "inner": [row.check_value for row in inner],
            "others": [row.check_value for row in others],
        }
        record(adapter.organisation, actor, "key.handed_over", adapter, data)
    return KeyFile(adapter.dev_eui, json.dumps(content, indent=2).encode() + b"\n")


def _root(adapter: Adapter) -> DeviceKey:
    """The newest root key that waits for delivery, else the active one."""
    rows = DeviceKey.objects.filter(adapter=adapter, purpose=Purpose.ROOT)
    root = (
        rows.filter(state__in=_UNDELIVERED).order_by("-version").first() or rows.filter(state=KeyState.ACTIVE).first()
    )
    if root is None:
        raise Conflict(_("This adapter has no LoRaWAN root key; issue one first."))
    return root


def _others(adapter: Adapter) -> list[DeviceKey]:
    """Per partner the newest transport key and key of a meter that waits for delivery, else the active one."""
    rows = DeviceKey.objects.filter(
        adapter=adapter, purpose__in=[Purpose.TRANSPORT, Purpose.METER], state__in=[*_UNDELIVERED, KeyState.ACTIVE]
    )
    newest: dict[tuple[str, str], DeviceKey] = {}
    for row in rows.order_by("purpose", "partner", "version"):
        newest[row.purpose, row.partner] = row
    return list(newest.values())


def _transport(row: DeviceKey, vault: Vault) -> dict[str, Any]:
    return {"partner": row.partner, "key": vault.open(row).reveal().hex()}


def _meter(row: DeviceKey, vault: Vault) -> dict[str, Any]:
    return {"input": int(row.partner.removeprefix("input ")), "key": vault.open(row).reveal().hex()}


def _inner(row: DeviceKey, vault: Vault) -> dict[str, Any]:
    return {
        "slot": row.slot,
        "key": vault.open(row).reveal().hex(),
        "tag_length": row.tag_length,
        "purpose": row.purpose,
        "partner": row.partner,
        "not_before": _iso(row.not_before),
        "not_after": _iso(row.not_after),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
