"""What adapters are owed besides keys: the proof that a new key was heard, and the order to forget a revoked one.

For the bridge. A notice is a request on port 34 like a delivery: one at a time, and every repetition the same message.
"""

from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.campaigns.models import Delivery, Notice
from provisioning.campaigns.places import CODES, HEARD
from provisioning.campaigns.services.sequences import SequenceUsedUp, next_seq
from provisioning.keys.models import DeviceKey, KeyState, Purpose

BRIDGE: Final = System("bridge")
AGAIN: Final = timedelta(days=1)  # a revocation that failed is tried again after that
MAX_AT_ONCE: Final = 500
_N = Notice.State
_USED = (KeyState.DELIVERING, KeyState.ACTIVE)


def owe_revocations(now: datetime) -> int:
    """Owe a revocation for every revoked key that its adapter may still hold; returns how many were new."""
    sibling = DeviceKey.objects.filter(
        adapter=OuterRef("adapter"), purpose=OuterRef("purpose"), partner=OuterRef("partner"), state__in=_USED
    )
    transport = DeviceKey.objects.filter(
        adapter=OuterRef("adapter"), purpose=Purpose.TRANSPORT, partner="portal", state=KeyState.ACTIVE
    )
    tried = Notice.objects.filter(key=OuterRef("pk"), kind=Notice.Kind.REVOKE).exclude(
        state=_N.FAILED, state_at__lt=now - AGAIN
    )
    rows = DeviceKey.objects.filter(
        ~Exists(tried), Exists(transport), state=KeyState.REVOKED, forgotten_at=None, purpose__in=list(CODES),
        adapter__revoked_at=None, adapter__archived_at=None,
    )  # fmt: skip
    # A key without a slot stands in one place with its successor: revoking it there would erase the new one.
    rows = rows.filter(Q(slot__isnull=False) | ~Exists(sibling)).exclude(purpose=Purpose.TRANSPORT)
    owed = [
        Notice(adapter_id=adapter, key_id=key, kind=Notice.Kind.REVOKE, due_at=now, state_at=now)
        for key, adapter in rows.order_by("state_at", "pk").values_list("pk", "adapter_id")[:MAX_AT_ONCE]
    ]
    Notice.objects.bulk_create(owed, ignore_conflicts=True)
    return len(owed)


def owe_proof(key: DeviceKey, now: datetime) -> None:
    """Owe the proof for an active key again, as when the adapter fell back to the old one."""
    if key.state == KeyState.ACTIVE and key.purpose in HEARD:
        notice = Notice(adapter_id=key.adapter_id, key=key, kind=Notice.Kind.PROOF, due_at=now, state_at=now)
        Notice.objects.bulk_create([notice], ignore_conflicts=True)


def notices_due(now: datetime, limit: int) -> list[int]:
    """Notices to send or repeat now, where nothing else is under way to the adapter and its concentrator is online."""
    delivering = Delivery.objects.filter(adapter=OuterRef("adapter"), state=Delivery.State.DELIVERING)
    sending = Notice.objects.filter(adapter=OuterRef("adapter"), state=_N.SENDING)
    rows = Notice.objects.filter(
        due_at__lte=now, adapter__revoked_at=None, adapter__archived_at=None,
        adapter__concentrator__online=True, adapter__concentrator__revoked_at=None,
    )  # fmt: skip
    repeated = Q(state=_N.SENDING)
    new = Q(state=_N.WAITING) & ~Exists(sending)
    rows = rows.filter(~Exists(delivering)).filter(repeated | new)
    found: dict[int, int] = {}
    for pk, adapter in rows.order_by("due_at", "pk").values_list("pk", "adapter_id")[: 4 * limit]:
        found.setdefault(adapter, pk)
    return list(found.values())[:limit]


def begin_notice(notice_pk: int, now: datetime) -> Notice | None:
    """The notice with its sequence number, ready to be sent; None when it is over or another is under way.

    A proof of a key that is no longer active, and a revocation of one that came into use, are dropped.
    """
    row = Notice.objects.select_related("adapter", "key__organisation").filter(pk=notice_pk).first()
    if row is None or row.state not in (_N.WAITING, _N.SENDING):
        return None
    wanted = KeyState.ACTIVE if row.kind == Notice.Kind.PROOF else KeyState.REVOKED
    if row.key.state != wanted:
        _end(row, _N.DONE, "no_longer_needed", now)
        return None
    if row.state == _N.SENDING:
        return row
    try:
        with transaction.atomic():
            row.seq = next_seq(row.adapter)
            if not Notice.objects.filter(pk=row.pk, state=_N.WAITING).update(
                state=_N.SENDING, seq=row.seq, state_at=now
            ):
                return None
    except SequenceUsedUp as error:
        _end(row, _N.FAILED, error.code, now)
        return None
    except IntegrityError:
        return None  # another one was quicker
    row.state, row.state_at = _N.SENDING, now
    return row


def notice_sent(notice: Notice, now: datetime, again_at: datetime) -> bool:
    """It was published; unless answered, it is repeated at `again_at`. False when it is over."""
    attempts = min(notice.attempts + 1, 32767)
    rows = Notice.objects.filter(pk=notice.pk, state=_N.SENDING)
    return bool(rows.update(attempts=attempts, sent_at=now, due_at=again_at))


def notice_answered(notice: Notice, now: datetime) -> bool:
    """The adapter has done it: a revoked key is forgotten there, so its slot can serve again. False: it was known."""
    with audited(notice.key.organisation):
        if not _end(notice, _N.DONE, "", now):
            return False
        if notice.kind == Notice.Kind.REVOKE:
            DeviceKey.objects.filter(pk=notice.key_id, forgotten_at=None).update(forgotten_at=now)
            data = {"adapter": notice.adapter.dev_eui, "slot": notice.key.slot, "version": notice.key.version}
            record(notice.key.organisation, BRIDGE, "key.forgotten", notice.key, data)
    return True


def notice_failed(notice: Notice, code: str, now: datetime) -> bool:
    """No answer, or a refusal. A revocation is owed anew after AGAIN; a proof when the adapter falls back."""
    return _end(notice, _N.FAILED, code[:40], now)


def _end(row: Notice, state: _N, code: str, now: datetime) -> bool:
    rows = Notice.objects.filter(pk=row.pk, state__in=[_N.WAITING, _N.SENDING])
    return bool(rows.update(state=state, code=code, state_at=now))
