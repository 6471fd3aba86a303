"""What concentrators report is said in words, with cause and cure where somebody has to act."""

from datetime import timedelta

import pytest
from django.utils import timezone

from meterwire.messages import ulid
from portal.telemetry.models import AdapterEvent
from portal.web import concentrators, diagnosis
from tests.portal_web.world import World

REPORTED = [
    ("clock", reason)
    for reason in (
        "jump", "settled", "leap_second", "synchronised", "unsynchronised", "gateway_off", "contradicted", "agreed",
    )
] + [
    ("slot", ""), ("rate_proposed", ""), ("rekeyed", "ok"), ("rekeyed", "timeout"), ("rekeyed", "slot_taken"),
    ("certificate", "issued"), ("certificate", "expiring"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "reason"), REPORTED)
def test_an_event_is_said_in_words(kind: str, reason: str) -> None:
    told = diagnosis.of_event(kind, reason)
    assert str(told.title) != kind.replace("_", " ")
    assert (kind, reason) != ("rekeyed", "ok") or told.form == "ok"
    if told.form == "bad":
        assert told.cause
        assert told.cure


def test_a_refused_agreement_is_not_told_like_one_that_nobody_answered() -> None:
    refused, silent = diagnosis.of_event("rekeyed", "slot_taken"), diagnosis.of_event("rekeyed", "timeout")
    assert (refused.form, silent.form) == ("bad", "warn")
    assert refused.cure != silent.cure


@pytest.mark.django_db
def test_slots_that_were_kept_do_not_crowd_out_what_happened(world: World) -> None:
    now = timezone.now()
    happened = [("gateway", "offline", {}), *[("slot", "", {"n": 4, "outside": 0})] * 130, ("slot", "", {"outside": 2})]
    happened += [("slot", "", {"n": 0, "missed": 4})] * 130
    AdapterEvent.objects.bulk_create(
        AdapterEvent(
            id=ulid(now.timestamp() + number, bytes(10)), organisation=world.cast.organisation,
            concentrator=world.concentrator, kind=kind, reason=reason, detail=detail,
            at=now + timedelta(seconds=number),
        )
        for number, (kind, reason, detail) in enumerate(happened)
    )  # fmt: skip
    told = [str(one.told.title) for one in concentrators.events(world.concentrator)]
    assert told == ["How a device kept its slot", "Radio gateway lost"]
