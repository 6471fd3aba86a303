"""What became of a delivery, as the bridge hears it: answered, heard, failed. Each step is a conditional update."""

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, Max, OuterRef, Q

from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.campaigns.models import Delivery, Notice, Partner
from provisioning.campaigns.places import HEARD, WAITING
from provisioning.campaigns.reasons import NOT_ANSWERED, NOT_HEARD, REASONS, WRONG_CHECK_VALUE
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.services.lifecycle import make_active, make_revoked

BRIDGE: Final = System("bridge")
TRIAL: Final = timedelta(hours=48)  # longer than an adapter tries a key before it goes back to the old one
SILENT: Final = timedelta(days=14)  # of an adapter that was not heard at all since it confirmed
_MARGIN: Final = timedelta(hours=2)  # the use of a key is noted once an hour
_MAX_AT_ONCE: Final = 500
_S = Delivery.State
OPEN = (_S.PLANNED, _S.DELIVERING, _S.CONFIRMED)


def sent(delivery: Delivery, now: datetime, again_at: datetime) -> bool:
    """A message of it was published; unless answered, it is repeated at `again_at`. False when it is over."""
    rows = Delivery.objects.filter(pk=delivery.pk, state=_S.DELIVERING)
    attempts = min(delivery.attempts + 1, 32767)
    return bool(rows.update(attempts=attempts, sent_at=now, due_at=again_at))


def answered(delivery: Delivery, check_value: bytes, now: datetime) -> Delivery:
    """The adapter stored the key with that check value: DELIVERING to CONFIRMED, or FAILED when it is another key.

    Keys that no telegram names, and those that a concentrator agreed on, are ACTIVE at once. A repeated answer
    changes nothing; one that comes after we gave up waiting still counts.
    """
    with audited(delivery.organisation):
        row = _fresh(delivery)
        key = row.key
        if key is None or key.state != KeyState.DELIVERING or row.state not in (_S.DELIVERING, _S.FAILED):
            return row
        if not key.check_value and not key.held:
            key.check_value = check_value.hex()[:6]
            key.save(update_fields=["check_value"])
        elif not hmac.compare_digest(bytes.fromhex(key.check_value), check_value):
            return fail(row, WRONG_CHECK_VALUE, "", now)
        if not _confirm(row, now):
            return row
        if key.purpose not in HEARD or row.campaign.partner == Partner.CONCENTRATOR:
            make_active(BRIDGE, key, "confirmed by the adapter", _grace(row))
            _activate(row, now)
    return _fresh(delivery)


def activated(keys: Iterable[DeviceKey], now: datetime) -> int:
    """Telegrams were heard under these keys, which are ACTIVE now: so are their deliveries; returns how many.

    The keys that they replaced stay for the campaign's time of grace, and the adapters are owed a proof.
    """
    done = 0
    for key in keys:
        rows = Delivery.objects.filter(key_id=key.pk).exclude(state=_S.ACTIVE).order_by("-pk")
        row = rows.select_related("campaign", "organisation", "adapter").first()
        if row is None:
            continue
        with audited(row.organisation):
            if not _activate(row, now):
                continue
            done += 1
            before = DeviceKey.objects.filter(
                adapter_id=key.adapter_id, purpose=key.purpose, partner=key.partner, state=KeyState.RETIRING
            )
            for replaced in before.filter(state_at=before.aggregate(latest=Max("state_at"))["latest"]):
                replaced.grace_until = replaced.state_at + _grace(row)
                replaced.save(update_fields=["grace_until"])
                data = {"until": replaced.grace_until, "campaign": row.campaign_id}
                record(row.organisation, BRIDGE, "key.grace_set", replaced, data)
            Notice.objects.bulk_create(
                [Notice(adapter_id=key.adapter_id, key=key, kind=Notice.Kind.PROOF, due_at=now, state_at=now)],
                ignore_conflicts=True,
            )
    return done


def failed(delivery: Delivery, code: str, message: str, now: datetime, retry_at: datetime | None = None) -> Delivery:
    """It went wrong. With `retry_at` the same message is sent again then; without, it is FAILED until somebody retries.

    A key that the adapter certainly does not hold is revoked; after NOT_ANSWERED it may hold it, so the key goes on
    opening what may come under it, and a retry sends the same message.
    """
    with audited(delivery.organisation):
        row = _fresh(delivery)
        if row.state not in OPEN:
            return row
        if retry_at is None:
            return fail(row, code, message, now)
        Delivery.objects.filter(pk=row.pk, state=row.state).update(
            due_at=retry_at, code=code[:40], message=_sentence(code, message)
        )
    return _fresh(delivery)


def fail(row: Delivery, code: str, message: str, now: datetime) -> Delivery:
    """FAILED for good. The caller holds the chain."""
    row = _fresh(row)
    moved = Delivery.objects.filter(pk=row.pk, state__in=[*OPEN, _S.FAILED]).update(
        state=_S.FAILED, state_at=now, code=code[:40], message=_sentence(code, message), private=b"", slot=None
    )
    if moved:
        key = row.key
        if row.campaign.purpose in WAITING:
            if code != NOT_ANSWERED:  # the same key again, but as a new message: the old one is answered by now
                Delivery.objects.filter(pk=row.pk).update(seq=None)
        elif key is not None and key.state == KeyState.DELIVERING and code != NOT_ANSWERED:
            make_revoked(BRIDGE, key, f"delivery failed: {code}")
            if code != NOT_HEARD:  # it was refused, so the adapter never had it
                DeviceKey.objects.filter(pk=key.pk).update(forgotten_at=now)
        data = {"adapter": row.adapter.dev_eui, "campaign": row.campaign_id, "code": code}
        record(row.organisation, BRIDGE, "delivery.failed", row, data)
    return _fresh(row)


def give_up(now: datetime) -> int:
    """CONFIRMED, but not heard under the new key within TRIAL while the old one went on: FAILED; returns how many.

    The new key is revoked and the adapter is told to forget it; it went back to the old one by itself. An adapter
    that was not heard at all is waited for, up to SILENT.
    """
    rows = Delivery.objects.filter(state=_S.CONFIRMED, state_at__lt=now - TRIAL, key__state=KeyState.DELIVERING)
    rows = rows.filter(Q(key__not_before=None) | Q(key__not_before__lt=now - TRIAL))
    went_on = DeviceKey.objects.filter(
        adapter=OuterRef("adapter"), purpose=OuterRef("key__purpose"), state=KeyState.ACTIVE,
        last_used_at__gt=ExpressionWrapper(OuterRef("state_at") + _MARGIN, DateTimeField()),
    )  # fmt: skip
    rows = rows.filter(Q(state_at__lte=now - SILENT) | Exists(went_on))
    count = 0
    for row in rows.select_related("organisation").order_by("state_at")[:_MAX_AT_ONCE]:
        with audited(row.organisation):
            count += fail(row, NOT_HEARD, "", now).state == _S.FAILED
    return count


def _confirm(row: Delivery, now: datetime) -> bool:
    try:
        with transaction.atomic():
            return bool(
                Delivery.objects.filter(pk=row.pk, state=row.state).update(
                    state=_S.CONFIRMED, state_at=now, private=b"", code="", message=""
                )
            )
    except IntegrityError:
        return False  # a late answer, while the next delivery is under way


def _activate(row: Delivery, now: datetime) -> bool:
    rows = Delivery.objects.filter(pk=row.pk).exclude(state__in=[_S.ACTIVE, _S.PLANNED])
    return bool(rows.update(state=_S.ACTIVE, state_at=now, private=b"", code="", message=""))


def _fresh(row: Delivery) -> Delivery:
    related = Delivery.objects.select_related("campaign", "organisation", "adapter", "concentrator", "key")
    return related.get(pk=row.pk)


def _grace(row: Delivery) -> timedelta:
    return timedelta(hours=row.campaign.grace_hours)


def _sentence(code: str, message: str) -> str:
    return (message or str(REASONS.get(code, "")))[:300]
