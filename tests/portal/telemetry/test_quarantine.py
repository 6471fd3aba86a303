"""Readings of the wrong meter: stored, attributed to nobody, given to somebody by an operator."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.telemetry.models import DayRollup, HourRollup, LateHour, Reading
from portal.telemetry.quarantine import attribute, quarantined, withdraw
from portal.telemetry.rollups import roll_up
from provisioning.accounts.models import Role, User
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.models import MeteringPoint, Site
from provisioning.pairing.models import Pairing
from tests.cast import company
from tests.portal.installed import BEGAN, Installed, number
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def installed() -> Installed:
    return Installed(Stage(organisation=company("Lindenhof").organisation))


def points() -> list[int | None]:
    return list(Reading.objects.order_by("counter").values_list("metering_point", flat=True))


def read_hourly(installed: Installed, hours: int) -> None:
    for _ in range(hours):
        installed.later(3600)
        installed.read()


def test_withdrawn_readings_stay_and_belong_to_nobody(installed: Installed) -> None:
    read_hourly(installed, 3)
    assert withdraw(installed.pairing) == 3
    assert withdraw(installed.pairing) == 0
    held = quarantined(installed.pairing)
    assert (points(), held.count) == ([None] * 3, 3)
    assert held.first is not None
    assert held.last is not None
    assert timedelta(hours=2) <= held.last - held.first < timedelta(hours=2, minutes=1)


def test_what_was_good_before_stays_where_it_is(installed: Installed) -> None:
    read_hourly(installed, 2)
    since = installed.now
    read_hourly(installed, 1)
    withdraw(installed.pairing, since=since)
    assert points() == [installed.point.pk, installed.point.pk, None]


def test_other_inputs_and_other_adapters_are_left_alone(installed: Installed) -> None:
    other_input = Installed(installed.stage, installed.device, input=1, meter_id=number(2))
    other = Installed(installed.stage, meter_id=number(3))
    installed.read()
    other_input.read()
    other.read()
    assert withdraw(installed.pairing) == 1
    assert set(points()) == {None, other_input.point.pk, other.point.pk}


def test_condensed_hours_and_days_follow(installed: Installed) -> None:
    read_hourly(installed, 50)
    roll_up(datetime.fromtimestamp(NOON, UTC) + timedelta(hours=52))
    LateHour.objects.all().delete()
    withdraw(installed.pairing)
    begun = HourRollup.objects.filter(start__gte=BEGAN)
    assert set(begun.values_list("metering_point", flat=True)) == {None}
    assert LateHour.objects.filter(start=BEGAN.replace(minute=0), adapter=installed.device.row).exists()
    roll_up(datetime.fromtimestamp(NOON, UTC) + timedelta(hours=53))
    assert set(DayRollup.objects.values_list("metering_point", flat=True)) == {None}

    actor = company_operator(installed)
    attribute(actor, installed.pairing, installed.point, reason="it was the right one")
    roll_up(datetime.fromtimestamp(NOON, UTC) + timedelta(hours=54))
    assert set(HourRollup.objects.values_list("metering_point", flat=True)) == {installed.point.pk}
    assert set(DayRollup.objects.values_list("metering_point", flat=True)) == {installed.point.pk}


def test_an_operator_gives_them_to_a_metering_point_and_it_is_audited(installed: Installed) -> None:
    read_hourly(installed, 2)
    withdraw(installed.pairing)
    other = installed.stage.metering_point("Flat 9")
    assert attribute(company_operator(installed), installed.pairing, other, reason="adapters were swapped") == 2
    assert points() == [other.pk, other.pk]
    entry = Entry.objects.filter(action="pairing.readings_attributed").get()
    assert (entry.data["count"], entry.data["metering_point"]) == (2, "Flat 9")


def test_nothing_is_given_away_while_the_mismatch_is_undecided(installed: Installed) -> None:
    Pairing.objects.update(identity="mismatch")
    with pytest.raises(Conflict):
        attribute(company_operator(installed), installed.pairing, installed.point, reason="why not")


def test_an_installer_does_not_decide_this_and_no_other_organisation_gets_it(installed: Installed) -> None:
    people = installed.stage.organisation.memberships.get(role=Role.INSTALLER)
    with pytest.raises(Forbidden):
        attribute(people.user, installed.pairing, installed.point, reason="mine")
    away = company("Fremdwerke").organisation
    theirs = MeteringPoint.objects.create(
        organisation=away, name="Flat", site=Site.objects.create(organisation=away, name="Away")
    )
    with pytest.raises(Invalid):
        attribute(company_operator(installed), installed.pairing, theirs, reason="wrong place")


def company_operator(installed: Installed) -> User:
    return installed.stage.organisation.memberships.get(role=Role.OPERATOR).user
