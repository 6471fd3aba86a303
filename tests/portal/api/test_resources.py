"""What integrators do: fleet, foreign devices, readings, diagnosis."""

from datetime import timedelta

import pytest
from django.utils.dateparse import parse_datetime
from rest_framework.test import APIClient

from meterwire.messages import timestamp
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter, Concentrator, Site
from provisioning.keys.models import DeviceKey
from tests.cast import Cast
from tests.portal.api.conftest import As
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


@pytest.fixture
def client(cast: Cast, by_token: As) -> APIClient:
    return by_token(cast.operator)


def test_a_building_is_made_step_by_step_and_audited(cast: Cast, client: APIClient) -> None:
    site = client.post(f"{V1}sites/", {"name": "Lindenweg 8", "city": "Sulzbach"}, format="json").json()
    point = client.post(f"{V1}metering-points/", {"site": site["id"], "name": "Flat 1"}, format="json").json()
    meter = client.post(
        f"{V1}meters/", {"metering_point": point["id"], "meter_id": "1 EMH 00 1234 5678"}, format="json"
    ).json()
    concentrator = client.post(
        f"{V1}concentrators/", {"eui": "00-80-00-00-A0-00-AB-CD", "name": "Cellar", "site": site["id"]}, format="json"
    ).json()
    adapter = client.post(
        f"{V1}adapters/",
        {"dev_eui": "70B3D57ED0061234", "join_eui": "70b3d57ed0000001", "concentrator": concentrator["id"]},
        format="json",
    ).json()
    assert meter["meter_id"] == "1EMH0012345678"
    assert concentrator["eui"] == "00800000a000abcd"
    assert (adapter["dev_eui"], adapter["status"]) == ("70b3d57ed0061234", None)
    actions = set(Entry.objects.filter(actor_name__contains="by token").values_list("action", flat=True))
    assert actions >= {
        "site.created", "metering_point.created", "meter.installed", "concentrator.registered", "adapter.created",
    }  # fmt: skip


def test_a_brokers_password_is_shown_once(cast: Cast, client: APIClient) -> None:
    made = client.post(f"{V1}concentrators/", {"eui": "00800000a000abcd", "name": "Cellar"}, format="json").json()
    assert len(made["mqtt_password"]) > 20
    shown = client.get(f"{V1}concentrators/{made['id']}/").json()
    assert "mqtt_password" not in shown
    assert made["mqtt_password"] not in Concentrator.objects.get(pk=made["id"]).mqtt_password
    again = client.post(f"{V1}concentrators/{made['id']}/reset-password/").json()
    assert again["mqtt_password"] != made["mqtt_password"]


def test_a_foreign_device_is_registered_by_its_keys_which_are_never_shown(cast: Cast, client: APIClient) -> None:
    concentrator = cast.concentrator()
    body = {"dev_eui": "0004a30b001c0530", "join_eui": "0" * 16, "app_key": "00112233445566778899AABBCCDDEEFF"}
    answer = client.post(f"{V1}adapters/foreign/", {**body, "concentrator": concentrator.pk}, format="json")
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["activation"]) == ("foreign", "otaa")
    for text in (answer.content, client.get(f"{V1}adapters/").content):
        assert b"00112233445566778899" not in text.lower()
    key = DeviceKey.objects.get(adapter_id=answer.json()["id"])
    assert (key.purpose, key.state) == ("root", "active")
    session = {
        "dev_eui": "0004a30b001c0531", "dev_addr": "26011F22", "nwk_s_key": "11" * 16, "app_s_key": "22" * 16,
    }  # fmt: skip
    assert client.post(f"{V1}adapters/foreign/", session, format="json").json()["activation"] == "abp"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dev_eui": "0004a30b001c0530"}, "app_key"),
        ({"dev_eui": "0004a30b001c0530", "app_key": "00"}, "app_key"),
        ({"dev_eui": "nonsense", "app_key": "00" * 16}, "dev_eui"),
        ({"dev_eui": "0004a30b001c0530", "app_key": "00" * 16, "site": 999_999}, "site"),
        ({"app_key": "00" * 16}, "dev_eui"),
    ],
)
def test_a_wrong_request_names_the_field(client: APIClient, body: dict[str, object], field: str) -> None:
    answer = client.post(f"{V1}adapters/foreign/", body, format="json")
    assert answer.status_code == 400
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid", field)
    assert not Adapter.objects.exists()


def test_a_conflict_is_told_as_one(cast: Cast, client: APIClient) -> None:
    site = cast.site("Here")
    answer = client.post(f"{V1}sites/", {"name": "Here"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    cast.metering_point(site)
    assert client.post(f"{V1}sites/{site.pk}/archive/").status_code == 409


def test_a_change_keeps_what_it_does_not_name(cast: Cast, client: APIClient) -> None:
    site = cast.site()
    assert client.patch(f"{V1}sites/{site.pk}/", {"street": "New street 3"}, format="json").json()["city"] == "Berlin"
    assert Site.objects.get(pk=site.pk).name == site.name
    adapter = cast.adapter(site)
    moved = client.patch(
        f"{V1}adapters/{adapter.pk}/", {"location": "cellar", "concentrator": cast.concentrator(site).pk}, format="json"
    ).json()
    assert (moved["location"], moved["site"]) == ("cellar", site.pk)
    assert moved["concentrator"] is not None


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "sites/999999/", 404, "not_found"),
        ("get", "sites/x/", 404, "not_found"),
        ("get", "nowhere/", 404, "not_found"),
        ("get", "sites/99999999999999999999999/", 404, "not_found"),
        ("delete", "sites/", 405, "method_not_allowed"),
        ("get", "sites/?colour=red", 400, "invalid"),
        ("get", "sites/?page_size=0", 400, "parse_error"),
        ("get", "sites/?cursor=x", 400, "parse_error"),
        ("get", "sites/?cursor=WyJhXHUwMDAwIl0", 400, "parse_error"),
        ("get", "readings/", 400, "invalid"),
        ("get", "readings/?adapter=x", 400, "invalid"),
        ("get", "readings/?adapter=1&register=9.9.9", 400, "invalid"),
        ("get", "readings/?adapter=1&from=yesterday", 400, "invalid"),
        ("get", "readings/?adapter=1&from=0001-01-01T00:00:00%2B17:30", 400, "invalid"),
        ("get", "adapters/?site=99999999999999999999", 400, "invalid"),
    ],
)
def test_every_error_has_a_code_and_a_sentence(
    client: APIClient, method: str, path: str, status: int, code: str
) -> None:
    answer = getattr(client, method)(V1 + path)
    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert answer.json()["message"].strip()


def test_only_json_is_read(client: APIClient) -> None:
    assert client.post(f"{V1}sites/", "<x/>", content_type="application/xml").json()["code"] == "unsupported_media_type"
    broken = client.post(f"{V1}sites/", "{", content_type="application/json")
    assert (broken.status_code, broken.json()["code"]) == (400, "parse_error")


def test_pages_go_on_where_the_last_one_ended_while_rows_arrive(cast: Cast, client: APIClient) -> None:
    site = cast.site()
    euis = [f"70b3d57ed1{number:06x}" for number in range(25)]
    for eui in euis[::2]:
        cast.adapter(site, dev_eui=eui)
    seen: list[str] = []
    url = f"{V1}adapters/?page_size=4&site={site.pk}"
    while url:
        page = client.get(url).json()
        seen += [row["dev_eui"] for row in page["results"]]
        if len(seen) == 8:
            cast.adapter(site, dev_eui=euis[1])
            cast.adapter(site, dev_eui=euis[23])
        url = page["next"]
    assert seen == sorted([*euis[::2], euis[23]])


@pytest.fixture
def measured(cast: Cast) -> tuple[int, int]:
    """An adapter and its metering point, with an hour of readings on two registers."""
    stage = Stage(organisation=cast.organisation)
    device, point = stage.device(), stage.metering_point("Flat 7")
    stage.pair(device.row, point)
    for minute in range(60):
        sent = device.telegram((1, 1000 + minute), (11, 2301), received_at=timestamp(NOON + 60 * minute))
        stage.run(sent, now=NOON + 60 * minute)
    return device.row.pk, point.pk


def test_readings_are_exact_and_in_the_order_of_time(measured: tuple[int, int], client: APIClient) -> None:
    page = client.get(f"{V1}readings/?adapter={measured[0]}&register=1-0:32.7.0&page_size=7").json()
    [first, *_] = page["results"]
    assert first == {
        "adapter": measured[0], "metering_point": measured[1], "counter": 1000, "input": 0,
        "measured_at": first["measured_at"], "register": 11, "obis": "1-0:32.7.0", "value": "230.1", "unit": "V",
        "sealed": False, "recovered": False,
    }  # fmt: skip
    assert first["measured_at"].endswith("Z")
    rows = page["results"]
    while page["next"]:
        page = client.get(page["next"]).json()
        rows += page["results"]
    assert [row["counter"] for row in rows] == list(range(1000, 1060))


def test_readings_are_found_by_metering_point_register_and_time(measured: tuple[int, int], client: APIClient) -> None:
    everything = client.get(f"{V1}readings/?metering_point={measured[1]}&register=1&page_size=99").json()["results"]
    assert [row["value"] for row in everything] == [str(1000 + minute) for minute in range(60)]
    start, end = (parse_datetime(everything[place]["measured_at"]) for place in (10, 20))
    assert start is not None
    assert end is not None
    span = {"from": start.isoformat(), "to": (end + timedelta(0)).isoformat()}
    some = client.get(f"{V1}readings/", {"metering_point": measured[1], "register": 1, **span}).json()["results"]
    assert [row["counter"] for row in some] == list(range(1010, 1020))


def test_a_sealed_reading_has_no_value(cast: Cast, client: APIClient) -> None:
    stage = Stage(organisation=cast.organisation)
    device = stage.device(keyed=False)
    stage.run(device.telegram((1, 5)))
    assert client.get(f"{V1}readings/?adapter={device.row.pk}").json()["results"][0]["value"] is None


def test_refused_telegrams_are_found_with_their_diagnosis(cast: Cast, client: APIClient) -> None:
    stage = Stage(organisation=cast.organisation)
    device, stranger = stage.device(), Stage("elsewhere").device()
    good = device.telegram()
    stage.run(good, stranger.telegram(), device.telegram(counter=None, payload=good.payload[:-1] + b"?"))
    rows = client.get(f"{V1}telegrams/?refused=true").json()["results"]
    assert {row["error"] for row in rows} == {"unknown_adapter", "tag_mismatch"}
    [only] = client.get(f"{V1}telegrams/?error=tag_mismatch&adapter={device.row.pk}").json()["results"]
    assert client.get(f"{V1}telegrams/{only['id']}/").json() == only
    assert only["payload"].endswith("3f")
    assert [row["id"] for row in client.get(f"{V1}telegrams/?refused=false").json()["results"]] == [good.id]
    assert client.get(f"{V1}adapters/{device.row.pk}/").json()["status"]["last_error"] == "tag_mismatch"


def test_gaps_are_named(cast: Cast, client: APIClient) -> None:
    stage = Stage(organisation=cast.organisation)
    device = stage.device()
    stage.run(*(device.telegram(seal_counter=number) for number in (5, 6, 9, 20)))
    gaps = client.get(f"{V1}adapters/{device.row.pk}/gaps/").json()
    assert gaps == [{"first": 10, "last": 19}, {"first": 7, "last": 8}]


def test_a_member_limited_to_sites_sees_only_those(cast: Cast, by_token: As) -> None:
    from provisioning.accounts.services import change_member
    from provisioning.fleet.services import grant_site

    mine, other = cast.adapter(), cast.adapter()
    member = change_member(cast.owner, cast.home.member("operator"), role="operator", all_sites=False)
    assert mine.site is not None
    grant_site(cast.owner, member, mine.site)
    client = by_token(cast.operator)
    assert [row["id"] for row in client.get(f"{V1}adapters/").json()["results"]] == [mine.pk]
    assert client.get(f"{V1}adapters/{other.pk}/").status_code == 404


def test_a_moment_may_have_any_offset(by_token: As, cast: Cast) -> None:
    answer = by_token(cast.operator).get("/api/v1/events/?to=2026-01-18T06:38:49%2B17:30")
    assert answer.status_code == 200
