"""LMN keys for the administrator of a smart-meter gateway [0028]: wrapped file, acknowledgement, then the delivery.

An LMN key serves only when the gateway knows it, so it reaches its adapter after the administrator has it.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.campaigns.models import Campaign, LmnHandover
from provisioning.campaigns.services.planning import start
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Meter
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.recipients import MAX_PAYLOAD, fingerprint, recipient, wrap_for
from provisioning.keys.services.rewrap import content
from provisioning.keys.vault import Vault

MAX_KEYS: Final = 500
FORMAT: Final = "mspan lmn hand-over v1"
_NEW = (KeyState.GENERATED, KeyState.IMPORTED)


def prepare_handover(
    actor: Actor, organisation: Organisation, keys: Sequence[DeviceKey], *, name: str, public_key: str, reason: str
) -> LmnHandover:
    """A hand-over of LMN keys that nobody uses yet to `name`, whose public key or certificate (PEM) wraps the file.

    Compare its fingerprint with the recipient before the file is made. Needs keys.rotate in the whole organisation.
    """
    require_at(actor, organisation, None, "keys.rotate")
    name = validation.text("name", name, 120, required=True)
    reason = validation.text("reason", reason, 200, required=True)
    print_of = fingerprint(recipient(public_key))
    if not 1 <= len(keys) <= MAX_KEYS:
        raise Invalid("keys", _("From 1 to {limit} keys can be handed over at once.").format(limit=MAX_KEYS))
    ids = {key.pk for key in keys}
    with audited(organisation):
        ready = DeviceKey.objects.filter(pk__in=ids, organisation=organisation, purpose=Purpose.LMN, state__in=_NEW)
        if ready.count() != len(ids):
            raise Invalid("keys", _("Only LMN keys of this organisation that are not in use yet can be handed over."))
        if LmnHandover.objects.filter(_open(), keys__in=ids).exists():
            raise Conflict(_("One of these keys is being handed over already; acknowledge or withdraw that first."))
        row = LmnHandover.objects.create(
            organisation=organisation, recipient=name, public_key=public_key, fingerprint=print_of, reason=reason,
            created_by=user_of(actor),
        )  # fmt: skip
        row.keys.set(ids)
        data = {"recipient": name, "fingerprint": print_of, "keys": len(ids), "reason": reason}
        record(organisation, actor, "lmn_handover.prepared", row, data)
    return row


def make_file_here(vault: Vault, actor: Actor, handover: LmnHandover) -> str:
    """The file, in a process that holds a vault; it is kept, for only the recipient can open it. Needs keys.reveal.

    CMS in PEM (keys.recipients); in it JSON: format, organisation, recipient, made_at, and per key the adapter's
    address, its meters and the key. Conflict when it was made already, the hand-over is over, or it is too
    large.
    """
    require_at(actor, handover.organisation_id, None, "keys.reveal")
    with audited(handover.organisation):
        now = timezone.now()
        rows = LmnHandover.objects.filter(_open(), pk=handover.pk, made_at=None)
        if not rows.update(made_at=now, made_by=user_of(actor)):
            raise Conflict(_("This file was made already, or the hand-over was withdrawn; look again."))
        keys = list(handover.keys.select_related("adapter", "organisation").order_by("adapter__dev_eui", "version"))
        if any(key.state not in _NEW for key in keys):
            raise Conflict(
                _("One of these keys was revoked meanwhile; withdraw the hand-over and prepare another one.")
            )
        meters = _meters([key.adapter for key in keys])
        body = {
            "format": FORMAT,
            "organisation": handover.organisation.name,
            "recipient": handover.recipient,
            "made_at": now.isoformat(timespec="seconds"),
            "keys": [{**content(vault, key), "meters": meters.get(key.adapter_id, [])} for key in keys],
        }
        text = json.dumps(body, indent=2).encode() + b"\n"
        if len(text) > MAX_PAYLOAD:
            raise Conflict(
                _(
                    "These keys and their meters do not fit into one file;"
                    " withdraw the hand-over and prepare smaller ones."
                )
            )
        wrapped = wrap_for(recipient(handover.public_key), text)
        LmnHandover.objects.filter(pk=handover.pk).update(content=wrapped)
        data = {"recipient": handover.recipient, "fingerprint": handover.fingerprint}
        facts = {**data, "check_values": [key.check_value for key in keys[:50]], "keys": len(keys)}
        record(handover.organisation, actor, "lmn_handover.made", handover, facts)
    handover.refresh_from_db()
    return wrapped


def download(actor: Actor, handover: LmnHandover) -> str:
    """The file that was made, once more; audited. Needs keys.reveal. Conflict when it was not made yet."""
    require_at(actor, handover.organisation_id, None, "keys.reveal")
    with audited(handover.organisation):
        text = LmnHandover.objects.values_list("content", flat=True).get(pk=handover.pk)
        if not text:
            raise Conflict(_("The file was not made yet."))
        record(handover.organisation, actor, "lmn_handover.downloaded", handover, {"recipient": handover.recipient})
    return text


def acknowledge(actor: Actor, handover: LmnHandover, reason: str, *, per_hour: int = 60) -> Campaign:
    """The recipient has confirmed that the gateway knows the keys (`reason`: how); they are delivered from now on.

    Needs keys.rotate in the whole organisation. Conflict when there is no file, or it was acknowledged or withdrawn.
    """
    require_at(actor, handover.organisation_id, None, "keys.rotate")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(handover.organisation):
        now = timezone.now()
        rows = LmnHandover.objects.filter(_open(), pk=handover.pk, made_at__isnull=False)
        if not rows.update(acknowledged_at=now, acknowledged_by=user_of(actor)):
            raise Conflict(_("Only a file that was made, and neither acknowledged nor withdrawn, can be acknowledged."))
        waiting: dict[int, list[int]] = {}
        for key in handover.keys.filter(state__in=_NEW).order_by("pk"):
            waiting.setdefault(key.adapter_id, []).append(key.pk)
        terms = Campaign(organisation=handover.organisation, purpose=Purpose.LMN, per_hour=per_hour, reason=reason)
        campaign = start(actor, terms, waiting)
        LmnHandover.objects.filter(pk=handover.pk).update(campaign=campaign)
        data = {"recipient": handover.recipient, "reason": reason, "campaign": campaign.pk}
        record(handover.organisation, actor, "lmn_handover.acknowledged", handover, data)
    handover.refresh_from_db()
    return campaign


def withdraw(actor: Actor, handover: LmnHandover, reason: str) -> LmnHandover:
    """Give up a hand-over that was not acknowledged; its keys wait again. Revoke them if the file has gone out."""
    require_at(actor, handover.organisation_id, None, "keys.rotate")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(handover.organisation):
        if not LmnHandover.objects.filter(_open(), pk=handover.pk).update(withdrawn_at=timezone.now()):
            raise Conflict(_("This hand-over was acknowledged or withdrawn already."))
        record(handover.organisation, actor, "lmn_handover.withdrawn", handover, {"reason": reason})
    handover.refresh_from_db()
    return handover


def _open() -> Q:
    return Q(acknowledged_at=None, withdrawn_at=None)


def _meters(adapters: Sequence[Adapter]) -> dict[int, list[dict[str, Any]]]:
    """By adapter the meters that it reads now, as far as it is paired."""
    found: dict[int, list[dict[str, Any]]] = {}
    rows = Meter.objects.filter(
        removed_at=None,
        metering_point__pairings__to_at=None,
        metering_point__pairings__adapter__in={adapter.pk for adapter in adapters},
    )
    for adapter, number, meter, server, point, melo in rows.order_by("meter_id").values_list(
        "metering_point__pairings__adapter", "metering_point__pairings__input", "meter_id", "server_id",
        "metering_point__name", "metering_point__melo_id",
    ):  # fmt: skip
        entry = {"input": number, "meter_id": meter, "server_id": server, "metering_point": point, "melo_id": melo}
        found.setdefault(adapter, []).append(entry)
    return found
