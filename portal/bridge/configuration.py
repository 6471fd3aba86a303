"""Brings adapters to the configuration that is wanted of them (port 33), and again until they report that it runs.

An attempt is one sending of one version: its messages and their ids follow from what the table holds, so a restarted
bridge goes on with the same attempt, and a message that is published twice is taken once by the concentrator.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from meterwire import config_records, messages
from meterwire.config_records import UnknownRecord
from meterwire.messages import DownlinkCommand, Receipt
from portal.telemetry.models import AdapterEvent
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration, PairingStep

log = logging.getLogger(__name__)

EXPIRY = timedelta(minutes=15)
REPUBLISH_S = 30.0  # no receipt: perhaps the message was lost
REPLY = timedelta(seconds=60)  # an adapter that got it all reports within that
MAX_WAIT = timedelta(hours=1)  # between attempts that come to nothing; it grows with their age up to that
REFUSED_AGAIN = timedelta(days=1)  # a version that the adapter itself refused
AT_ONCE = 200
MAX_REMEMBERED = 20_000
PRIORITY = 8
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Message:
    """What became of a message that was published to the concentrator `eui` at `at` (monotonic)."""

    eui: str
    at: float
    taken: bool = False
    refused: str = ""


class Configurations:
    """`due` runs in a database thread, `receipt` and `forget` in the event loop."""

    def __init__(self, time: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._time, self._monotonic = time, monotonic
        self._published: dict[str, _Message] = {}
        self._swept = (_NEVER, 0)

    def due(self) -> list[tuple[str, list[DownlinkCommand]]]:
        """(concentrator, messages) to publish now. At most one attempt per adapter is under way."""
        now = datetime.fromtimestamp(self._time(), UTC)
        rows = [*behind().filter(sent_at=None)[:AT_ONCE], *self._next()]
        ends = _ends([row for row in rows if row.sent_at is not None])
        found = []
        for row in rows:
            assert row.adapter.concentrator is not None
            eui = row.adapter.concentrator.eui
            if parts := self._parts_due(row, eui, ends, now):
                found.append((eui, parts))
        return found

    def receipt(self, eui: str, receipt: Receipt) -> None:
        """What a concentrator made of its messages."""
        for result in receipt.results:
            sent = self._published.get(result.id)
            if sent is None or sent.eui != eui:
                continue
            sent.taken, sent.refused = result.code is None, result.code or ""
            if result.code is not None:
                log.warning("configuration not taken", extra={"concentrator": eui, "code": result.code})

    def forget(self, parts: Iterable[DownlinkCommand]) -> None:
        """They were not published after all."""
        for part in parts:
            self._published.pop(part.id, None)

    def _next(self) -> list[Configuration]:
        """The next of those that were sent before, from the longest ago again after the last: nobody is starved."""
        at, pk = self._swept
        later = Q(sent_at__gt=at) | Q(sent_at=at, pk__gt=pk)
        rows = list(behind().filter(later).order_by("sent_at", "pk")[:AT_ONCE])
        last = rows[-1] if len(rows) == AT_ONCE else None
        self._swept = (_NEVER, 0) if last is None or last.sent_at is None else (last.sent_at, last.pk)
        return rows

    def _parts_due(
        self, row: Configuration, eui: str, ends: dict[str, datetime], now: datetime
    ) -> list[DownlinkCommand]:
        parts = attempt(row) if row.sent_at is not None else []
        if parts and not self._over(row, parts, ends, now):
            return [part for part in parts if part.id not in ends and self._unanswered(part, eui)]
        if parts and not self._again(row, parts, ends, now):
            return []
        if not Configuration.objects.filter(pk=row.pk, version=row.version, sent_at=row.sent_at).update(sent_at=now):
            return []  # another bridge was quicker, or another version is wanted now
        row.sent_at = now
        return [part for part in attempt(row) if self._unanswered(part, eui)]

    def _over(self, row: Configuration, parts: list[DownlinkCommand], ends: dict[str, datetime], now: datetime) -> bool:
        """Whether nothing of the attempt is under way any more."""
        assert row.sent_at is not None
        if row.changed_at > row.sent_at or now >= row.sent_at + EXPIRY:
            return True
        return all(part.id in ends or self._refused(part) for part in parts)

    def _again(
        self, row: Configuration, parts: list[DownlinkCommand], ends: dict[str, datetime], now: datetime
    ) -> bool:
        """Whether the next attempt may begin: at once when the adapter says that it runs another version."""
        assert row.sent_at is not None
        if row.changed_at > row.sent_at:
            return True
        reported = row.reported
        if reported.get("refused") == row.version and now < row.sent_at + REFUSED_AGAIN:
            return False
        end = max((ends[part.id] for part in parts if part.id in ends), default=row.sent_at)
        if len(ends.keys() & {part.id for part in parts}) == len(parts) and (row.reported_at or end) > end:
            return True
        wait = min(max(REPLY, (now - row.changed_at) / 4), MAX_WAIT)
        return now >= end + wait

    def _refused(self, part: DownlinkCommand) -> bool:
        sent = self._published.get(part.id)
        return sent is not None and bool(sent.refused)

    def _unanswered(self, part: DownlinkCommand, eui: str) -> bool:
        """Whether to publish it now; notes that it is."""
        now, sent = self._monotonic(), self._published.get(part.id)
        if sent is not None and sent.eui == eui and (sent.taken or sent.refused or now - sent.at < REPUBLISH_S):
            return False
        if len(self._published) >= MAX_REMEMBERED:
            self._published.clear()  # costs one repetition each
        self._published[part.id] = _Message(eui, now)
        return True


def behind() -> QuerySet[Configuration]:
    """What is wanted and does not run, of adapters whose concentrator is there and has heard them."""
    joined = PairingStep.objects.filter(
        pairing__adapter=OuterRef("pk"), pairing__to_at=None, step=PairingStep.Step.JOINED
    )
    rows = Configuration.objects.filter(Q(running=None) | ~Q(running=F("version")), version__gt=0)
    rows = rows.filter(
        adapter__archived_at=None,
        adapter__kind=Adapter.Kind.METERSPAN,
        adapter__concentrator__online=True,
        adapter__concentrator__archived_at=None,
    )
    rows = rows.filter(Q(adapter__status__last_seen__isnull=False) | Exists(joined))
    return rows.select_related("adapter__concentrator")


def attempt(row: Configuration) -> list[DownlinkCommand]:
    """The messages of the attempt that began at `row.sent_at`: always the same ones."""
    assert row.sent_at is not None
    try:
        payloads = config_records.encode(row.version, _records(bytes.fromhex(row.records)))
    except ValueError:
        log.exception("a wanted configuration cannot be encoded", extra={"adapter": row.adapter.dev_eui})
        return []
    sent = row.sent_at.timestamp()
    return [
        DownlinkCommand(
            id=messages.ulid(sent, sha256(f"configuration {row.pk} {row.version} {number}".encode()).digest()[:10]),
            time=messages.timestamp(sent),
            dev_eui=row.adapter.dev_eui,
            fport=config_records.PORT,
            payload=payload,
            expires_at=messages.timestamp(sent + EXPIRY.total_seconds()),
            confirmed=True,
            priority=PRIORITY,
        )
        for number, payload in enumerate(payloads)
    ]


def _records(stored: bytes) -> list[UnknownRecord]:
    """Type, length and value after each other, as they stand; what they mean does not matter here."""
    records, place = [], 0
    while place < len(stored):
        end = place + 2 + stored[place + 1]
        records.append(UnknownRecord(stored[place], stored[place + 2 : end]))
        place = end
    return records


def _ends(rows: list[Configuration]) -> dict[str, datetime]:
    """When the messages of these attempts ended, as their concentrators told: sent, acknowledged, expired, refused."""
    if not rows:
        return {}
    # A confirmed message is told as `sent` at its first transmission; that is not its end.
    events = AdapterEvent.objects.filter(
        adapter_id__in=[row.pk for row in rows],
        kind="downlink",
        at__gte=min(row.sent_at for row in rows if row.sent_at is not None) - EXPIRY,
    ).exclude(reason="sent")
    found: dict[str, datetime] = {}
    detail: dict[str, Any]
    for detail, at in events.values_list("detail", "at"):
        if isinstance(command := detail.get("command"), str):
            found[command] = at
    return found
