"""Where values are stored sealed some telegrams are not kept as they were sent; their days are proven all the same."""

import pytest

from meterwire.resting import rests
from meterwire.signed_day import Wanted
from meterwire.values_telegram import Mode
from portal.days.models import DayState, RestingLeaf
from portal.telemetry.models import AdapterEvent, Telegram
from tests.portal.days.signer import Portal, Signer
from tests.portal.telemetry.sealed_stage import keep_sealed

pytestmark = pytest.mark.django_db


@pytest.fixture
def sealed(portal: Portal, signer: Signer) -> Portal:
    keep_sealed(portal.stage)
    signer.mode = Mode.CLEAR
    return portal


def test_clear_telegrams_that_rest_encrypted_are_proven_by_what_was_noted_as_they_came(
    sealed: Portal, signer: Signer
) -> None:
    sealed.hear(signer, *signer.live_a_day(restart_after=7))
    assert all(rests(bytes(payload)) for payload in Telegram.objects.values_list("payload", flat=True))
    sealed.converse(signer, rounds=1)
    assert (sealed.row(signer).state, sealed.row(signer).missing) == (DayState.SIGNED, 0)
    assert not RestingLeaf.objects.exists()


def test_without_that_note_the_adapter_is_asked_for_hashes_and_never_for_the_telegrams(
    sealed: Portal, signer: Signer
) -> None:
    sealed.hear(signer, *signer.live_a_day())
    RestingLeaf.objects.filter(counter__lt=1005).delete()
    sealed.converse(signer)
    assert {command.payload[3] for command in sealed.asked} == {Wanted.HASHES}
    assert (sealed.row(signer).state, sealed.row(signer).missing) == (DayState.SIGNED, 0)
    assert not AdapterEvent.objects.filter(kind="security").exists()


def test_telegrams_that_were_sealed_already_are_kept_as_they_came(portal: Portal, signer: Signer) -> None:
    keep_sealed(portal.stage)
    portal.hear(signer, *signer.live_a_day())
    assert not RestingLeaf.objects.exists()
    portal.converse(signer, rounds=1)
    assert portal.row(signer).state == DayState.SIGNED


def test_what_was_noted_is_forgotten_with_days_that_nobody_proves(sealed: Portal, signer: Signer) -> None:
    sealed.hear(signer, *signer.live_a_day()[:3])
    signer.clock.step(25 * 86_400)
    sealed.turn(signer)
    assert not RestingLeaf.objects.exists()
