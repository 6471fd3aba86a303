"""What becomes of a batch of mail: runs in the thread that owns the database connection of the pipeline."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import InterfaceError, OperationalError

from meterwire.errors import FormatError
from meterwire.messages import Event, Result, parse_timestamp
from portal.bridge.days import look_again
from portal.bridge.key_port import deliver
from portal.bridge.mail import Mail, Refusal
from portal.bridge.slots import EVENTS as SLOT_EVENTS
from portal.telemetry.arrivals import AdapterRecord, Arrival, Batch, Source, moment
from portal.telemetry.live import Changes
from portal.telemetry.pipeline import Pipeline
from portal.telemetry.services import record_protocol_error, set_aside, store_events
from provisioning.fleet.services import report_state

log = logging.getLogger(__name__)

REFUSAL_INTERVAL_US = 60_000_000  # the same refusal of the same concentrator is written down once a minute
MAX_REMEMBERED = 10_000
GONE = (OperationalError, InterfaceError)  # the database is away or busy: the same work may succeed later


@dataclass
class Outcome:
    """What a committed batch leads to: receipts by concentrator, changes for open pages, figures, news for pairings.

    The news are adapters that joined, reported or sent a first reading, concentrators with another device table, and
    events that concern slots.
    """

    receipts: dict[str, list[Result]] = field(default_factory=lambda: defaultdict(list))
    changes: Changes = field(default_factory=Changes)
    figures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    adapters: set[int] = field(default_factory=set)
    concentrators: set[int] = field(default_factory=set)
    events: set[str] = field(default_factory=set)


class Ingest:
    """One per thread and database connection."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._written_down: dict[tuple[str, str], int] = {}
        self._revisions: dict[int, int] = {}

    def run(self, mails: Sequence[Mail], now_us: int) -> Outcome:
        """Commit all of it and say what follows. Raises one of GONE; then nothing may be receipted, and the same mail
        can be given in again: what was committed already is recognised."""
        self._pipeline.directory.refresh()
        outcome = Outcome()
        arrivals: list[Arrival] = []
        events: list[tuple[Source, Event]] = []
        for mail in mails:
            source = self._pipeline.directory.source(mail.eui)
            if source is None:
                stranger = Refusal("unknown_concentrator", "no concentrator is registered under this name")
                self._refuse(None, mail.eui, stranger, now_us, outcome)
                continue
            for refusal in mail.refusals:
                self._refuse(source, mail.eui, refusal, now_us, outcome)
            arrivals += [Arrival(telegram, source) for telegram in mail.telegrams]
            if mail.event is not None:
                events.append((source, mail.event))
            if mail.state is not None:
                self._state(source, mail, now_us, outcome)
        if arrivals:
            self._telegrams(arrivals, now_us, outcome)
        if events:
            self._events(events, now_us, outcome)
        return outcome

    def _telegrams(self, arrivals: list[Arrival], now_us: int, outcome: Outcome) -> None:
        batch = Batch(arrivals, now_us)
        try:
            self._pipeline.run(batch)
        except GONE:
            raise
        except Exception as error:
            self._isolate(arrivals, error, now_us, outcome)
            return
        outcome.figures["key_messages"] += deliver(arrivals)
        look_again(arrivals, moment(now_us))
        self._report(arrivals, outcome)
        told = [arrival for arrival, _ in batch.reports] + [arrival for arrival, *_ in batch.proofs]
        outcome.adapters.update(arrival.adapter.pk for arrival in told if arrival.adapter is not None)

    def _isolate(self, arrivals: list[Arrival], error: Exception, now_us: int, outcome: Outcome) -> None:
        """Something in the batch cannot be stored: halve it until that one telegram stands alone."""
        arrivals = [Arrival(arrival.telegram, arrival.source) for arrival in arrivals]
        if len(arrivals) > 1:
            middle = len(arrivals) // 2
            self._telegrams(arrivals[:middle], now_us, outcome)
            self._telegrams(arrivals[middle:], now_us, outcome)
            return
        log.error("telegram set aside", exc_info=error, extra={"telegram": arrivals[0].telegram.id})
        set_aside(arrivals[0], error, now_us)
        arrivals[0].error = "unstorable"
        self._report(arrivals, outcome)

    def _report(self, arrivals: list[Arrival], outcome: Outcome) -> None:
        receipts, changes, figures = outcome.receipts, outcome.changes, outcome.figures
        figures["telegrams"] += len(arrivals)
        for arrival in arrivals:
            telegram, source, adapter = arrival.telegram, arrival.source, arrival.adapter
            receipts[source.eui].append(Result(telegram.id, arrival.error))
            if arrival.known:
                figures["duplicates"] += 1
                continue
            kind = "reading"
            if arrival.error is not None:
                kind = "status"
                figures["refused_" + arrival.error] += 1
            elif arrival.readings is not None:
                figures["readings"] += len(arrival.readings)
                if adapter is not None and adapter.watched:
                    _watch(adapter, (reading[0] for reading in arrival.readings), outcome)
            pk = None if adapter is None else adapter.pk
            changes.add(source.organisation, kind, pk, source.pk, telegram.received_at)

    def _events(self, events: list[tuple[Source, Event]], now_us: int, outcome: Outcome) -> None:
        figures = outcome.figures
        try:
            rows = store_events(events, moment(now_us))
        except GONE:
            raise
        except Exception as error:
            if len(events) > 1:
                for item in events:
                    self._events([item], now_us, outcome)
                return
            source, event = events[0]
            log.error("event refused", exc_info=error, extra={"event": event.id})
            self._refuse(source, source.eui, Refusal("unstorable", type(error).__name__, event.id), now_us, outcome)
            return
        figures["events"] += len(rows)
        for source, event in events:
            outcome.receipts[source.eui].append(Result(event.id))
        for row in rows:
            if row.kind == "joined" and row.adapter_id is not None:
                outcome.adapters.add(row.adapter_id)
            if row.kind in SLOT_EVENTS:
                outcome.events.add(row.pk)
            if row.organisation_id is not None:
                outcome.changes.add(row.organisation_id, "event", row.adapter_id, row.concentrator_id, None)

    def _state(self, source: Source, mail: Mail, now_us: int, outcome: Outcome) -> None:
        assert mail.state is not None
        try:
            report_state(mail.eui, mail.state, _said_at(mail, now_us))
        except GONE:
            raise
        except Exception as error:
            log.error("state refused", exc_info=error, extra={"concentrator": mail.eui})
            self._refuse(source, mail.eui, Refusal("unstorable", type(error).__name__), now_us, outcome)
            return
        outcome.figures["states"] += 1
        if self._revisions.get(source.pk) != mail.state.revision:
            self._revisions[source.pk] = mail.state.revision
            outcome.concentrators.add(source.pk)
        outcome.changes.add(source.organisation, "concentrator", None, source.pk, mail.state.time)

    def _refuse(self, source: Source | None, eui: str, refusal: Refusal, now_us: int, outcome: Outcome) -> None:
        """Count it, answer it where it has an id, and write it down, but not every second the same."""
        outcome.figures["refused_" + refusal.code] += 1
        if refusal.id is not None:
            outcome.receipts[eui].append(Result(refusal.id, refusal.code, refusal.message[:500]))
        last = self._written_down.get((eui, refusal.code))
        if last is not None and 0 <= now_us - last < REFUSAL_INTERVAL_US:
            return
        log.warning("message refused", extra={"concentrator": eui, "code": refusal.code, "reason": refusal.message})
        if len(self._written_down) >= MAX_REMEMBERED:
            self._written_down.clear()
        record_protocol_error(source, eui, refusal.code, refusal.message, moment(now_us))
        self._written_down[eui, refusal.code] = now_us


def _watch(adapter: AdapterRecord, registers: Iterable[int], outcome: Outcome) -> None:
    """The first readings of an input are news for its pairing; later ones are not."""
    arrived = adapter.watched & {register >> 5 for register in registers}
    if arrived:
        adapter.watched -= arrived
        outcome.adapters.add(adapter.pk)


def _said_at(mail: Mail, now_us: int) -> datetime:
    """When a state was said: now, unless the broker may have kept it since its own time."""
    now = moment(now_us)
    if mail.state is None or not mail.kept:
        return now
    try:
        return min(now, parse_timestamp(mail.state.time))
    except FormatError:
        return now
