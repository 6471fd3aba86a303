"""What adapters answer and report on port 34. Everything here may be heard twice, and late."""

import logging
from datetime import datetime
from typing import Final

from django.db.models import QuerySet

from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import (
    DeliveryAnswer,
    ExchangeAnswer,
    ExchangeResult,
    KeyPurpose,
    KeyReport,
    Message,
    Place,
    Result,
    RevokeAnswer,
)
from provisioning.accounts.actors import System
from provisioning.campaigns import services
from provisioning.campaigns.models import Campaign, Delivery, Notice
from provisioning.campaigns.places import place_of, place_of_key
from provisioning.errors import Conflict
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)

BRIDGE: Final = System("bridge")
PORTAL: Final = "portal"
OLD_SEQUENCE: Final = "old_sequence"
CODES: Final = {
    Result.WRONG_CHECK_VALUE: "wrong_check_value",
    Result.SLOT_TAKEN: "slot_taken",
    Result.VALIDITY_OVER: "validity_over",
    Result.CANNOT_BE_STORED: "cannot_be_stored",
    Result.PURPOSE_UNKNOWN: "purpose_unknown",
    Result.OLD_SEQUENCE: OLD_SEQUENCE,
    Result.CURVE_UNKNOWN: "curve_unknown",
}


def take(adapter: Adapter, message: Message, now: datetime, vault: Vault) -> None:
    """Act on an authentic message of `adapter`."""
    match message:
        case DeliveryAnswer() | ExchangeResult():
            _result(adapter, message, now)
        case ExchangeAnswer():
            _agree(adapter, message, now, vault)
        case RevokeAnswer():
            _told(adapter, message.seq, message.place, message.result, now)
        case KeyReport():
            _report(adapter, message, now)


def _result(adapter: Adapter, message: DeliveryAnswer | ExchangeResult, now: datetime) -> None:
    delivery = _delivery(adapter, message.seq, message.place)
    if delivery is None:
        _told(adapter, message.seq, message.place, message.result, now)
    elif message.result is Result.STORED:
        done = services.answered(delivery, message.check, now)
        if message.place.purpose is KeyPurpose.TRANSPORT and done.state == Delivery.State.ACTIVE:
            _use_it(adapter, now)
    elif delivery.state == Delivery.State.DELIVERING:
        services.failed(delivery, CODES[message.result], "", now)


def _use_it(adapter: Adapter, now: datetime) -> None:
    """An adapter goes on under its old key-transport key until a request comes under the new one: here is one."""
    active = _active_inner(adapter)
    if active is not None:
        services.owe_proof(active, now)


def _agree(adapter: Adapter, message: ExchangeAnswer, now: datetime, vault: Vault) -> None:
    delivery = _delivery(adapter, message.seq, message.place)
    if delivery is None or delivery.state != Delivery.State.DELIVERING or not delivery.private:
        return  # the answer again, or too late; what is under way is repeated by itself
    private = services.ephemeral(delivery, vault)
    try:
        key = agreed_key(
            private,
            message.public,
            initiator=private.public,
            responder=message.public,
            dev_eui=DevEUI.parse(adapter.dev_eui),
            place=message.place,
            seq=message.seq,
        )
    except ValueOutOfRange as error:
        services.failed(delivery, "curve_unknown", str(error), now)
        return
    try:
        services.agreed(delivery, key, now, vault)
    except Conflict as error:
        log.info("an exchange came to nothing: %s", error, extra={"adapter": adapter.dev_eui, "seq": message.seq})


def _told(adapter: Adapter, seq: int, place: Place, result: Result, now: datetime) -> None:
    """An answer to a notice."""
    rows = Notice.objects.filter(adapter=adapter, seq=seq, state=Notice.State.SENDING)
    notice = rows.select_related("adapter", "key__organisation", "key__adapter").first()
    if notice is None or place_of_key(notice.key) != place:
        return
    if result is Result.STORED:
        services.notice_answered(notice, now)
    else:
        services.notice_failed(notice, CODES[result], now)


def _report(adapter: Adapter, report: KeyReport, now: datetime) -> None:
    """What the adapter's key memory holds: makes good for answers that were lost, and tells a fall-back."""
    services.seen_seq(adapter, PORTAL, report.seq)
    held = {key.place: key.check for key in report.keys}
    for delivery in _deliveries(adapter).filter(state=Delivery.State.DELIVERING, key__isnull=False):
        if delivery.key is not None and held.get(place_of(delivery)) == bytes.fromhex(delivery.key.check_value):
            services.answered(delivery, held[place_of(delivery)], now)
    _begin_again(adapter, report.seq)
    sealing = next((key for key in report.keys if key.place.purpose is KeyPurpose.INNER), None)
    active = _active_inner(adapter)
    if sealing is None or active is None or not active.check_value:
        return
    check = bytes.fromhex(active.check_value)
    if sealing.check != check and held.get(place_of_key(active)) == check:
        services.owe_proof(active, now)


def _active_inner(adapter: Adapter) -> DeviceKey | None:
    return DeviceKey.objects.filter(
        adapter=adapter, purpose=Purpose.INNER, partner=PORTAL, state=KeyState.ACTIVE
    ).first()


def _begin_again(adapter: Adapter, seq: int) -> None:
    """After a restored backup our numbers may be behind: what failed for that is sent again with a higher one."""
    rows = _deliveries(adapter).filter(state=Delivery.State.FAILED, code=OLD_SEQUENCE, seq__lte=seq)
    for delivery in rows.exclude(campaign__state=Campaign.State.CANCELLED):
        services.retry(BRIDGE, delivery)


def _delivery(adapter: Adapter, seq: int, place: Place) -> Delivery | None:
    """The latest one with that number and place that an answer can still change."""
    rows = _deliveries(adapter).filter(seq=seq, state__in=[Delivery.State.DELIVERING, Delivery.State.FAILED])
    return next((row for row in rows.order_by("-pk") if row.partner == PORTAL and place_of(row) == place), None)


def _deliveries(adapter: Adapter) -> QuerySet[Delivery]:
    return Delivery.objects.filter(adapter=adapter).select_related(
        "campaign", "organisation", "adapter", "concentrator", "key"
    )
