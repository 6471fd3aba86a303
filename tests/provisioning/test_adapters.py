"""Adapters: registering, moving, archiving, and their pages at 100,000 rows."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet import queries
from provisioning.fleet.models import Adapter, Concentrator, DeviceChange
from provisioning.fleet.services import archive_adapter, create_adapter, create_adapters, move_adapter, update_adapter
from provisioning.fleet.services.adapters import MAX_AT_ONCE, NewAdapter
from provisioning.pairing.services import unpair
from tests.cast import JOIN_EUI, Cast

EUI = "70B3D57ED0061234"


def test_an_eui_is_kept_in_lower_case_however_it_was_typed(cast: Cast) -> None:
    for number, typed in enumerate(("70-B3-D5-7E-D0-06-12-34", "70:b3:d5:7e:d0:06:12:35", "70B3D57ED0061236")):
        adapter = create_adapter(cast.operator, cast.organisation, dev_eui=typed, join_eui=JOIN_EUI.upper())
        assert (adapter.dev_eui, adapter.join_eui) == (f"70b3d57ed00612{34 + number}", JOIN_EUI)


@pytest.mark.parametrize("wrong", ["", "70b3", "x" * 16, "70B3D57ED00612345", "70B3D57ED006123\0", None])
def test_a_wrong_eui_is_refused(cast: Cast, wrong: str) -> None:
    with pytest.raises(Invalid) as refusal:
        create_adapter(cast.operator, cast.organisation, dev_eui=wrong, join_eui=JOIN_EUI)
    assert refusal.value.field == "dev_eui"


def test_a_device_is_registered_once_in_all_organisations_until_archived(cast: Cast) -> None:
    adapter = cast.adapter(dev_eui=EUI)
    with pytest.raises(Conflict, match="registered already"):
        create_adapter(cast.outsider, cast.away.organisation, dev_eui=EUI, join_eui=JOIN_EUI)
    archive_adapter(cast.operator, adapter)
    again = create_adapter(cast.outsider, cast.away.organisation, dev_eui=EUI, join_eui=JOIN_EUI)
    assert queries.adapters_by_eui([EUI.lower(), "0" * 16]) == {EUI.lower(): again}


def test_a_site_or_concentrator_of_another_organisation_does_not_exist_here(cast: Cast) -> None:
    foreign_site = cast.site(company=cast.away)
    foreign = cast.concentrator(foreign_site)
    adapter = cast.adapter()
    for wrong in (
        lambda: create_adapter(cast.operator, cast.organisation, dev_eui=EUI, join_eui=JOIN_EUI, site=foreign_site),
        lambda: create_adapter(cast.operator, cast.organisation, dev_eui=EUI, join_eui=JOIN_EUI, concentrator=foreign),
        lambda: move_adapter(cast.operator, adapter, site=adapter.site, concentrator=foreign),
        lambda: move_adapter(cast.operator, adapter, site=foreign_site, concentrator=None),
    ):
        with pytest.raises(Invalid, match="no such object"):
            wrong()


def test_many_are_registered_at_once_or_none_with_one_entry_and_one_revision(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    new = [NewAdapter(f"70b3d57ed4{n:06x}", JOIN_EUI) for n in range(300)]
    entries = Entry.objects.count()
    rows = create_adapters(cast.operator, cast.organisation, new, site=site, concentrator=concentrator)
    assert [row.dev_eui for row in rows] == [item.dev_eui for item in new]
    assert Entry.objects.count() == entries + 1
    concentrator.refresh_from_db()
    assert concentrator.desired_revision == 2
    assert DeviceChange.objects.filter(concentrator=concentrator, revision=2).count() == 300
    with pytest.raises(Conflict):
        create_adapters(cast.operator, cast.organisation, [NewAdapter("70b3d57ed5000000", JOIN_EUI), new[0]])
    assert not Adapter.objects.filter(dev_eui="70b3d57ed5000000").exists()
    for wrong in ([], new * (MAX_AT_ONCE // 300 + 1)):
        with pytest.raises(Invalid):
            create_adapters(cast.operator, cast.organisation, wrong)


def test_serial_and_location_change_with_an_entry(cast: Cast) -> None:
    adapter = cast.adapter()
    update_adapter(cast.installer, adapter, serial="A-17", location="cellar, left")
    adapter.refresh_from_db()
    assert (adapter.serial, adapter.location) == ("A-17", "cellar, left")
    assert Entry.objects.latest("id").action == "adapter.updated"


def test_a_move_tells_both_concentrators(cast: Cast) -> None:
    site = cast.site()
    old, new = cast.concentrator(site), cast.concentrator(site)
    adapter = cast.adapter(site, old)
    before = {row.pk: row.desired_revision for row in Concentrator.objects.all()}
    move_adapter(cast.operator, adapter, site=site, concentrator=new)
    after = {row.pk: row.desired_revision for row in Concentrator.objects.all()}
    assert after == {pk: revision + 1 for pk, revision in before.items()}
    move_adapter(cast.operator, adapter, site=cast.site(), concentrator=new)
    assert {row.pk: row.desired_revision for row in Concentrator.objects.all()} == after


def test_an_archived_adapter_leaves_the_lists_and_its_concentrator(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)
    held = cast.pairing(adapter)
    with pytest.raises(Conflict, match="paired"):
        archive_adapter(cast.operator, adapter)
    unpair(cast.operator, held, reason="moved out")
    archive_adapter(cast.operator, adapter)
    archive_adapter(cast.operator, adapter)
    concentrator.refresh_from_db()
    assert concentrator.desired_revision == 4  # added, given a slot, its slot taken back, archived
    assert adapter not in queries.visible_adapters(cast.operator)
    assert adapter in queries.visible_adapters(cast.operator, archived=True)
    with pytest.raises(Conflict, match="archived"):
        update_adapter(cast.operator, adapter, serial="x")


def test_the_database_keeps_address_and_activation_together(cast: Cast) -> None:
    adapter = cast.adapter()
    with pytest.raises(IntegrityError), transaction.atomic():
        Adapter.objects.filter(pk=adapter.pk).update(activation="abp")
    with pytest.raises(IntegrityError), transaction.atomic():
        Adapter.objects.filter(pk=adapter.pk).update(dev_addr="00000001")


def test_a_page_of_adapters_takes_two_queries_and_an_index(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    new = [NewAdapter(f"70b3d57ed4{n:06x}", JOIN_EUI) for n in range(200)]
    create_adapters(cast.operator, cast.organisation, new, site=site, concentrator=concentrator)
    with CaptureQueriesContext(connection) as taken:
        page = list(queries.visible_adapters(cast.viewer, cast.organisation).filter(dev_eui__gt=new[99].dev_eui)[:50])
        assert [(row.site.name, row.concentrator.name) for row in page if row.site and row.concentrator]
    assert page[0].dev_eui == new[100].dev_eui
    assert len(taken) == 2
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = queries.visible_adapters(cast.viewer, cast.organisation).filter(dev_eui__gt="7")[:50].explain()
        assert "Sort" not in plan
        assert "Seq Scan" not in plan
