"""What is done to a pairing: before and after are shown, a reason is asked for, conflicts are told and not thrown."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from meterwire.ids import DevEUI, JoinEUI
from meterwire.label import Label
from portal.telemetry.models import Reading
from provisioning.accounts.models import User
from provisioning.audit.models import Entry
from provisioning.labels.services import adopt_token
from provisioning.pairing import services
from provisioning.pairing.models import Configuration, Pairing
from tests.cast import STAGE
from tests.portal_web.installed import Installed
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]
NEW_METER = "1 EMH 00 9999 0001"


@pytest.fixture
def installed(world: World) -> Installed:
    return Installed(world)


@pytest.fixture
def client(world: World, browse: Browse) -> Client:
    return browse(world.cast.operator)


def url(deed: str, pairing: Pairing) -> str:
    return reverse(f"pairing-{deed}", args=[pairing.pk])


def changes(answer: Any) -> dict[str, tuple[str, str]]:
    return {change.name: (change.before, change.after) for change in answer.context["changes"]}


def errors(answer: Any) -> str:
    assert answer.status_code == 409
    return str(answer.context["form"].errors)


def open_of(pairing: Pairing) -> Pairing:
    return Pairing.objects.get(metering_point=pairing.metering_point, to_at=None)


def test_ending_needs_a_reason_and_puts_the_adapter_into_stock(
    world: World, installed: Installed, client: Client
) -> None:
    row = installed.matched()
    assert "required" in errors(client.post(url("end", row), {"reason": "", "release": "on"}))
    assert client.post(url("end", row), {"reason": "demolished", "release": "on"}).status_code == 302
    row.refresh_from_db()
    row.adapter.refresh_from_db()
    assert (row.state, row.adapter.site, row.adapter.concentrator) == ("ended", None, None)
    entry = Entry.objects.get(action="pairing.ended")
    assert (entry.actor, entry.data["reason"]) == (world.cast.operator, "demolished")


def test_an_adapter_may_stay_where_it_is_and_have_ended_earlier(installed: Installed, client: Client) -> None:
    row = installed.matched(ago=timedelta(days=2))
    at = timezone.localtime() - timedelta(days=1)
    client.post(url("end", row), {"reason": "tenant", "at": at.strftime("%Y-%m-%dT%H:%M")})
    row.refresh_from_db()
    row.adapter.refresh_from_db()
    assert row.to_at == at.replace(second=0, microsecond=0)
    assert row.adapter.site is not None


@pytest.mark.parametrize(
    ("at", "words"),
    [("2099-01-01T00:00", "future"), ("2001-01-01T00:00", "before it began"), ("yesterday", "valid date")],
)
def test_an_impossible_time_is_told_at_its_field(at: str, words: str, installed: Installed, client: Client) -> None:
    row = installed.matched()
    assert words in errors(client.post(url("end", row), {"reason": "tenant", "at": at}))
    row.refresh_from_db()
    assert row.to_at is None


def test_what_has_ended_is_not_ended_again(installed: Installed, client: Client) -> None:
    row = installed.matched()
    services.unpair(STAGE, row, reason="first")
    answer = client.post(url("end", row), {"reason": "second"}, follow=True)
    assert "has ended already" in answer.content.decode()


def test_two_operators_at_once_end_in_words(
    installed: Installed, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = installed.matched()
    real = services.unpair

    def slower(*arguments: Any, **more: Any) -> Pairing:
        real(STAGE, Pairing.objects.get(pk=row.pk), reason="the other one")
        return real(*arguments, **more)

    monkeypatch.setattr("portal.web.pairings_deeds.unpair", slower)
    assert "ended already; look again" in errors(client.post(url("end", row), {"reason": "mine"}))


def test_a_new_adapter_is_looked_at_before_it_replaces_the_old_one(
    world: World, installed: Installed, client: Client
) -> None:
    row = installed.matched()
    spare = world.cast.adapter()
    data = {"stock": str(spare.pk), "input": "0", "reason": "lightning"}
    look = client.post(url("replace-adapter", row), data)
    assert changes(look)["Adapter"] == (row.adapter.dev_eui.upper(), spare.dev_eui.upper())
    assert Pairing.objects.filter(metering_point=row.metering_point).count() == 1
    back = client.post(url("replace-adapter", row), {**look.context["kept"], "back": "yes"})
    assert back.context["form"].data["reason"] == "lightning"
    assert client.post(url("replace-adapter", row), {**look.context["kept"], "sure": "yes"}).status_code == 302
    new = open_of(row)
    assert (new.adapter, new.metering_point, new.state) == (spare, row.metering_point, "pending")
    assert Entry.objects.get(action="pairing.adapter_replaced").data["reason"] == "lightning"


def test_a_scanned_label_names_the_new_adapter_and_is_never_written_back(
    world: World, installed: Installed, client: Client
) -> None:
    row = installed.matched()
    spare = world.cast.keyed_adapter()
    token = "A" * 26
    adopt_token(STAGE, spare, token)
    label = Label(JoinEUI.parse(spare.join_eui), DevEUI.parse(spare.dev_eui), "000A000B", token).format()
    look = client.post(url("replace-adapter", row), {"label": label, "input": "0", "reason": "broken"})
    assert changes(look)["Adapter"][1] == spare.dev_eui.upper()
    assert label not in look.content.decode()
    assert look.context["kept"]["stock"] == str(spare.pk)
    wrong = client.post(url("replace-adapter", row), {"label": label[:-2], "input": "0", "reason": "broken"})
    assert wrong.context["form"].errors["label"]
    assert label[:-2] not in wrong.content.decode()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "label"),
        ({"label": "1EMH0012345678"}, "label"),
        ({"label": "70B3D57ED0FFFFFF"}, "label"),
        ({"label": "x" * 600}, "label"),
        ({"stock": "99999999"}, "stock"),
        ({"stock": "x"}, "stock"),
    ],
)
def test_what_is_no_adapter_of_ours_is_refused_in_words(
    data: dict[str, str], field: str, installed: Installed, client: Client
) -> None:
    row = installed.matched()
    answer = client.post(url("replace-adapter", row), {"input": "0", "reason": "broken", "sure": "yes", **data})
    assert answer.status_code == 409
    assert answer.context["form"].errors[field]
    assert open_of(row) == row


def test_another_organisations_adapter_is_as_unknown_as_none(
    world: World, installed: Installed, client: Client
) -> None:
    row = installed.matched()
    foreign = world.cast.adapter(world.cast.site(company=world.cast.away))
    data = {"input": "0", "reason": "broken"}
    theirs = client.post(url("replace-adapter", row), {**data, "label": foreign.dev_eui})
    nobodys = client.post(url("replace-adapter", row), {**data, "label": "70b3d57ed0fffffe"})
    assert theirs.context["form"].errors == nobodys.context["form"].errors
    assert errors(client.post(url("replace-adapter", row), {**data, "stock": foreign.pk}))


def test_an_adapter_that_reads_something_else_is_a_conflict_in_words(installed: Installed, client: Client) -> None:
    row, busy = installed.matched(), installed.matched()
    data = {"label": busy.adapter.dev_eui, "input": "0", "reason": "broken", "sure": "yes"}
    assert "paired already" in errors(client.post(url("replace-adapter", row), data))
    assert open_of(row) == row


def test_a_meter_is_replaced_with_what_both_displays_showed(installed: Installed, client: Client) -> None:
    row = installed.matched()
    assert row.meter is not None
    data = {"meter_id": NEW_METER, "last_value": "12345.7", "first_value": "0.3", "reason": "calibration"}
    look = client.post(url("replace-meter", row), data)
    assert changes(look)["Meter"] == (row.meter.meter_id, "1EMH0099990001")
    assert changes(look)["Display"] == ("12,345.700 kWh", "0.300 kWh")
    client.post(url("replace-meter", row), {**look.context["kept"], "sure": "yes"})
    new = open_of(row)
    row.refresh_from_db()
    assert new.meter is not None
    assert (new.meter.meter_id, new.adapter, row.last_value, new.first_value) == (
        "1EMH0099990001", row.adapter, Decimal("12345.7"), Decimal("0.3"),
    )  # fmt: skip


@pytest.mark.parametrize("number", ["", "1EMH001234567", "hello", "ß" * 40])
def test_a_number_that_is_no_meters_is_refused(number: str, installed: Installed, client: Client) -> None:
    row = installed.matched()
    answer = client.post(url("replace-meter", row), {"meter_id": number, "reason": "calibration", "sure": "yes"})
    assert answer.status_code == 409
    assert answer.context["form"].errors["meter_id"]


def test_a_meter_that_hangs_elsewhere_is_a_conflict_in_words(installed: Installed, client: Client) -> None:
    row, other = installed.matched(), installed.matched()
    assert other.meter is not None
    data = {"meter_id": other.meter.meter_id, "reason": "calibration", "sure": "yes"}
    assert "installed at another metering point" in errors(client.post(url("replace-meter", row), data))
    assert open_of(row) == row


def test_a_move_to_a_new_place_of_another_site(world: World, installed: Installed, client: Client) -> None:
    row = installed.matched()
    site = world.cast.site("Uferweg 3")
    there = f"{url('move', row)}?site={site.pk}"
    look = client.post(there, {"name": "General supply", "reason": "rebuilt"})
    assert changes(look)["Site"] == (world.site.name, "Uferweg 3")
    client.post(there, {**look.context["kept"], "sure": "yes"})
    new = Pairing.objects.get(adapter=row.adapter, to_at=None)
    assert (new.metering_point.name, new.metering_point.site) == ("General supply", site)


def test_only_free_metering_points_can_be_moved_to(world: World, installed: Installed, client: Client) -> None:
    row, taken, free = installed.matched(), installed.matched(), installed.point()
    points = client.get(url("move", row)).context["form"].fields["point"].queryset
    assert free in points
    assert taken.metering_point not in points
    data = {"point": taken.metering_point.pk, "reason": "rebuilt", "sure": "yes"}
    assert client.post(url("move", row), data).status_code == 409
    client.post(url("move", row), {"point": free.pk, "reason": "rebuilt", "sure": "yes"})
    assert Pairing.objects.get(adapter=row.adapter, to_at=None).metering_point == free


def test_a_move_that_fails_leaves_no_empty_place_behind(world: World, installed: Installed, client: Client) -> None:
    row = installed.matched()
    name = installed.point().name
    assert errors(client.post(url("move", row), {"name": name, "reason": "rebuilt", "sure": "yes"}))
    assert open_of(row) == row


def test_an_installer_confirms_what_the_display_showed(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.unreadable()
    browse(world.cast.installer).post(url("confirm", row), {"reason": "12345.7 at 14:10"})
    row.refresh_from_db()
    assert (row.state, row.identity) == ("confirmed", "unreadable")


def test_nobody_confirms_a_mismatch(installed: Installed, client: Client) -> None:
    row = installed.mismatch()
    assert "nobody can confirm it" in client.post(url("confirm", row), {}, follow=True).content.decode()
    row.refresh_from_db()
    assert row.state == "pending"


def test_two_mixed_up_adapters_are_swapped_with_their_readings(installed: Installed, client: Client) -> None:
    first, second = installed.pairing(), installed.pairing()
    for row, other in ((first, second), (second, first)):
        assert other.meter is not None
        at = row.from_at + timedelta(seconds=16)
        services.found_identity(row, "mismatch", bytes.fromhex(other.meter.server_id), at, "sealed")
        Reading.objects.create(adapter=row.adapter, counter=5, register=1, measured_at=at, value=1)
    assert client.get(url("resolve", first)).context["form"].fields["how"].initial == "swap"
    look = client.post(url("resolve", first), {"how": "swap", "attribute": "on", "reason": "mixed up"})
    place = f"{first.metering_point.name} · {first.metering_point.site.name}"
    assert changes(look)[place] == (first.adapter.dev_eui.upper(), second.adapter.dev_eui.upper())
    client.post(url("resolve", first), {**look.context["kept"], "sure": "yes"})
    assert open_of(first).adapter == second.adapter
    assert open_of(second).adapter == first.adapter
    assert Reading.objects.get(adapter=first.adapter).metering_point == second.metering_point
    assert Reading.objects.get(adapter=second.adapter).metering_point == first.metering_point


def test_the_meter_that_is_read_is_taken_over_with_its_readings(installed: Installed, client: Client) -> None:
    row = installed.mismatch(held=4)
    look = client.post(url("resolve", row), {"how": "accept", "attribute": "on", "reason": "typing error"})
    assert row.meter is not None
    assert changes(look)["Meter"] == (row.meter.meter_id, "1EMH0077777777")
    client.post(url("resolve", row), {**look.context["kept"], "sure": "yes"})
    row.refresh_from_db()
    assert row.meter is not None
    assert (row.meter.meter_id, row.identity) == ("1EMH0077777777", "unknown")
    assert Reading.objects.filter(adapter=row.adapter, metering_point=row.metering_point).count() == 4


def test_trying_again_keeps_the_readings_until_somebody_gives_them_away(installed: Installed, client: Client) -> None:
    row, home = installed.mismatch(held=2), installed.point()
    assert "Resolve the mismatch first" in client.get(url("attribute", row), follow=True).content.decode()
    client.post(url("resolve", row), {"how": "retry", "attribute": "on", "reason": "moved it", "sure": "yes"})
    row.refresh_from_db()
    assert row.identity == "unknown"
    assert Reading.objects.filter(adapter=row.adapter, metering_point=None).count() == 2
    client.post(url("attribute", row), {"point": home.pk, "reason": "found out", "sure": "yes"})
    assert Reading.objects.filter(adapter=row.adapter, metering_point=home).count() == 2
    assert Entry.objects.get(action="pairing.readings_attributed").data["count"] == 2


def test_what_is_no_mismatch_cannot_be_resolved(installed: Installed, client: Client) -> None:
    row = installed.matched()
    answer = client.post(url("resolve", row), {"how": "swap", "reason": "x"}, follow=True)
    assert "nothing to resolve" in answer.content.decode()


@pytest.mark.parametrize("how", ["", "swap", "nonsense"])
def test_a_way_that_is_not_offered_is_refused(how: str, installed: Installed, client: Client) -> None:
    row = installed.mismatch()
    assert errors(client.post(url("resolve", row), {"how": how, "reason": "x", "sure": "yes"}))


def test_an_operator_chooses_what_an_adapter_reports(world: World, client: Client) -> None:
    page = reverse("adapter-reporting", args=[world.adapter.pk])
    assert client.post(page, {"period_s": "300", "registers_0": ["1", "2", "7"]}).status_code == 302
    row = Configuration.objects.get(adapter=world.adapter)
    assert (row.period_s, row.registers) == (300, '{"0": [1, 2, 7]}')
    form = client.get(page).context["form"]
    assert (form["period_s"].value(), form["registers_0"].value()) == (300, [1, 2, 7])
    many = client.post(page, {"period_s": "300", "registers_0": [str(n) for n in range(1, 12)]})
    assert "Choose 1 to 8" in str(many.context["form"].errors)
    assert client.post(page, {"period_s": "7", "registers_0": ["99"]}).context["form"].errors


def test_somebody_limited_to_a_site_moves_nothing_out_of_it(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.matched()
    elsewhere = world.cast.site("Uferweg 3")
    member = world.cast.home.member("operator")
    member.all_sites = False
    member.save()
    member.site_access.create(site=world.site)
    client = browse(world.cast.operator)
    there = f"{url('move', row)}?site={elsewhere.pk}"
    assert "Uferweg 3" not in client.get(there).content.decode()
    foreign = world.cast.metering_point(elsewhere)
    assert client.post(there, {"point": foreign.pk, "reason": "x", "sure": "yes"}).status_code == 409
    stock = world.cast.adapter(elsewhere)
    data = {"stock": stock.pk, "input": "0", "reason": "x", "sure": "yes"}
    assert client.post(url("replace-adapter", row), data).status_code == 409
    assert open_of(row) == row
    assert client.get(reverse("pairings-blocked")).status_code == 403


def test_a_scanner_types_the_meters_number_as_it_stands_in_its_code(installed: Installed, client: Client) -> None:
    row = installed.matched()
    data = {"meter_id": "]C11emh0099990001\t", "reason": "calibration"}
    look = client.post(url("replace-meter", row), data)
    assert changes(look)["Meter"][1] == "1EMH0099990001"
    wrong = client.post(url("replace-meter", row), {**data, "meter_id": "4006381333931"})
    assert wrong.context["form"].errors["meter_id"] != ["This field is required."]
