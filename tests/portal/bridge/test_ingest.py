"""A batch of mail becomes rows, receipts and news, in the database thread."""

from typing import Any

import pytest
from django.db import DataError, OperationalError

from meterwire import messages
from meterwire.messages import Event
from portal.bridge.ingest import Ingest, Outcome
from portal.bridge.mail import Mail, Refusal
from portal.telemetry.arrivals import Arrival, Batch
from portal.telemetry.models import AdapterEvent, AdapterStatus, Telegram
from tests.portal.bridge.peer import new_id, state
from tests.portal.stage import NOON, Stage, telegram

pytestmark = pytest.mark.django_db
NOW_US = round(NOON * 1e6)


@pytest.fixture
def ingest(stage: Stage) -> Ingest:
    return Ingest(stage.pipeline)


def run(ingest: Ingest, *mails: Mail, now_us: int = NOW_US) -> Outcome:
    return ingest.run(mails, now_us)


def codes(outcome: Outcome, eui: str) -> dict[str, str | None]:
    return {result.id: result.code for result in outcome.receipts[eui]}


def event(**fields: Any) -> Event:
    values = {"id": new_id(), "time": messages.timestamp(NOON), "kind": "heard"}
    return Event(**{**values, **fields})


def test_every_telegram_gets_a_receipt_refused_or_not(stage: Stage, ingest: Ingest) -> None:
    good, bad = stage.device().telegram(), telegram("70b3d57ed1ffffff")
    eui = stage.concentrator.eui
    for _ in range(2):
        outcome = run(ingest, Mail(eui, telegrams=(good, bad)))
        assert codes(outcome, eui)[good.id] is None
        assert bad.id in codes(outcome, eui)
    assert Telegram.objects.count() == 2


def test_the_pages_are_told_what_changed(stage: Stage, ingest: Ingest) -> None:
    device = stage.device()
    outcome = run(ingest, Mail(stage.concentrator.eui, telegrams=(device.telegram(), device.telegram())))
    [(channel, body)] = outcome.changes.messages()
    assert channel == f"mspan:org:{stage.organisation.pk}"
    rows = messages.msgspec.json.decode(body)
    assert [(row["kind"], row["adapter"], row["concentrator"]) for row in rows] == [
        ("reading", device.row.pk, stage.concentrator.pk)
    ]


def test_too_many_changes_are_told_as_many(stage: Stage, ingest: Ingest) -> None:
    outcome = Outcome()
    for number in range(1000):
        outcome.changes.add(1, "reading", number, 1, None)
    [(_, body)] = outcome.changes.messages()
    assert messages.msgspec.json.decode(body) == [{"kind": "many"}]


def test_a_stranger_is_recorded_once_a_minute_and_gets_no_receipt(stage: Stage, ingest: Ingest) -> None:
    mail = Mail("70b3d57edeadbeef", telegrams=(stage.device().telegram(),))
    for second in (0, 1, 59, 61):
        outcome = run(ingest, mail, now_us=NOW_US + second * 1_000_000)
        assert not outcome.receipts
        assert outcome.figures["refused_unknown_concentrator"] == 1
    rows = AdapterEvent.objects.filter(kind="protocol", reason="unknown_concentrator", organisation=None)
    assert [row.detail["concentrator"] for row in rows] == ["70b3d57edeadbeef"] * 2
    assert not Telegram.objects.exists()


def test_a_refused_message_is_recorded_and_answered_where_it_has_an_id(stage: Stage, ingest: Ingest) -> None:
    known = new_id()
    eui = stage.concentrator.eui
    refusals = [Refusal("format", "no telegram", known), Refusal("unsupported_version", "version 2")]
    outcome = run(ingest, Mail(eui, refusals=refusals))
    assert codes(outcome, eui) == {known: "format"}
    assert set(AdapterEvent.objects.values_list("kind", "reason", "organisation")) == {
        ("protocol", "format", stage.organisation.pk),
        ("protocol", "unsupported_version", stage.organisation.pk),
    }


def test_events_are_stored_once_each_and_bound_to_their_adapter(stage: Stage, ingest: Ingest) -> None:
    device, eui = stage.device(), stage.concentrator.eui
    joined = event(kind="joined", dev_eui=device.row.dev_eui, detail={"dev_addr": "26011f22"})
    stranger = event(kind="heard", dev_eui="70b3d57ed1ffffff")
    for _ in range(2):
        outcome = run(ingest, Mail(eui, event=joined), Mail(eui, event=stranger))
        assert codes(outcome, eui) == {joined.id: None, stranger.id: None}
    assert {row.kind: row.adapter for row in AdapterEvent.objects.all()} == {"joined": device.row, "heard": None}


def test_what_the_radio_refused_counts_once_as_the_adapters_diagnosis(stage: Stage, ingest: Ingest) -> None:
    device = stage.device()
    refused = event(kind="frame_refused", reason="mic", dev_eui=device.row.dev_eui)
    for _ in range(2):
        run(ingest, Mail(stage.concentrator.eui, event=refused))
    status = AdapterStatus.objects.get()
    assert (status.refused, status.last_error, status.last_seen) == (1, "mic", None)


def test_an_event_cannot_be_too_much_for_the_database(stage: Stage, ingest: Ingest) -> None:
    eui = stage.concentrator.eui
    odd = event(detail={"text": "a\0b"}, time="2026-02-31T00:00:00.000Z")
    outcome = run(ingest, Mail(eui, event=odd), Mail(eui, event=event(detail={"text": "x" * 100_000})))
    assert set(codes(outcome, eui).values()) == {None}
    assert {str(row.detail) for row in AdapterEvent.objects.all()} == {"{'text': 'ab'}", "{'left_out': '100011 bytes'}"}


def test_a_state_updates_its_concentrator(stage: Stage, ingest: Ingest) -> None:
    outcome = run(ingest, Mail(stage.concentrator.eui, state=state(queue_depth=7)))
    stage.concentrator.refresh_from_db()
    assert (stage.concentrator.online, stage.concentrator.queue_depth) == (True, 7)
    assert outcome.changes.messages()


def test_a_state_that_the_broker_kept_is_as_old_as_it_says(stage: Stage, ingest: Ingest) -> None:
    old = messages.timestamp(NOON - 3600)
    run(ingest, Mail(stage.concentrator.eui, state=state(time=old), kept=True))
    stage.concentrator.refresh_from_db()
    assert stage.concentrator.last_state_at == messages.parse_timestamp(old)


def test_a_state_that_no_database_takes_is_recorded_and_stops_nothing(stage: Stage, ingest: Ingest) -> None:
    good = stage.device().telegram()
    eui = stage.concentrator.eui
    outcome = run(ingest, Mail(eui, state=state(version="1\0")), Mail(eui, telegrams=(good,)))
    assert codes(outcome, eui) == {good.id: None}


def test_a_telegram_that_cannot_be_stored_stands_alone(
    stage: Stage, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = stage.device()
    telegrams = tuple(device.telegram() for _ in range(9))
    poison = telegrams[5].id
    write = stage.pipeline.store.write

    def refuse(batch: Batch) -> None:
        if any(arrival.telegram.id == poison for arrival in batch.arrivals):
            raise DataError("nobody foresaw this")
        write(batch)

    monkeypatch.setattr(stage.pipeline.store, "write", refuse)
    outcome = run(ingest, Mail(stage.concentrator.eui, telegrams=telegrams))
    assert codes(outcome, stage.concentrator.eui) == {
        item.id: "unstorable" if item.id == poison else None for item in telegrams
    }
    assert Telegram.objects.count() == 8
    kept = AdapterEvent.objects.get(reason="unstorable")
    assert kept.detail["payload"] == telegrams[5].payload.hex()


def test_nothing_is_receipted_or_remembered_when_the_database_goes(
    stage: Stage, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = stage.device()
    sent = device.telegram()
    run(ingest, Mail(stage.concentrator.eui, telegrams=(device.telegram(),)))

    def gone(_: Batch) -> None:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(stage.pipeline.store, "write", gone)
        with pytest.raises(OperationalError):
            run(ingest, Mail(stage.concentrator.eui, telegrams=(sent,)))
    outcome = run(ingest, Mail(stage.concentrator.eui, telegrams=(sent,)))
    assert codes(outcome, stage.concentrator.eui) == {sent.id: None}
    assert outcome.figures["readings"] == 2
    assert AdapterStatus.objects.get().telegrams == 2


def test_two_bridges_may_bring_the_same_telegram_at_once(stage: Stage) -> None:
    """The other bridge's copy is committed after this one has looked at its caches."""
    device = stage.device()
    both = device.telegram()
    mine, theirs = stage.pipeline_for(), stage.pipeline_for()
    for pipeline in (mine, theirs):
        pipeline.run(Batch([Arrival(device.telegram(), stage.source)], NOW_US))
    copy = telegram(both.dev_eui, payload=both.payload, counter=both.counter)
    theirs.run(Batch([Arrival(both, stage.source)], NOW_US))
    late = [Arrival(copy, stage.source), Arrival(device.telegram(), stage.source)]
    mine.run(Batch(late, NOW_US))
    assert [(arrival.known, arrival.error) for arrival in late] == [(True, None), (False, None)]
    assert AdapterStatus.objects.get().telegrams == Telegram.objects.count() == 4
