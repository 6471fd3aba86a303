"""Signed days on pages: what is said of each, and a proof for whoever may export readings."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.days.models import DayState, SignedDay, SigningKey
from provisioning.audit.models import Entry
from tests.portal_web.world import World

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def key(world: World) -> SigningKey:
    return SigningKey.objects.create(
        organisation=world.adapter.organisation,
        adapter=world.adapter,
        seq=1,
        public="02" + "ab" * 32,
        transport_version=1,
        announced_at=world.now,
    )


def a_day(world: World, key: SigningKey, state: DayState, **fields: Any) -> SignedDay:
    verified = {"signing_key": key, "verified_at": world.now} if state in ("signed", "partial") else {}
    row = {"organisation": world.adapter.organisation, "adapter": world.adapter, "day": YESTERDAY}
    return SignedDay.objects.create(**{**row, "state": state, "changed_at": world.now, **verified, **fields})


def page(world: World, browse: Any, query: str = "", **headers: str) -> str:
    answer = browse(world.cast.operator).get(f"/adapters/{world.adapter.pk}/days/{query}", headers=headers)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize(
    ("state", "missing", "words"),
    [
        (DayState.SIGNED, 0, "signed"),
        (DayState.PARTIAL, 1, "signed except for 1 telegram"),
        (DayState.PARTIAL, 3, "signed except for 3 telegrams"),
        (DayState.WRONG, 0, "signature wrong"),
        (DayState.UNVERIFIED, 2, "not verifiable"),
        (DayState.UNSIGNED, 0, "unsigned"),
        (DayState.WAITING, 0, "being checked"),
    ],
)
def test_a_day_is_told_in_words(
    world: World, browse: Any, key: SigningKey, state: DayState, missing: int, words: str
) -> None:
    a_day(world, key, state, missing=missing)
    assert f">{words}</span>" in page(world, browse)


def test_telegrams_that_no_signature_covers_are_counted(world: World, browse: Any, key: SigningKey) -> None:
    a_day(world, key, DayState.SIGNED, uncovered=2)
    assert "2 telegrams came that no signature covers." in page(world, browse)


def test_an_adapter_that_signs_nothing_says_why(world: World, browse: Any) -> None:
    assert "It has announced no signing key" in page(world, browse)


def test_the_card_shows_the_newest_day(world: World, browse: Any, key: SigningKey) -> None:
    a_day(world, key, DayState.WRONG)
    card = page(world, browse, **{"hx-request": "true", "hx-target": "days"})
    assert "signature wrong" in card
    assert "<html" not in card


def test_older_days_are_a_page_away(world: World, browse: Any, key: SigningKey) -> None:
    a_day(world, key, DayState.SIGNED, day=YESTERDAY - timedelta(days=40))
    assert ">signed</span>" not in page(world, browse)
    assert ">signed</span>" in page(world, browse, f"?last={YESTERDAY - timedelta(days=31)}")


@pytest.mark.parametrize("query", ["?last=nonsense", "?last=2026-13-45", "?last=0001-01-01", "?last=9999-12-31"])
def test_a_day_that_does_not_exist_shows_a_page_all_the_same(world: World, browse: Any, query: str) -> None:
    page(world, browse, query)


@pytest.mark.parametrize("day", ["", "?day=nonsense", f"?day={YESTERDAY}"])
def test_no_proof_of_what_is_not_proven(world: World, browse: Any, key: SigningKey, day: str) -> None:
    a_day(world, key, DayState.WAITING)
    answer = browse(world.cast.operator).get(f"/adapters/{world.adapter.pk}/days/proof/{day}", follow=True)
    assert "no proof of it" in answer.content.decode() or "no signature over that day" in answer.content.decode()
    assert not Entry.objects.filter(action="signed_day.exported").exists()


def test_the_proof_is_a_file_and_noted_in_the_audit(
    world: World, browse: Any, monkeypatch: Any, key: SigningKey
) -> None:
    a_day(world, key, DayState.SIGNED)
    monkeypatch.setattr("portal.days.proofs.proof", lambda row: {"date": str(row.day)})
    answer = browse(world.cast.operator).get(f"/adapters/{world.adapter.pk}/days/proof/?day={YESTERDAY}")
    assert json.loads(answer.content) == {"date": str(YESTERDAY)}
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert Entry.objects.get(action="signed_day.exported").data["day"] == str(YESTERDAY)


def test_an_installer_sees_the_days_but_gets_no_proof(world: World, browse: Any, key: SigningKey) -> None:
    a_day(world, key, DayState.SIGNED)
    client = browse(world.cast.installer)
    assert client.get(f"/adapters/{world.adapter.pk}/days/proof/?day={YESTERDAY}").status_code == 403
