"""Registering, pairing, approving, exporting: every write goes through a service and is in the audit."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from meterwire.transport_key import fingerprint, public_key
from portal.telemetry.models import Reading
from provisioning.accounts.models import ApiToken, Role, User
from provisioning.accounts.services import authenticate_token
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter, Concentrator, Site
from provisioning.keys.models import DeviceKey
from provisioning.pairing.models import Pairing
from tests.portal_web.world import World, body

Browse = Callable[[User | None], Client]
EUI = "70b3d57ed0aa0001"


def audited(world: World, action: str) -> Entry:
    return Entry.objects.filter(organisation=world.cast.organisation, action=action).latest("seq")


def errors(answer: object, field: str | None = None) -> list[str]:
    found: dict[str, list[str]] = answer.context["form"].errors  # type: ignore[attr-defined]
    return list(found.get(field or "__all__", []))


def test_a_site_is_made_and_changed(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    address = {
        "name": "Uferweg 3",
        "street": "Uferweg 3",
        "postcode": "20095",
        "city": "Hamburg",
        "time_zone": "Europe/Berlin",
    }
    assert client.post(reverse("site-new"), address).status_code == 302
    site = Site.objects.get(name="Uferweg 3")
    assert audited(world, "site.created").actor == world.cast.operator
    client.post(reverse("site-edit", args=[site.pk]), {**address, "city": "Altona"})
    site.refresh_from_db()
    assert site.city == "Altona"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": "Kastanienhof 7"}, None, "There is a site"),
        ({"time_zone": "Berlin"}, "time_zone", "no time zone"),
        ({"name": "a\0b"}, "name", "Null characters"),
    ],
)
def test_a_refusal_stands_at_its_field(
    changes: dict[str, str], field: str | None, words: str, world: World, browse: Browse
) -> None:
    data = {"name": "Uferweg 3", "time_zone": "Europe/Berlin", **changes}
    answer = browse(world.cast.operator).post(reverse("site-new"), data)
    assert any(words in error for error in errors(answer, field))


def test_the_password_of_a_new_concentrator_is_shown_once_and_stored_nowhere(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    data = {"name": "Roof", "eui": "00-80-00-00-A0-00-00-99", "site": world.site.pk}
    answer = client.post(reverse("concentrator-new"), data)
    password = answer.context["password"]
    made = Concentrator.objects.get(eui="00800000a0000099")
    assert answer.headers["Cache-Control"] == "no-store"
    assert password in answer.content.decode()
    assert password not in made.mqtt_password
    page = client.get(reverse("concentrator", args=[made.pk])).content.decode()
    assert password not in page
    assert password not in str(dict(client.session))


def test_a_new_password_is_asked_for_first(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    url = reverse("concentrator-password", args=[world.concentrator.pk])
    before = world.concentrator.mqtt_password
    assert "cut off from the portal" in client.get(url).content.decode()
    world.concentrator.refresh_from_db()
    assert world.concentrator.mqtt_password == before
    assert len(client.post(url).context["password"]) >= 32
    world.concentrator.refresh_from_db()
    assert world.concentrator.mqtt_password != before


def test_a_key_is_approved_only_by_the_fingerprint_that_was_compared(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    key = public_key(b"\x07" * 32)
    Concentrator.objects.filter(pk=world.concentrator.pk).update(announced_key=key.hex(), announced_at=timezone.now())
    url = reverse("concentrator-approve", args=[world.concentrator.pk])
    shown = fingerprint(key)
    assert shown in client.get(reverse("concentrator", args=[world.concentrator.pk])).content.decode()
    for wrong in ({"shown": shown}, {"shown": "0000-0000", "compared": "yes"}, {"compared": "yes"}):
        client.post(url, wrong)
        world.concentrator.refresh_from_db()
        assert world.concentrator.public_key != key.hex()
    client.post(url, {"shown": shown, "compared": "yes"})
    world.concentrator.refresh_from_db()
    assert world.concentrator.public_key == key.hex()
    assert audited(world, "concentrator.key_approved").actor == world.cast.operator


def test_an_adapter_is_registered_with_its_first_keys(world: World, browse: Browse) -> None:
    data = {
        "dev_eui": "70B3D57E-D0AA-0001", "join_eui": "70b3d57ed0000001", "serial": "S1", "location": "cellar, left",
        "site": world.site.pk, "concentrator": world.concentrator.pk,
    }  # fmt: skip
    answer = browse(world.cast.operator).post(reverse("adapter-new"), data)
    made = Adapter.objects.get(dev_eui=EUI)
    assert answer.headers["Location"] == reverse("adapter", args=[made.pk])
    assert sorted(made.keys.values_list("purpose", "partner")) == [
        ("inner", "portal"),
        ("root", "portal"),
        ("transport", world.concentrator.eui),
        ("transport", "portal"),
    ]


def test_an_administrator_registers_and_leaves_the_keys_to_others(world: World, browse: Browse) -> None:
    data = {"dev_eui": EUI, "join_eui": "70b3d57ed0000001"}
    browse(world.cast.administrator).post(reverse("adapter-new"), data)
    assert not Adapter.objects.get(dev_eui=EUI).keys.exists()


def test_a_second_registration_of_a_device_is_refused_in_words(world: World, browse: Browse) -> None:
    data = {"dev_eui": world.adapter.dev_eui, "join_eui": "70b3d57ed0000001"}
    answer = browse(world.cast.operator).post(reverse("adapter-new"), data)
    assert "registered already" in errors(answer)[0]


def test_a_site_of_another_organisation_cannot_be_chosen(world: World, browse: Browse) -> None:
    foreign = world.cast.site("Foreign site", world.cast.away)
    data = {"dev_eui": EUI, "join_eui": "70b3d57ed0000001", "site": foreign.pk}
    answer = browse(world.cast.operator).post(reverse("adapter-new"), data)
    assert errors(answer, "site")
    assert "Foreign site" not in answer.content.decode()


def test_a_foreign_device_is_registered_by_its_app_key(world: World, browse: Browse) -> None:
    data = {
        "dev_eui": EUI, "activation": "otaa", "join_eui": "a81758fffe000000", "app_key": "00 01 02 03" * 4,
        "lorawan": "1.0.3", "concentrator": world.concentrator.pk, "dev_addr": "01020304",
    }  # fmt: skip
    answer = browse(world.cast.operator).post(reverse("foreign-new"), data)
    made = Adapter.objects.get(dev_eui=EUI)
    assert answer.status_code == 302
    assert (made.kind, made.activation, made.dev_addr) == ("foreign", "otaa", "")
    key = DeviceKey.objects.get(adapter=made)
    assert bytes.fromhex("00010203" * 4) not in bytes(key.sealed)


def test_a_foreign_device_without_a_join_needs_address_and_both_session_keys(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    data = {"dev_eui": EUI, "activation": "abp", "lorawan": "1.0.2", "dev_addr": "01020304", "nwk_s_key": "00" * 16}
    answer = client.post(reverse("foreign-new"), data)
    assert errors(answer, "app_s_key") == ["This is needed for the chosen activation."]
    assert client.post(reverse("foreign-new"), {**data, "app_s_key": "11" * 16}).status_code == 302
    assert Adapter.objects.get(dev_eui=EUI).dev_addr == "01020304"


@pytest.mark.parametrize("key", ["00", "zz" * 16, "00" * 17, "0" * 31])
def test_a_key_of_another_length_is_refused_and_not_shown_again_in_the_error(
    key: str, world: World, browse: Browse
) -> None:
    data = {"dev_eui": EUI, "activation": "otaa", "app_key": key, "lorawan": "1.0.3"}
    answer = browse(world.cast.operator).post(reverse("foreign-new"), data)
    assert errors(answer, "app_key")
    assert key not in " ".join(errors(answer, "app_key"))


def test_a_stranger_heard_can_be_registered_with_what_is_known(world: World, browse: Browse) -> None:
    world.event("heard", adapter=None, dev_eui="a81758fffe0412ab", detail={"join_eui": "a81758fffe000000", "count": 4})
    client = browse(world.cast.operator)
    page = client.get(reverse("concentrator", args=[world.concentrator.pk])).content.decode()
    link = f"{reverse('foreign-new')}?dev_eui=a81758fffe0412ab&amp;join_eui=a81758fffe000000"
    assert link in page
    form = client.get(link.replace("&amp;", "&")).content.decode()
    assert 'value="a81758fffe0412ab"' in form


def test_an_adapter_is_paired_with_a_new_metering_point_and_its_meter(world: World, browse: Browse) -> None:
    adapter = world.cast.keyed_adapter(world.site, world.concentrator)
    client = browse(world.cast.installer)
    data = {"name": "Flat 99", "meter_id": "1 EMH 00 9999 0001", "input": "0"}
    assert client.post(reverse("adapter-pair", args=[adapter.pk]), data).status_code == 302
    pairing = Pairing.objects.get(adapter=adapter)
    assert pairing.meter is not None
    assert (pairing.metering_point.name, pairing.meter.meter_id) == ("Flat 99", "1EMH0099990001")


def test_a_pairing_that_fails_leaves_nothing_half_done(world: World, browse: Browse) -> None:
    data = {"name": "Flat 99", "meter_id": "1EMH0099990001", "input": "0"}
    answer = browse(world.cast.operator).post(reverse("adapter-pair", args=[world.adapter.pk]), data)
    assert "paired already" in errors(answer)[0]
    assert not world.site.metering_points.filter(name="Flat 99").exists()


@pytest.mark.parametrize("number", ["1EMH001234567", "hello", "1 EMH 00 1234 567X", "9" * 24])
def test_a_number_that_is_no_meters_is_refused(number: str, world: World, browse: Browse) -> None:
    adapter = world.cast.keyed_adapter(world.site, world.concentrator)
    answer = browse(world.cast.operator).post(
        reverse("adapter-pair", args=[adapter.pk]), {"name": "Flat 99", "meter_id": number, "input": "0"}
    )
    assert errors(answer, "meter_id")


def test_a_pairing_ends_with_a_reason(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    url = reverse("pairing-end", args=[world.pairing.pk])
    assert client.post(url, {"reason": ""}).status_code == 409
    assert client.post(url, {"reason": "tenant moved"}).status_code == 302
    assert audited(world, "pairing.ended").data["reason"] == "tenant moved"


def test_a_token_is_shown_once_and_works(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    answer = client.post(reverse("tokens"), {"name": "billing", "role": Role.VIEWER, "lifetime": "90"})
    made = answer.context["made"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert made.text in answer.content.decode()
    assert made.text not in client.get(reverse("tokens")).content.decode()
    token = authenticate_token(made.text)
    assert (token.role, token.read_only) == (Role.VIEWER, True)
    assert token.expires_at is not None
    client.post(reverse("token-revoke", args=[token.pk]))
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_a_token_never_gets_a_wider_role(world: World, browse: Browse) -> None:
    data = {"name": "billing", "role": Role.ADMINISTRATOR, "lifetime": "0"}
    answer = browse(world.cast.viewer).post(reverse("tokens"), data)
    assert errors(answer, "role")
    assert not ApiToken.objects.filter(user=world.cast.viewer).exists()


def test_the_export_says_which_values_were_recovered(world: World, browse: Browse) -> None:
    world.readings([1000, 2000])
    lost = Reading.objects.order_by("measured_at")[0]
    Reading.objects.filter(pk=lost.pk).update(recovered=True)
    answer = browse(world.cast.operator).get(reverse("readings-export"), {"adapter": world.adapter.pk, "all": "1"})
    head, *lines = body(answer).decode("utf-8-sig").splitlines()
    assert head.endswith(",Note")
    assert [line.rpartition(",")[2] for line in lines] == ["recovered", ""]


def test_the_export_is_a_table_with_exact_values_and_is_noted(world: World, browse: Browse) -> None:
    world.readings([12_345_678, 12_345_999])
    answer = browse(world.cast.operator).get(reverse("readings-export"), {"adapter": world.adapter.pk, "all": "1"})
    lines = body(answer).decode("utf-8-sig").splitlines()
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert len(lines) == 3
    cells = lines[1].split(",")
    assert cells[3:6] == [world.adapter.dev_eui.upper(), "1-0:1.8.0", "Import"]
    assert cells[7:9] == ["12345678", "Wh"]
    assert timezone.datetime.fromisoformat(cells[6]).utcoffset() is not None  # type: ignore[attr-defined]
    assert audited(world, "readings.exported").data["adapters"] == 1


def test_a_german_export_is_what_a_german_spreadsheet_expects(world: World, browse: Browse) -> None:
    world.readings([2301], 11)
    client = browse(world.cast.operator)
    answer = client.get(reverse("readings-export"), {"all": "1"}, headers={"accept-language": "de"})
    line = body(answer).decode("utf-8-sig").splitlines()[1]
    assert ";230,1;V" in line


def test_a_name_that_looks_like_a_formula_is_only_a_name(world: World, browse: Browse) -> None:
    world.readings([1000])
    point = world.pairing.metering_point
    type(point).objects.filter(pk=point.pk).update(name='=HYPERLINK("http://x")')
    answer = browse(world.cast.operator).get(reverse("readings-export"), {"all": "1"})
    assert "\"'=HYPERLINK" in body(answer).decode("utf-8-sig")


@pytest.mark.parametrize(
    "days", ["first=x&last=y", "first=9999-12-31&last=0001-01-01", "first=2026-02-30", "first=2026-01-01T00:00"]
)
def test_no_choice_of_days_makes_the_export_fail(days: str, world: World, browse: Browse) -> None:
    world.readings([1000])
    client = browse(world.cast.operator)
    assert client.get(f"{reverse('readings-export')}?{days}").status_code == 200
    assert client.get(f"{reverse('readings')}?{days}").status_code == 200


def test_the_readings_page_shows_the_newest_value_of_the_chosen_register(world: World, browse: Browse) -> None:
    world.readings([1_000_000, 2_345_678])
    world.readings([-321], 7)
    client = browse(world.cast.viewer)
    assert "2,345.678 kWh" in client.get(reverse("readings")).content.decode()
    assert "−321 W" in client.get(reverse("readings"), {"register": 7}).content.decode()
    assert client.get(reverse("readings"), {"register": "99999"}).status_code == 200


def test_the_audit_page_tells_who_did_what_and_verifies_the_chain(world: World, browse: Browse) -> None:
    client = browse(world.cast.auditor)
    page = client.get(reverse("audit")).content.decode()
    assert "Adapter paired" in page
    assert "Key issued" in page
    filtered = client.get(reverse("audit"), {"action": "site.created"}).context["lines"]
    assert {entry.action for entry, _name, _detail in filtered} == {"site.created"}
    assert "The chain holds" in client.post(reverse("audit-verify"), follow=True).content.decode()


def test_a_broken_chain_is_said_to_be_broken(world: World, browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    from provisioning.audit import chain

    client = browse(world.cast.auditor)
    monkeypatch.setattr(chain, "mac", lambda entry: "0" * 64)
    assert "broken at entry 1" in client.post(reverse("audit-verify"), follow=True).content.decode()


def test_long_lists_are_read_page_by_page(world: World, browse: Browse) -> None:
    for _ in range(45):
        world.cast.adapter(world.site, world.concentrator)
    client = browse(world.cast.viewer)
    first = client.get("/adapters/").context
    second = client.get("/adapters/?" + first["page"].next).context
    assert len(first["lines"]) == 40
    assert len(second["lines"]) == 6


def test_a_key_that_the_activation_demands_is_not_called_optional(world: World, browse: Browse) -> None:
    page = " ".join(browse(world.cast.operator).get(reverse("foreign-new")).content.decode().split())
    assert 'JoinEUI <span class="dim small">optional</span>' in page
    assert 'AppKey <span class="dim small">optional</span>' not in page
    elsewhere = browse(world.cast.operator).get(reverse("site-new")).content.decode()
    assert '<span class="dim small">optional</span>' in elsewhere
