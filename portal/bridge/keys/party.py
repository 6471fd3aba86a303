"""Keys as a party of port 34: whose turn it is, what is repeated, and when it is given up."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from meterwire.errors import AuthenticationError
from meterwire.key_messages import MESSAGES, decode
from meterwire.messages import DownlinkCommand, Receipt
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
        for pk in services.due(now, AT_ONCE):
            services.begin(pk, now, self._vault)
        found = [*self._deliveries(now), *self._notices(now)]
        if self._resealed_at is None or not timedelta() <= now - self._resealed_at < RESEAL_EVERY:
            self._resealed_at = now
            reseal_step(self._vault, RESEAL_AT_ONCE)
        return found

    def receipt(self, eui: str, receipt: Receipt) -> None:
        for result in receipt.results:
            if result.code is not None and result.id in self._sent:
                self._refused[result.id] = result.code

    def _deliveries(self, now: datetime) -> Iterator[tuple[str, DownlinkCommand]]:
        related = Delivery.objects.select_related("campaign", "organisation", "adapter__concentrator", "key")
        for pk in services.unanswered(now, AT_ONCE):
            row = related.get(pk=pk)
            if row.adapter.concentrator is None:
                continue
            if row.attempts >= MAX_ATTEMPTS:
                services.failed(row, NOT_ANSWERED, "", now)
                continue
            try:
                request, transport = outgoing.request_for(row, self._vault)
            except KeyDamaged as error:
                services.failed(row, "key_lost", str(error), now)
                continue
            again = now + outgoing.patience(row.adapter)
            name = f"delivery {row.pk} {row.seq} {request.type} {row.attempts}"
            message = outgoing.command(row.adapter, request, transport, name=name, at=row.due_at, until=again)
            if services.sent(row, now, again):
                self._remember(message.id, row.pk)
                yield row.adapter.concentrator.eui, message

    def _notices(self, now: datetime) -> Iterator[tuple[str, DownlinkCommand]]:
        for pk in services.notices_due(now, AT_ONCE):
            row = services.begin_notice(pk, now)
            if row is None or row.adapter.concentrator is None:
                continue
            if row.attempts >= MAX_ATTEMPTS:
                services.notice_failed(row, NOT_ANSWERED, now)
                continue
            try:
                transport = transport_key(row.adapter, self._vault)
            except KeyDamaged:
                services.notice_failed(row, "no_transport_key", now)
                continue
            again, name = now + outgoing.patience(row.adapter), f"notice {row.pk} {row.seq} {row.attempts}"
            request = outgoing.for_notice(row)
            message = outgoing.command(row.adapter, request, transport, name=name, at=row.due_at, until=again)
            if services.notice_sent(row, now, again):
                yield row.adapter.concentrator.eui, message

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
