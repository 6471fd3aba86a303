"""Releasing, replacing, moving, configuring, and taking back what was archived."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet import services as fleet
from provisioning.fleet.models import Adapter, Concentrator, MeteringPoint, Site
from provisioning.labels.models import OwnerToken
from provisioning.pairing.models import Configuration
from provisioning.pairing.queries import progress
from provisioning.pairing.services import (
    adapter_by_scan,
    desired_configuration,
    move,
    pair,
    record_step,
    refresh_configuration,
    replace_adapter,
    replace_meter,
    set_reporting,
    unpair,
)
from tests.cast import JOIN_EUI, LONG_AGO, STAGE, Cast
from tests.provisioning.labelled import label_of, labelled

DAY = timedelta(days=1)


def test_the_last_pairings_end_puts_the_adapter_back_into_stock(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)
    first, second = cast.pairing(adapter), cast.pairing(adapter, input=1)
    unpair(cast.operator, first, reason="moved out")
    adapter.refresh_from_db()
    assert (adapter.site, adapter.concentrator) == (site, concentrator)
    unpair(cast.operator, second, reason="moved out")
    adapter.refresh_from_db()
    assert (adapter.site, adapter.concentrator) == (None, None)
    assert Configuration.objects.get(adapter=adapter).records == ""
    moved = Entry.objects.filter(action="adapter.moved").last()
    assert moved is not None
    assert moved.data["concentrator"] == [concentrator.name, None]


def test_an_adapter_that_stays_in_place_can_be_kept_there(cast: Cast) -> None:
    held = cast.pairing()
    site = held.adapter.site
    unpair(cast.operator, held, reason="tenant changes", release=False)
    held.adapter.refresh_from_db()
    assert held.adapter.site == site


def test_pairing_by_hand_brings_the_adapter_to_the_site(cast: Cast) -> None:
    point = cast.metering_point()
    concentrator = cast.concentrator(point.site)
    adapter = fleet.create_adapter(STAGE, cast.organisation, dev_eui="70b3d57ed2000001", join_eui=JOIN_EUI)
    pair(cast.operator, adapter, point)
    adapter.refresh_from_db()
    assert (adapter.site, adapter.concentrator) == (point.site, concentrator)


def test_inputs_of_one_adapter_hang_in_one_building(cast: Cast) -> None:
    held = cast.pairing()
    with pytest.raises(Conflict, match="Another input"):
        pair(cast.operator, held.adapter, cast.metering_point(), input=1)


def test_a_neighbours_concentrator_keeps_serving_a_site_without_one(cast: Cast) -> None:
    site = cast.site()
    adapter = cast.adapter(site, cast.concentrator(cast.site()))
    served = adapter.concentrator
    cast.pairing(adapter)
    adapter.refresh_from_db()
    assert adapter.concentrator == served


def test_a_replaced_adapter_goes_into_stock_and_the_new_one_takes_its_place(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    old = cast.pairing(cast.adapter(site, concentrator))
    spare = fleet.create_adapter(STAGE, cast.organisation, dev_eui="70b3d57ed2000001", join_eui=JOIN_EUI)
    labelled(spare)
    new = replace_adapter(cast.operator, old, spare, reason="broken")
    assert OwnerToken.objects.get(adapter=spare).state == "consumed"
    spare.refresh_from_db()
    assert (spare.site, spare.concentrator) == (site, concentrator)
    assert Adapter.objects.get(pk=old.adapter_id).site is None
    entry = Entry.objects.get(action="pairing.adapter_replaced")
    assert (entry.data["adapter"], entry.data["reason"]) == ([old.adapter.dev_eui, spare.dev_eui], "broken")
    assert new.state == "pending"


def test_readings_of_both_meters_stay_on_the_two_pairings(cast: Cast) -> None:
    meter = cast.meter()
    old = cast.pairing(cast.adapter(meter.metering_point.site), meter.metering_point)
    record_step(old.pk, "joined", LONG_AGO)
    new = replace_meter(
        cast.operator, old, "1 EMH 00 1234 5678", reason="calibration ended", last_value=Decimal("81234.5"),
        first_value=Decimal("0.1"),
    )  # fmt: skip
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.last_value, new.first_value) == (Decimal("81234.500"), Decimal("0.100"))
    assert {step: at for step, at, _ in progress(new)}["joined"] == LONG_AGO
    entry = Entry.objects.get(action="pairing.meter_replaced")
    assert entry.data["meter"] == [meter.meter_id, "1EMH0012345678"]
    assert (entry.data["last_value"], entry.data["first_value"]) == ("81234.500", "0.100")
    with pytest.raises(Invalid):
        replace_meter(cast.operator, new, "1 EMH 00 1234 5679", reason="again", last_value=Decimal(-1))


def test_a_moved_adapter_reads_another_metering_point_of_another_site(cast: Cast) -> None:
    held = cast.pairing()
    point = cast.metering_point()
    concentrator = cast.concentrator(point.site)
    new = move(cast.operator, held, point, "wrong house")
    held.refresh_from_db()
    assert (held.state, new.metering_point, new.adapter) == ("ended", point, held.adapter)
    new.adapter.refresh_from_db()
    assert (new.adapter.site, new.adapter.concentrator) == (point.site, concentrator)
    entry = Entry.objects.get(action="pairing.moved")
    assert entry.data["site"] == [held.metering_point.site.name, point.site.name]
    with pytest.raises(Conflict, match="already"):
        move(cast.operator, new, point, "again")


def test_an_operator_finds_an_adapter_by_its_label_or_number(cast: Cast) -> None:
    adapter = cast.adapter()
    labelled(adapter)
    assert adapter_by_scan(cast.operator, cast.organisation, label_of(adapter)) == adapter
    assert adapter_by_scan(cast.operator, cast.organisation, adapter.dev_eui.upper()) == adapter
    with pytest.raises(Invalid, match="present"):
        adapter_by_scan(cast.operator, cast.organisation, label_of(adapter, "Z" * 26))
    with pytest.raises(Invalid, match="meter"):
        adapter_by_scan(cast.operator, cast.organisation, "1 EMH 00 1234 5678")
    theirs = cast.adapter(cast.site(company=cast.away))
    with pytest.raises(Conflict):
        adapter_by_scan(cast.operator, cast.organisation, theirs.dev_eui)


def test_what_an_operator_set_is_wanted_with_a_new_version(cast: Cast) -> None:
    meter = cast.meter()
    adapter = cast.adapter(meter.metering_point.site)
    cast.pairing(adapter, meter.metering_point)
    row = set_reporting(cast.operator, adapter, period_s=900, registers={0: [1, 2]})
    assert row.version == 2
    assert [type(record).__name__ for record in desired_configuration(adapter)] == [
        "MeterIdentity", "Reporting", "Registers",
    ]  # fmt: skip
    assert set_reporting(cast.operator, adapter, period_s=900, registers={0: [1, 2]}).version == 2
    assert set_reporting(cast.operator, adapter, period_s=None).version == 3
    assert Entry.objects.filter(action="adapter.reporting_set").count() == 2


def test_versions_begin_again_after_the_highest(cast: Cast) -> None:
    adapter = cast.adapter()
    Configuration.objects.create(adapter=adapter, version=65_535, records="ff00")
    assert refresh_configuration(adapter).version == 1


def test_somebody_elses_device_is_configured_by_nobody(cast: Cast) -> None:
    meter = cast.meter()
    adapter = cast.adapter(meter.metering_point.site)
    Adapter.objects.update(kind="foreign")
    adapter.refresh_from_db()
    cast.pairing(adapter, meter.metering_point)
    assert desired_configuration(adapter) == ()
    assert refresh_configuration(adapter).version == 0


@pytest.mark.parametrize(
    ("period_s", "registers"),
    [(59, {}), (86_401, {}), (900, {8: [1]}), (900, {0: []}), (900, {0: [1, 1]}), (900, {0: [31]}), (900, {0: [0]})],
)
def test_settings_out_of_range_are_refused(cast: Cast, period_s: int, registers: dict[int, list[int]]) -> None:
    with pytest.raises(Invalid):
        set_reporting(cast.operator, cast.adapter(), period_s=period_s, registers=registers)


def test_what_was_archived_comes_back_within_thirty_days(cast: Cast) -> None:
    site = cast.site()
    concentrator, adapter, point = cast.concentrator(site), cast.adapter(site), cast.metering_point(site)
    fleet.archive_adapter(cast.operator, adapter)
    fleet.archive_metering_point(cast.operator, point)
    fleet.archive_concentrator(cast.operator, concentrator)
    fleet.archive_site(cast.operator, site)
    with pytest.raises(Conflict, match="archived"):
        fleet.restore_adapter(cast.operator, adapter)
    fleet.restore_site(cast.operator, site)
    fleet.restore_concentrator(cast.operator, concentrator)
    fleet.restore_metering_point(cast.operator, point)
    fleet.restore_adapter(cast.operator, adapter)
    for model in (Site, Concentrator, MeteringPoint, Adapter):
        assert not model.objects.exclude(archived_at=None).exists()
    restored = Entry.objects.filter(action__endswith=".restored").order_by("id").values_list("action", flat=True)
    assert list(restored) == [
        "site.restored", "concentrator.restored", "metering_point.restored", "adapter.restored",
    ]  # fmt: skip
    with pytest.raises(Conflict, match="not archived"):
        fleet.restore_site(cast.operator, site)


def test_after_thirty_days_it_stays_archived(cast: Cast) -> None:
    adapter = cast.adapter()
    fleet.archive_adapter(cast.operator, adapter)
    Adapter.objects.filter(pk=adapter.pk).update(archived_at=timezone.now() - timedelta(days=31))
    with pytest.raises(Conflict, match="30 days"):
        fleet.restore_adapter(cast.operator, adapter)


def test_a_place_that_is_taken_stays_taken(cast: Cast) -> None:
    adapter, site = cast.adapter(), cast.site("Lindenweg 8")
    fleet.archive_adapter(cast.operator, adapter)
    cast.adapter(dev_eui=adapter.dev_eui)
    fleet.archive_site(cast.operator, site)
    cast.site("Lindenweg 8")
    with pytest.raises(Conflict, match="in use again"):
        fleet.restore_adapter(cast.operator, adapter)
    with pytest.raises(Conflict, match="in use again"):
        fleet.restore_site(cast.operator, site)
    assert not Entry.objects.filter(action__endswith=".restored").exists()


def test_a_restored_adapter_is_served_by_no_concentrator_that_is_gone(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)
    fleet.archive_adapter(cast.operator, adapter)
    fleet.archive_concentrator(cast.operator, concentrator)
    assert fleet.restore_adapter(cast.operator, adapter).concentrator is None
