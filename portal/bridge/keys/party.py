"""Keys as a party of port 34: whose turn it is, what is repeated, and when it is given up."""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from meterwire.errors import AuthenticationError
from meterwire.key_messages import MESSAGES, decode
from meterwire.messages import DownlinkCommand, Receipt
from portal.bridge import key_aside
from portal.bridge.key_port import one_by_one
from portal.bridge.keys import incoming, outgoing
from portal.bridge.keys.transport import PORTAL, authenticate, transport_key
from portal.bridge.models import KeyMail
from portal.bridge.partner_keys import overheard
from portal.telemetry.services import note_event
from provisioning.campaigns import services
from provisioning.campaigns.models import Delivery
from provisioning.campaigns.reasons import NOT_ANSWERED
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.services import reseal_step
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)

AT_ONCE: Final = 50  # new deliveries, repetitions and notices in one turn
MAX_ATTEMPTS: Final = 5
FORGED: Final = "key_message"
RESEAL_AT_ONCE: Final = 500
RESEAL_EVERY: Final = timedelta(minutes=1)
MAX_REMEMBERED: Final = 20_000


class Keys:
    """A `Party`. Holds the vault; opens keys only to send or to judge a message."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._resealed_at: datetime | None = None
        self._sent: dict[str, int] = {}  # deliveries by command
        self._refused: dict[str, str] = {}

    def takes(self, kind: int) -> bool:
        return kind in MESSAGES

    def take(self, mail: KeyMail, now: datetime) -> None:
        payload = bytes(mail.payload)
        message = decode(payload, up=True)
        try:
            partner = authenticate(mail.adapter, payload, self._vault)
        except AuthenticationError as error:
            # Noted, not raised: the note is part of the transaction.
            log.warning("%s", error, extra={"adapter": mail.adapter.dev_eui})
            detail = {"type": f"0x{payload[0]:02x}"}
            note_event(mail.adapter, "security", FORGED, detail, at=mail.received_at, once=mail.pk)
            return
        if partner != PORTAL:
            overheard(mail.adapter, partner, message)
            return
        incoming.take(mail.adapter, message, now, self._vault)

    def due(self, now: datetime) -> list[tuple[str, DownlinkCommand]]:
        self._note_refusals(now)
        later, drop = partial(key_aside.later, now=now), partial(key_aside.drop, now=now)
        list(one_by_one(services.due(now, AT_ONCE), partial(self._begin, now=now), later))
        found = list(one_by_one(services.unanswered(now, AT_ONCE), partial(self._delivery, now=now), later))
        found += one_by_one(services.notices_due(now, AT_ONCE), partial(self._notice, now=now), drop)
        if self._resealed_at is None or not timedelta() <= now - self._resealed_at < RESEAL_EVERY:
            self._resealed_at = now
            reseal_step(self._vault, RESEAL_AT_ONCE)
        return found

    def receipt(self, eui: str, receipt: Receipt) -> None:
        for result in receipt.results:
            if result.code is not None and result.id in self._sent:
                self._refused[result.id] = result.code

    def _begin(self, pk: int, now: datetime) -> None:
        services.begin(pk, now, self._vault)

    def _delivery(self, pk: int, now: datetime) -> tuple[str, DownlinkCommand] | None:
        """The request of a delivery under way; None when it is over now, or nobody serves the adapter."""
        row = Delivery.objects.select_related("campaign", "organisation", "adapter__concentrator", "key").get(pk=pk)
        if row.adapter.concentrator is None:
            return None
        if row.attempts >= MAX_ATTEMPTS:
            services.failed(row, NOT_ANSWERED, "", now)
            return None
        try:
            request, transport = outgoing.request_for(row, self._vault)
        except KeyDamaged as error:
            services.failed(row, "key_lost", str(error), now)
            return None
        again = now + outgoing.patience(row.adapter)
        name = f"delivery {row.pk} {row.seq} {request.type} {row.attempts}"
        message = outgoing.command(row.adapter, request, transport, name=name, at=row.due_at, until=again)
        if not services.sent(row, now, again):
            return None
        self._remember(message.id, row.pk)
        return row.adapter.concentrator.eui, message

    def _notice(self, pk: int, now: datetime) -> tuple[str, DownlinkCommand] | None:
        row = services.begin_notice(pk, now)
        if row is None or row.adapter.concentrator is None:
            return None
        if row.attempts >= MAX_ATTEMPTS:
            services.notice_failed(row, NOT_ANSWERED, now)
            return None
        try:
            transport = transport_key(row.adapter, self._vault)
        except KeyDamaged:
            services.notice_failed(row, "no_transport_key", now)
            return None
        again, name = now + outgoing.patience(row.adapter), f"notice {row.pk} {row.seq} {row.attempts}"
        request = outgoing.for_notice(row)
        message = outgoing.command(row.adapter, request, transport, name=name, at=row.due_at, until=again)
        return (row.adapter.concentrator.eui, message) if services.notice_sent(row, now, again) else None

    def _note_refusals(self, now: datetime) -> None:
        """A message that a concentrator does not take goes out again with the next repetition; people see why."""
        while self._refused:
            command, code = self._refused.popitem()
            row = Delivery.objects.select_related("organisation").filter(pk=self._sent.pop(command, 0)).first()
            if row is not None and row.state == Delivery.State.DELIVERING:
                services.failed(row, code, f"The concentrator did not take the message: {code}.", now, row.due_at)

    def _remember(self, command: str, delivery: int) -> None:
        if len(self._sent) >= MAX_REMEMBERED:
            self._sent.clear()
        self._sent[command] = delivery
