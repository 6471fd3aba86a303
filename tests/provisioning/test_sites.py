"""Sites, metering points and meters, and memberships limited to sites."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from provisioning.accounts.services import add_member
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet import queries
from provisioning.fleet.models import Meter
from provisioning.fleet.services import (
    archive_metering_point,
    archive_site,
    create_metering_point,
    create_site,
    grant_site,
    install_meter,
    remove_meter,
    update_metering_point,
    update_site,
    withdraw_site,
)
from provisioning.pairing.services import pair
from tests.cast import LONG_AGO, STAGE, Cast

MELO = "DE0001234567800000000000001234567"
METER = "1EMH0012345678"


def test_a_site_keeps_its_address_and_unmentioned_parts_of_it(cast: Cast) -> None:
    site = create_site(cast.operator, cast.organisation, name=" Hof 1 ", street="Hof", postcode="10115", city="Berlin")
    assert (site.name, site.country, site.time_zone) == ("Hof 1", "DE", "Europe/Berlin")
    update_site(cast.operator, site, name="Hof 2", city="Potsdam")
    site.refresh_from_db()
    assert (site.name, site.city, site.postcode) == ("Hof 2", "Potsdam", "10115")
    assert Entry.objects.latest("id").data == {"name": ["Hof 1", "Hof 2"], "city": ["Berlin", "Potsdam"]}


def test_saving_without_change_leaves_no_entry(cast: Cast) -> None:
    site = cast.site("Hof")
    before = Entry.objects.count()
    update_site(cast.operator, site, name="Hof")
    assert Entry.objects.count() == before


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", ""),
        ("name", "x" * 121),
        ("name", "a\0b"),
        ("name", "line\nbreak"),
        ("country", "Germany"),
        ("country", "D1"),
        ("time_zone", "Berlin"),
        ("time_zone", "../etc/passwd"),
        ("time_zone", ""),
        ("postcode", "x" * 13),
        ("street", 7),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(cast: Cast, field: str, value: object) -> None:
    with pytest.raises(Invalid) as refusal:
        create_site(cast.operator, cast.organisation, **{"name": "Hof", field: value})  # type: ignore[arg-type]
    assert (refusal.value.field, refusal.value.code) == (field, "invalid")


def test_a_site_name_is_unique_until_it_is_archived_and_free_in_another_organisation(cast: Cast) -> None:
    site = cast.site("Hof")
    cast.site("Hof", cast.away)
    with pytest.raises(Conflict):
        cast.site("Hof")
    archive_site(cast.operator, site)
    cast.site("Hof")


def test_a_site_in_use_is_not_archived_and_an_archived_one_not_used(cast: Cast) -> None:
    site, empty = cast.site(), cast.site()
    cast.adapter(site)
    with pytest.raises(Conflict, match="adapters"):
        archive_site(cast.operator, site)
    archive_site(cast.operator, empty)
    archive_site(cast.operator, empty)
    for use in (
        lambda: create_metering_point(cast.operator, empty, name="Flat"),
        lambda: update_site(cast.operator, empty, name="New"),
        lambda: cast.adapter(empty),
    ):
        with pytest.raises(Conflict, match="archived"):
            use()
    assert empty in queries.visible_sites(cast.operator, archived=True)
    assert empty not in queries.visible_sites(cast.operator)


def test_market_identifiers_are_checked_and_a_melo_is_unique_in_the_organisation(cast: Cast) -> None:
    point = create_metering_point(cast.operator, cast.site(), name="Flat", melo_id=MELO)
    assert point.melo_id == MELO
    with pytest.raises(Conflict, match="MeLo"):
        create_metering_point(cast.operator, cast.site(), name="Other", melo_id=MELO)
    for field, value in (("melo_id", "DE12"), ("malo_id", "12345678901")):
        with pytest.raises(Invalid) as refusal:
            update_metering_point(cast.operator, point, name="Flat", **{field: value})
        assert refusal.value.field == field
    archive_metering_point(cast.operator, point)
    create_metering_point(cast.operator, cast.site(), name="Other", melo_id=MELO)


def test_a_meter_is_named_after_din_43863_5_and_gets_its_sml_name(cast: Cast) -> None:
    meter = install_meter(cast.installer, cast.metering_point(), meter_id="1 EMH 00 1234 5678")
    assert (meter.meter_id, meter.server_id) == (METER, "0a01454d480000bc614e")
    with pytest.raises(Invalid) as refusal:
        install_meter(cast.installer, cast.metering_point(), meter_id="1 EMH")
    assert refusal.value.field == "meter_id"


def test_a_meter_may_call_itself_otherwise_in_sml(cast: Cast) -> None:
    meter = install_meter(
        cast.installer, cast.metering_point(), meter_id=METER, server_id="06 45 4D 48 01 02 03 04 05 06"
    )
    assert meter.server_id == "06454d48010203040506"
    for wrong in ("zz", "06", "0a" * 30, "0a99454d480000bc614e"):
        with pytest.raises(Invalid) as refusal:
            install_meter(cast.installer, cast.metering_point(), meter_id="1EMH0000000009", server_id=wrong)
        assert refusal.value.field == "server_id"


def test_a_metering_point_has_one_meter_and_a_meter_one_place(cast: Cast) -> None:
    meter = cast.meter(meter_id=METER)
    with pytest.raises(Conflict, match="remove it first"):
        cast.meter(meter.metering_point)
    with pytest.raises(Conflict, match="another metering point"):
        cast.meter(meter_id=METER)
    remove_meter(cast.installer, meter)
    with pytest.raises(Conflict, match="already"):
        remove_meter(cast.installer, meter)
    cast.meter(meter_id=METER)


def test_the_database_itself_allows_one_meter_per_metering_point(cast: Cast) -> None:
    meter = cast.meter()
    with pytest.raises(IntegrityError), transaction.atomic():
        Meter.objects.create(
            organisation=cast.organisation, metering_point=meter.metering_point, meter_id="1EMH0000999999"
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Meter.objects.filter(pk=meter.pk).update(removed_at=LONG_AGO - timedelta(days=1))


def test_a_meter_leaves_neither_before_it_came_nor_while_it_is_paired(cast: Cast) -> None:
    meter = cast.meter()
    with pytest.raises(Invalid):
        remove_meter(cast.operator, meter, at=LONG_AGO - timedelta(seconds=1))
    with pytest.raises(Invalid, match="time zone"):
        remove_meter(cast.operator, meter, at=datetime(2026, 6, 1))  # noqa: DTZ001
    cast.pairing(cast.adapter(meter.metering_point.site), meter.metering_point)
    with pytest.raises(Conflict, match="open pairing"):
        remove_meter(cast.operator, meter)
    with pytest.raises(Conflict, match="remove it first"):
        archive_metering_point(cast.operator, meter.metering_point)


def test_a_paired_metering_point_is_not_archived(cast: Cast) -> None:
    held = cast.pairing()
    with pytest.raises(Conflict, match="paired"):
        archive_metering_point(cast.operator, held.metering_point)


def test_a_limited_installer_works_at_granted_sites_only(cast: Cast) -> None:
    here, there = cast.site(), cast.site()
    member = add_member(STAGE, cast.organisation, "limited@example.org", "installer", all_sites=False)
    mine, other = cast.adapter(here), cast.adapter(there)
    cast.adapter(here)
    assert not queries.visible_sites(member.user, cast.organisation).exists()
    grant_site(cast.administrator, member, here)
    assert list(queries.visible_sites(member.user, cast.organisation)) == [here]
    assert set(queries.visible_adapters(member.user)) == set(here.adapters.all())
    point = create_metering_point(member.user, here, name="Flat")
    pair(member.user, mine, point)
    with pytest.raises(Forbidden, match="other sites"):
        create_metering_point(member.user, there, name="Flat")
    with pytest.raises(Forbidden, match="other sites"):
        pair(member.user, other, point, input=1)
    withdraw_site(cast.administrator, member, here)
    assert not queries.visible_adapters(member.user).exists()


def test_a_limited_operator_cannot_create_sites_or_unplaced_adapters(cast: Cast) -> None:
    member = add_member(STAGE, cast.organisation, "limited@example.org", "operator", all_sites=False)
    with pytest.raises(Forbidden):
        create_site(member.user, cast.organisation, name="Mine")


def test_reach_adds_up_over_organisations(cast: Cast) -> None:
    here, there = cast.site(), cast.site(company=cast.away)
    cast.site(company=cast.away)
    member = add_member(STAGE, cast.away.organisation, cast.installer.email, "installer", all_sites=False)
    grant_site(STAGE, member, there)
    assert set(queries.visible_sites(cast.installer)) == {here, there}


def test_a_site_of_another_organisation_cannot_be_granted(cast: Cast) -> None:
    with pytest.raises(Invalid, match="no such object"):
        grant_site(cast.administrator, cast.home.member("installer"), cast.site(company=cast.away))


def test_sites_come_with_their_number_of_adapters(cast: Cast) -> None:
    site = cast.site()
    cast.adapter(site)
    cast.adapter(site)
    assert queries.sites_with_counts(cast.viewer, cast.organisation).get(pk=site.pk).adapter_count == 2


def test_times_are_kept_as_given(cast: Cast) -> None:
    moment = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    meter = install_meter(STAGE, cast.metering_point(), meter_id=METER, installed_at=moment)
    assert Meter.objects.get(pk=meter.pk).installed_at == moment
