"""A delivery for a concentrator: its adapters have slots before anybody has hung them up."""

import io
from typing import Any

import pytest

from provisioning.audit.models import Entry
from provisioning.batches import services as batches
from provisioning.batches.models import Batch, BatchRow, Supplier
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import pair
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.services import set_plan
from tests.cast import STAGE, Cast
from tests.support.supplier_file import MAPPING, TITLES, adapters, csv_file

WITH_SLOTS = (*TITLES, "Interval", "SF")


@pytest.fixture
def supplier(cast: Cast) -> Supplier:
    mapping = {**MAPPING, "period_s": "Interval", "data_rate": "SF"}
    return batches.save_supplier(cast.operator, cast.organisation, "Funkwerk", mapping=mapping)


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator(cast.site())


def delivery(*pairs: tuple[str, str]) -> io.BytesIO:
    """Adapters with these intervals and data rates."""
    rows = zip(adapters(len(pairs)), pairs, strict=True)
    return csv_file([[*row, *pair] for row, pair in rows], WITH_SLOTS)


def imported(cast: Cast, supplier: Supplier, file: io.BytesIO, told: Any = None, **more: Any) -> Batch:
    batch = batches.upload(cast.operator, cast.organisation, file, "delivery.csv", supplier=supplier, **more)
    return batches.run(batches.start(cast.operator, batch), told)


def slots() -> list[tuple[int, int, int]]:
    """(period, data rate, overlap) by DevEUI."""
    rows = Assignment.objects.filter(concentrator__isnull=False).order_by("adapter__dev_eui")
    return list(rows.values_list("period_s", "data_rate", "overlap_ms"))


@pytest.mark.parametrize("mode", ["all_or_nothing", "skip_bad_rows"])
def test_each_gets_a_slot_with_its_period_and_data_rate(
    cast: Cast, supplier: Supplier, cellar: Concentrator, mode: str
) -> None:
    file = delivery(("900", "SF9"), ("", "DR5"), ("60", "3"), ("", ""))
    batch = imported(cast, supplier, file, site=cellar.site, concentrator=cellar, mode=mode)
    assert (batch.state, batch.imported, batch.failure) == ("done", 4, "")
    assert slots() == [(900, 3, 0), (900, 5, 0), (60, 3, 0), (900, 0, 0)]
    wanted = Configuration.objects.order_by("adapter__dev_eui").values_list("period_s", "version")
    assert list(wanted) == [(900, 1), (None, 1), (60, 1), (None, 1)]
    assert all("100d0001" in row.records for row in Configuration.objects.all())
    assert Entry.objects.get(action="batch.slots_given").data == {"slots": 4}


def test_the_pairing_keeps_the_slot_of_the_import(cast: Cast, supplier: Supplier, cellar: Concentrator) -> None:
    imported(cast, supplier, delivery(("300", "4")), site=cellar.site, concentrator=cellar)
    adapter = Adapter.objects.get(dev_eui="70b3d57ed2000000")
    before = Assignment.objects.values().get()
    pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert Assignment.objects.values().get() == before


def test_a_period_or_data_rate_outside_of_the_plan_is_an_error_of_its_cell(
    cast: Cast, supplier: Supplier, cellar: Concentrator
) -> None:
    file = delivery(("600", "3"), ("900", "6"), ("900", "SF13"), ("15 min", "DR"), ("86401", "SF6"), ("900", "3"))
    batch = batches.upload(cast.operator, cast.organisation, file, "d.csv", supplier=supplier, concentrator=cellar)
    rows = BatchRow.objects.filter(batch=batch).order_by("line")
    assert [[(error["column"], error["code"]) for error in row.errors] for row in rows] == [
        [("Interval", "period")],
        [("SF", "data_rate")],
        [("SF", "data_rate")],
        [("Interval", "not_a_number"), ("SF", "not_a_number")],
        [("Interval", "period"), ("SF", "data_rate")],
        [],
    ]
    assert "600" in rows[0].errors[0]["message"]


def test_without_a_concentrator_the_period_waits_for_the_pairing(
    cast: Cast, supplier: Supplier, cellar: Concentrator
) -> None:
    imported(cast, supplier, delivery(("60", "5"), ("", "")))
    assert slots() == []
    assert Configuration.objects.count() == 1
    adapter = Adapter.objects.get(dev_eui="70b3d57ed2000000")
    pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert [period for period, *_ in slots()] == [60]


def test_a_concentrator_whose_pairings_get_none_gives_none(
    cast: Cast, supplier: Supplier, cellar: Concentrator
) -> None:
    set_plan(STAGE, cellar, quantum_ms=2, guard_ms=60, reserve=25, previous=False, by_pairing=False)
    batch = imported(cast, supplier, delivery(("60", "5"), ("", "")), concentrator=cellar)
    assert batch.state == "done"
    assert slots() == []
    assert Configuration.objects.get().period_s == 60
    assert not Entry.objects.filter(action="batch.slots_given").exists()


def test_a_delivery_that_finds_no_room_lies_over_nobody_and_waits_for_its_pairings(
    cast: Cast, supplier: Supplier, cellar: Concentrator
) -> None:
    """Of slots of 4.4 s, six fit into half a minute of each of eight channels."""
    set_plan(STAGE, cellar, quantum_ms=10, guard_ms=2000, reserve=500, previous=False)
    batch = imported(cast, supplier, delivery(*[("60", "2")] * 60), site=cellar.site, concentrator=cellar)
    given = slots()
    assert (batch.state, batch.imported, len(given)) == ("done", 60, 48)
    assert {overlap for *_, overlap in given} == {0}
    assert SlotPlan.objects.get(pk=cellar.pk).full_since is None
    assert Entry.objects.get(action="batch.slots_given").data == {"slots": 48}
    waiting = Adapter.objects.filter(slot=None).first()
    assert waiting is not None
    pair(cast.operator, waiting, cast.metering_point(cellar.site))
    assert len(slots()) == 49
    assert Assignment.objects.get(adapter=waiting).overlap_ms > 0


def test_a_worker_that_dies_over_the_slots_is_followed_by_one_that_gives_the_rest(
    cast: Cast, supplier: Supplier, cellar: Concentrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.batches.services.slotting.CHUNK", 2)
    file = delivery(*[("900", "5")] * 5)
    batch = batches.upload(cast.operator, cast.organisation, file, "d.csv", supplier=supplier, concentrator=cellar)
    batch = batches.start(cast.operator, batch)

    def die(done: int) -> None:
        if len(slots()) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batches.run(batch, die)
    batch.refresh_from_db()
    assert (batch.state, batch.imported, len(slots())) == ("importing", 5, 2)
    kept = set(Assignment.objects.values_list("adapter", "channel", "phase_ms"))
    batch = batches.run(batch)
    assert (batch.state, batch.imported, len(slots())) == ("done", 5, 5)
    assert kept < set(Assignment.objects.values_list("adapter", "channel", "phase_ms"))
    assert set(Assignment.objects.values_list("version", flat=True)) == {1}


def test_foreign_devices_of_a_delivery_get_no_slots(cast: Cast, supplier: Supplier, cellar: Concentrator) -> None:
    rows = [[*row[:3], "", *row[4:], "", ""] for row in adapters(2)]
    batches.save_supplier(cast.operator, cast.organisation, "Fremd", mapping={**MAPPING}, defaults={"kind": "foreign"})
    theirs = Supplier.objects.get(name="Fremd")
    batch = imported(cast, theirs, csv_file(rows, WITH_SLOTS), concentrator=cellar)
    assert (batch.state, slots()) == ("done", [])
