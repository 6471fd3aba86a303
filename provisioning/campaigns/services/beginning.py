"""Begins a delivery: takes a slot and a sequence number, and makes the key or one half of its agreement.

For the bridge, which holds the vault. What happens here is one transaction: a crash leaves the delivery planned.
"""

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from meterwire.curves import ENTROPY_BYTES, Curve, PrivateKey
from meterwire.keymemory import SLOTS
from meterwire.seal import InnerKey, Key16
from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.campaigns.eligibility import candidates
from provisioning.campaigns.models import Campaign, Delivery, Method, Partner
from provisioning.campaigns.places import WAITING
from provisioning.campaigns.reasons import NO_SLOT, SLOT_TAKEN
from provisioning.campaigns.services.outcomes import fail
from provisioning.campaigns.services.sequences import SequenceUsedUp, next_seq
from provisioning.errors import Conflict
from provisioning.fleet.models import Adapter
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import SLOTTED, DeviceKey, KeyState, Purpose
from provisioning.keys.resealing import waiting
from provisioning.keys.services.issue import NewKey, reserve, store
from provisioning.keys.services.lifecycle import make_destroyed, step
from provisioning.keys.vault import Vault

BRIDGE: Final = System("bridge")
_UNSENT = frozenset({KeyState.GENERATED, KeyState.IMPORTED})


def begin(delivery_pk: int, now: datetime, vault: Vault) -> Delivery | None:
    """PLANNED to DELIVERING; None when it is not planned any more, its campaign rests, or another one is under way.

    Delivery: `key` is then a key in state DELIVERING. Exchange with the portal: `public` and the sealed `private` are
    ours (`ephemeral` opens it), `slot` is reserved; the key comes with `agreed`. Exchange with the concentrator: `key`
    has no value here. What cannot be done any more becomes FAILED and is returned as such.
    """
    row = (
        Delivery.objects.select_related("campaign", "organisation", "adapter__concentrator", "key")
        .filter(pk=delivery_pk, state=Delivery.State.PLANNED, campaign__state=Campaign.State.RUNNING)
        .first()
    )
    if row is None:
        return None
    with audited(row.organisation):
        if not _claim(row, now):
            return None
        item = candidates(row.campaign, Adapter.objects.filter(pk=row.adapter_id), busy=False)[0]
        if item.obstacle:
            return fail(row, item.obstacle, "", now)
        row.concentrator = row.adapter.concentrator
        try:
            with transaction.atomic():
                _prepare(row, now, vault)
                row.save()
        except SequenceUsedUp as error:
            return fail(row, error.code, str(error), now)
        except KeyDamaged as error:
            return fail(row, "key_lost", str(error), now)
        except Conflict as error:
            return fail(row, "no_waiting_key" if row.campaign.purpose in WAITING else NO_SLOT, str(error), now)
    return row


def ephemeral(delivery: Delivery, vault: Vault) -> PrivateKey:
    """Our half of an exchange under way. KeyDamaged when it is over, or the row was copied."""
    if not delivery.private:
        raise KeyDamaged("The exchange is over: its ephemeral key is gone. Begin a new one.")
    octets = vault.open_secret(bytes(delivery.private), private_place(delivery), delivery.organisation_id)
    return PrivateKey(Curve(delivery.campaign.curve), octets)


def _claim(row: Delivery, now: datetime) -> bool:
    try:
        with transaction.atomic():
            moved = Delivery.objects.filter(
                pk=row.pk, state=Delivery.State.PLANNED, campaign__state=Campaign.State.RUNNING
            ).update(state=Delivery.State.DELIVERING, state_at=now, begun_at=now)
    except IntegrityError:
        return False  # another delivery to this adapter is under way
    row.state, row.state_at, row.begun_at = Delivery.State.DELIVERING, now, now
    row.attempts, row.sent_at, row.due_at, row.code, row.message = 0, None, now, "", ""
    return bool(moved)


def _prepare(row: Delivery, now: datetime, vault: Vault) -> None:
    key = row.key
    if key is not None and key.state == KeyState.DELIVERING and row.seq is not None:
        return  # tried again: the adapter may hold it, so it gets the very same message
    if key is not None and (key.state in _UNSENT or key.state == KeyState.DELIVERING):
        vault.open(key)
        row.seq = next_seq(row.adapter, row.partner)
        step(BRIDGE, key, KeyState.DELIVERING, reason=_reason(row))
        return
    if row.campaign.purpose in WAITING:
        raise Conflict("The key that waited is gone; import or issue another one.")
    row.key, row.private, row.public, row.slot = None, b"", "", None
    row.tag_length = _tag_length(row)
    slot = _slot(row.adapter) if row.campaign.purpose in SLOTTED else None
    row.seq = next_seq(row.adapter, row.partner)
    if row.campaign.method == Method.DELIVERY:
        row.key = _made(row, slot, now, vault)
    elif row.campaign.partner == Partner.CONCENTRATOR:
        assert slot is not None
        row.key = reserve(
            BRIDGE, row.adapter, row.partner, slot=slot, tag_length=row.tag_length, not_after=_not_after(row, now)
        )
    else:
        _offer(row, slot, vault)


def _made(row: Delivery, slot: int | None, now: datetime, vault: Vault) -> DeviceKey:
    new = NewKey(
        row.campaign.purpose,
        InnerKey(secrets.token_bytes(16), row.tag_length),
        slot=slot,
        tag_length=row.tag_length,
        not_after=_not_after(row, now),
    )
    key = store(BRIDGE, row.adapter, [new], KeyState.GENERATED, "key.issued", safe=vault)[0]
    step(BRIDGE, key, KeyState.DELIVERING, reason=_reason(row))
    return key


def _offer(row: Delivery, slot: int | None, vault: Vault) -> None:
    private = PrivateKey.generate(Curve(row.campaign.curve), secrets.token_bytes(ENTROPY_BYTES))
    row.slot, row.public = slot, private.public.octets.hex()
    row.private = vault.seal_secret(private.reveal(), private_place(row), row.organisation_id)
    data = {"adapter": row.adapter.dev_eui, "slot": slot, "curve": row.campaign.curve, "campaign": row.campaign_id}
    record(row.organisation, BRIDGE, "delivery.offered", row, data)


def agreed(delivery: Delivery, key: InnerKey, now: datetime, vault: Vault) -> Delivery:
    """The adapter has answered our offer: store the agreed key as DELIVERING and forget the ephemeral one.

    Conflict when no offer is under way; a second answer to the same offer changes nothing.
    """
    with audited(delivery.organisation):
        row = Delivery.objects.select_related("campaign", "organisation", "adapter", "key").get(pk=delivery.pk)
        if row.state == Delivery.State.DELIVERING and row.key is not None:
            if vault.open_inner(row.key) == key:
                return row
            raise Conflict("Another key was agreed already; begin a new exchange.")
        if row.state != Delivery.State.DELIVERING or not row.private:
            raise Conflict("No exchange is under way; the answer came too late.")
        new = NewKey(
            row.campaign.purpose, Key16(key.reveal()), slot=row.slot, tag_length=key.tag_length,
            not_after=_not_after(row, now),
        )  # fmt: skip
        try:
            made = store(BRIDGE, row.adapter, [new], KeyState.GENERATED, "key.agreed", safe=vault)[0]
        except Conflict:
            return fail(row, SLOT_TAKEN, "", now)
        step(BRIDGE, made, KeyState.DELIVERING, reason=_reason(row))
        row.key, row.private, row.due_at, row.attempts = made, b"", now, 0
        row.save(update_fields=["key", "private", "due_at", "attempts"])
    return row


def _slot(adapter: Adapter) -> int:
    """A free slot, rather one that the adapter cannot still hold a destroyed key in; else one is made free."""
    rows = DeviceKey.objects.filter(adapter=adapter, slot__isnull=False)
    taken = set(rows.exclude(state=KeyState.DESTROYED).values_list("slot", flat=True))
    doubtful = set(rows.filter(state=KeyState.DESTROYED, forgotten_at=None).values_list("slot", flat=True))
    free = [slot for slot in range(SLOTS) if slot not in taken]
    if free:
        return min(free, key=lambda slot: (slot in doubtful, slot))
    for key in rows.filter(state=KeyState.REVOKED, forgotten_at__isnull=False).order_by("state_at", "pk"):
        if not waiting(key):
            make_destroyed(BRIDGE, key, "its slot is needed")
            assert key.slot is not None
            return key.slot
    raise Conflict("No key slot is free.")


def _tag_length(row: Delivery) -> int:
    """That of the key in use: the length belongs to the adapter's formats, not to one key."""
    rows = DeviceKey.objects.filter(adapter_id=row.adapter_id, purpose=row.campaign.purpose)
    used = rows.exclude(state=KeyState.DESTROYED).order_by("-state_at").values_list("tag_length", flat=True).first()
    return used or (4 if row.campaign.purpose == Purpose.INNER else 8)


def _not_after(row: Delivery, now: datetime) -> datetime | None:
    days = row.campaign.validity_days
    return None if days is None else now.replace(microsecond=0) + timedelta(days=days)


def _reason(row: Delivery) -> str:
    return f"campaign {row.campaign_id}"


def private_place(row: Delivery) -> bytes:
    """What the sealed ephemeral key is bound to."""
    return f"mspan exchange private v1|{row.adapter_id}|{row.pk}|{row.seq}".encode()
