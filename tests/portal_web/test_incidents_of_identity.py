"""Meters that are not the ones meant are shown among the incidents and explained."""

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.telemetry.services import note_event
from portal.web import diagnosis, pairings_counts, summary
from portal.web.access import Access
from portal.web.incident import Incident
from portal.web.snapshot import snapshots
from provisioning.accounts.models import Role
from provisioning.pairing.models import Pairing
from tests.portal_web.world import World


def incidents(world: World) -> list[Incident]:
    snapshots.forget()
    pairings_counts.shelf.forget()
    access = Access(world.cast.owner, world.cast.home.member(Role.ADMINISTRATOR), several=False)
    return summary.incidents(access)


def test_mismatches_are_one_incident_with_their_number(world: World) -> None:
    for _ in range(2):
        world.paired_adapter()
    Pairing.objects.update(identity="mismatch", state="pending", identity_at=timezone.now())
    assert [(one.title, one.affected) for one in incidents(world)] == [("3 adapters read another meter", 3)]


def test_the_same_meter_at_two_adapters_leads_to_the_adapter_for_a_day(world: World) -> None:
    adapter, _ = world.paired_adapter()
    now = timezone.now()
    detail = {"meter": "1 EMH 00 0000 0001", "other": "70b3d57ed1000009"}
    for hours in (2, 30):
        note_event(adapter, "security", "identity_twice", detail, at=now - timedelta(hours=hours), once=str(hours))
    [one] = incidents(world)
    assert (one.form, one.title) == ("bad", "The same meter is read by two adapters")
    assert one.url == f"/adapters/{adapter.pk}/"


@pytest.mark.parametrize(
    ("kind", "reason"), [("identity", "mismatch"), ("security", "identity_twice"), ("security", "other_dev_eui")]
)
def test_each_of_them_says_what_to_do(kind: str, reason: str) -> None:
    told = diagnosis.of_event(kind, reason)
    assert told.form == "bad"
    assert told.cause
    assert told.cure
