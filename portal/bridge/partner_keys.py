"""Campaigns whose keys adapters agree with their concentrator [0087]: orders go out, outcomes come back as events.

The portal never holds these keys. What came of an order is found by the events that are stored, not by what came in,
so a restarted bridge misses none and two bridges find the same.
"""

import logging
import re
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Final

from django.db.models import Q, QuerySet

from meterwire import messages
from meterwire.key_messages import KeyReport, Message
from meterwire.messages import Receipt, RekeyCommand
from portal.bridge import key_aside
from portal.bridge.key_port import one_by_one
from portal.bridge.models import KeyMail
from portal.telemetry.models import AdapterEvent
from provisioning.campaigns import services
from provisioning.campaigns.models import Delivery, Partner
from provisioning.campaigns.places import place_of
from provisioning.campaigns.reasons import CONCENTRATOR_TOO_OLD, NOT_ANSWERED, NOT_IN_TABLE, ORDERED
from provisioning.fleet.models import Adapter

log = logging.getLogger(__name__)

EVENT: Final = "rekeyed"
OK: Final = "ok"
AT_ONCE: Final = 50
MAX_ATTEMPTS: Final = 6
UNTIL_RECEIPT: Final = timedelta(minutes=1)
UNTIL_OUTCOME: Final = timedelta(hours=12)  # a concentrator gives up after two days by itself
LATE: Final = timedelta(days=2)
LOOK_EVERY: Final = timedelta(seconds=5)
MAX_EVENTS: Final = 20  # the latest of an adapter
MAX_REMEMBERED: Final = 20_000
LAST_SEQ: Final = 0xFFFE  # the proof takes the number after it
# A concentrator's words for "not now": its device table may be on its way.
_LATER: Final = frozenset({"unknown_device", "no_transport_key"})
_CHECK: Final = re.compile("[0-9a-f]{6}")


class PartnerKeys:
    """A `Party` of port 34 that never sends there itself."""

    def __init__(self) -> None:
        self._looked_at: datetime | None = None
        self._sent: dict[str, int] = {}  # deliveries by command
        self._answers: dict[str, str | None] = {}

    def takes(self, kind: int) -> bool:
        return False

    def take(self, mail: KeyMail, now: datetime) -> None:
        """Nothing is its own."""

    def due(self, now: datetime) -> list[tuple[str, RekeyCommand]]:
        self._note_answers(now)
        if self._looked_at is None or not timedelta() <= now - self._looked_at < LOOK_EVERY:
            self._looked_at = now
            _note_outcomes(now)
        waiting = services.unanswered(now, AT_ONCE, Partner.CONCENTRATOR)
        return list(
            one_by_one(waiting, lambda pk: self._order(_rows().get(pk=pk), now), partial(key_aside.later, now=now))
        )

    def receipt(self, eui: str, receipt: Receipt) -> None:
        for result in receipt.results:
            if result.id in self._sent:
                self._answers[result.id] = result.code

    def _order(self, row: Delivery, now: datetime) -> tuple[str, RekeyCommand] | None:
        if row.concentrator is None or row.concentrator_id != row.adapter.concentrator_id:
            services.failed(row, NOT_IN_TABLE, "", now)
            return None
        if row.attempts >= MAX_ATTEMPTS:
            services.failed(row, NOT_ANSWERED if row.code == ORDERED else row.code or CONCENTRATOR_TOO_OLD, "", now)
            return None
        if row.seq is None or row.key is None or row.seq > LAST_SEQ:
            services.failed(row, services.SequenceUsedUp.code, "", now)
            return None
        services.seen_seq(row.adapter, row.partner, row.seq + 1)
        command = _command(row, now)
        if not services.sent(row, now, now + (UNTIL_OUTCOME if row.code == ORDERED else UNTIL_RECEIPT)):
            return None
        if len(self._sent) >= MAX_REMEMBERED:
            self._sent.clear()
        self._sent[command.id] = row.pk
        return row.concentrator.eui, command

    def _note_answers(self, now: datetime) -> None:
        while self._answers:
            command, code = self._answers.popitem()
            row = _rows().filter(pk=self._sent.pop(command, 0), state=Delivery.State.DELIVERING).first()
            if row is None:
                continue
            if code is None:
                if row.code != ORDERED:
                    services.failed(row, ORDERED, "", now, now + UNTIL_OUTCOME)
            elif code in _LATER:
                services.failed(row, NOT_IN_TABLE, "", now, row.due_at)
            else:
                _fail(row, code, now)


def overheard(adapter: Adapter, partner: str, message: Message) -> None:
    """What an adapter said to a concentrator and is authentic. Its numbers go on where it is, as after a backup."""
    if isinstance(message, KeyReport):
        services.seen_seq(adapter, partner, message.seq)


def _note_outcomes(now: datetime) -> None:
    late = Q(state=Delivery.State.FAILED, code=NOT_ANSWERED, state_at__gt=now - LATE)
    waiting = _rows().filter(Q(state=Delivery.State.DELIVERING) | late, campaign__partner=Partner.CONCENTRATOR)
    for row in waiting.exclude(begun_at=None):
        event = _outcome(row)
        if event is None:
            continue
        if event.reason != OK:
            if row.state == Delivery.State.DELIVERING:
                _fail(row, event.reason, now)
        elif isinstance(check := event.detail.get("check"), str) and _CHECK.fullmatch(check):
            services.answered(row, bytes.fromhex(check), now)


def _outcome(row: Delivery) -> AdapterEvent | None:
    """The latest one about this delivery; what was stored before it began tells of an earlier try."""
    events = AdapterEvent.objects.filter(adapter_id=row.adapter_id, kind=EVENT).order_by("-at", "-pk")
    wanted = row.concentrator_id, row.seq, place_of(row).octet
    for event in events.filter(stored_at__gte=row.begun_at)[:MAX_EVENTS]:
        if (event.concentrator_id, event.detail.get("seq"), event.detail.get("place")) == wanted:
            return event
    return None


def _fail(row: Delivery, code: str, now: datetime) -> None:
    code = {"timeout": NOT_ANSWERED, "unknown_command": CONCENTRATOR_TOO_OLD}.get(code, code)
    log.info("a key was not agreed", extra={"adapter": row.adapter.dev_eui, "code": code})
    services.failed(row, code, "", now)


def _command(row: Delivery, now: datetime) -> RekeyCommand:
    """`due_at` and the attempt tell the sending: two bridges that send it at once give it the same id."""
    assert row.seq is not None
    assert row.key is not None
    name = sha256(f"rekey {row.pk} {row.seq} {row.attempts}".encode()).digest()[:10]
    return RekeyCommand(
        id=messages.ulid(row.due_at.timestamp(), name),
        time=messages.timestamp(now.timestamp()),
        dev_eui=row.adapter.dev_eui,
        seq=row.seq,
        place=place_of(row).octet,
        curve=row.campaign.curve,  # type: ignore[arg-type]
        not_before=_unix(row.key.not_before),
        not_after=_unix(row.key.not_after),
    )


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _rows() -> QuerySet[Delivery]:
    return Delivery.objects.select_related("campaign", "organisation", "adapter__concentrator", "concentrator", "key")
