"""Pairing over REST, as the installer's page and as a program do it."""

from io import BytesIO
from typing import Any

import pytest
from django.core.files.storage import default_storage
from PIL import Image
from rest_framework.test import APIClient

from meterwire.messages import timestamp
from provisioning.accounts.services import change_member
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter
from provisioning.fleet.services import create_adapter, grant_site
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.services import found_identity, photo
from tests.cast import JOIN_EUI, LONG_AGO, STAGE, Cast
from tests.portal.api.conftest import As
from tests.portal.stage import NOON
from tests.provisioning.labelled import METER, TOKEN, label_of, labelled, picture

pytestmark = pytest.mark.django_db
URL = "/api/v1/pairings/"


@pytest.fixture
def adapter(cast: Cast) -> Adapter:
    """In stock, with a label."""
    made = create_adapter(STAGE, cast.organisation, dev_eui="70b3d57ed2000001", join_eui=JOIN_EUI)
    labelled(made)
    return made


def post(client: APIClient, body: dict[str, Any], key: str = "key-00000001") -> Any:
    return client.post(URL, body, format="json", headers={"Idempotency-Key": key})


def test_two_scans_are_posted_and_the_progress_is_followed(cast: Cast, adapter: Adapter, by_token: As) -> None:
    client = by_token(cast.installer)
    site = cast.site("Lindenweg 8")
    body = {
        "adapter_scan": label_of(adapter), "meter_scan": METER, "site": site.pk, "note": "cellar",
        "display_value": "1234.5", "scanned_at": timestamp(NOON),
    }  # fmt: skip
    made = post(client, body)
    assert made.status_code == 201
    assert made.json()["progress"] == f"{URL}{made.json()['id']}/progress/"
    assert client.get(f"{URL}{made.json()['id']}/").json() == {
        name: value for name, value in made.json().items() if name != "progress"
    }
    progress = client.get(made.json()["progress"]).json()
    assert (progress["state"], progress["identity"], progress["meter"]) == ("pending", "unknown", "1EMH0012345678")
    assert progress["adapter"] == {"id": adapter.pk, "dev_eui": adapter.dev_eui}
    assert (progress["site"]["name"], progress["metering_point"]["name"]) == ("Lindenweg 8", "cellar")
    assert [step["step"] for step in progress["steps"] if step["at"]] == ["claimed", "paired"]
    assert progress["waiting"]["step"] == "informed"
    assert progress["waiting"]["message"]
    assert progress["slot"] == "waits"
    assert (progress["display_value"], progress["display_unit"], progress["reading"]) == ("1234.500", "kWh", None)
    [mine] = client.get(f"{URL}mine/").json()["results"]
    assert mine["id"] == made.json()["id"]
    assert by_token(cast.operator).get(f"{URL}mine/").json()["results"] == []
    assert client.get(f"{URL}mine/?since=2099-01-01T00:00:00Z").json()["results"] == []


def test_a_replayed_request_has_no_second_effect(cast: Cast, adapter: Adapter, by_token: As) -> None:
    client = by_token(cast.installer)
    body = {"adapter_scan": label_of(adapter), "meter_scan": METER, "site": cast.site().pk}
    first, again = post(client, body), post(client, body)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert Pairing.objects.count() == 1
    other = post(client, {**body, "note": "x"})
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")


def test_a_session_pairs_with_the_csrf_token_and_not_without(cast: Cast, adapter: Adapter, by_session: As) -> None:
    client = by_session(cast.installer)
    body = {"adapter_scan": label_of(adapter), "meter_scan": METER, "site": cast.site().pk}
    refused = post(client, body)
    assert refused.status_code == 403
    assert set(refused.json()) == {"code", "message"}
    assert not Pairing.objects.exists()
    token = "t" * 32
    client.cookies["csrftoken"] = token
    made = client.post(URL, body, format="json", headers={"Idempotency-Key": "key-00000001", "X-CSRFToken": token})
    assert made.status_code == 201


def test_the_key_is_needed(cast: Cast, adapter: Adapter, by_token: As) -> None:
    client = by_token(cast.installer)
    body = {"adapter_scan": label_of(adapter), "meter_scan": METER, "site": cast.site().pk}
    missing = client.post(URL, body, format="json")
    assert (missing.status_code, missing.json()["field"]) == (400, "Idempotency-Key")
    assert post(client, body, "no blanks allowed").status_code == 400


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"adapter_scan": "LW:D0:70B3D57E"}, 400, "shape", "adapter_scan"),
        ({"adapter_scan": METER}, 400, "meter", "adapter_scan"),
        ({"adapter_scan": "\x00\x01"}, 400, "control_characters", "adapter_scan"),
        ({"adapter_scan": "A" * 5000}, 400, "invalid", "adapter_scan"),
        ({"adapter_scan": "70B3D57ED2000001"}, 400, "token_needed", "adapter_scan"),
        ({"meter_scan": "4006381333931"}, 400, "ean", "meter_scan"),
        ({"meter_scan": ""}, 400, "empty", "meter_scan"),
        ({"input": 8}, 400, "invalid", "input"),
        ({"site": 10**18}, 400, "invalid", "site"),
        ({"display_value": "abc"}, 400, "invalid", "display_value"),
        ({"display_unit": "furlong"}, 400, "invalid", "display_unit"),
        ({"note": "a\u0007b"}, 400, "invalid", "note"),
        ({"site": None}, 409, "site_needed", "site"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(
    cast: Cast, adapter: Adapter, by_token: As, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    body = {"adapter_scan": label_of(adapter), "meter_scan": METER, "site": cast.site().pk, **change}
    answer = post(by_token(cast.installer), body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, field)
    assert answer.json()["message"]
    assert not Pairing.objects.exists()


def test_the_second_installer_is_told_who_and_when(cast: Cast, adapter: Adapter, by_token: As) -> None:
    body = {"adapter_scan": label_of(adapter), "meter_scan": METER, "site": cast.site().pk}
    post(by_token(cast.installer), body)
    answer = post(by_token(cast.operator), body)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_paired")
    assert answer.json()["who"] == cast.installer.email


def test_five_wrong_labels_end_in_403(cast: Cast, adapter: Adapter, by_token: As) -> None:
    client = by_token(cast.installer)
    body = {"adapter_scan": label_of(adapter, "Z" * 26), "meter_scan": METER, "site": cast.site().pk}
    codes = [post(client, body, f"guess-00{n}").json()["code"] for n in range(6)]
    assert codes == ["wrong_token"] * 5 + ["blocked"]
    assert post(client, body, "guess-0099").status_code == 403


def test_another_organisations_adapter_looks_unknown(cast: Cast, by_token: As) -> None:
    theirs = cast.adapter(cast.site(company=cast.away))
    labelled(theirs)
    nobodys = Adapter(dev_eui="70b3d57ed2ffffff", join_eui=JOIN_EUI)
    client = by_token(cast.installer)
    body = {"meter_scan": METER, "site": cast.site().pk}
    answers = [post(client, {**body, "adapter_scan": label_of(one)}, f"key-{one.dev_eui}") for one in (theirs, nobodys)]
    assert answers[0].status_code == answers[1].status_code == 404
    assert answers[0].json() == answers[1].json()


def test_a_person_limited_to_sites_neither_pairs_nor_reads_elsewhere(
    cast: Cast, adapter: Adapter, by_token: As
) -> None:
    here, there = cast.site(), cast.site()
    held = cast.pairing(cast.adapter(there))
    member = change_member(cast.owner, cast.home.member("installer"), role="installer", all_sites=False)
    grant_site(cast.owner, member, here)
    client = by_token(cast.installer)
    body = {"adapter_scan": label_of(adapter), "meter_scan": METER}
    assert post(client, {**body, "site": there.pk}).status_code == 400
    for path in ("", "progress/", "photo/"):
        assert client.get(f"{URL}{held.pk}/{path}").status_code == 404
    assert post(client, {**body, "site": here.pk}, "key-00000002").status_code == 201


def test_a_scan_is_named_without_looking_anything_up(
    cast: Cast, adapter: Adapter, by_token: As, django_assert_max_num_queries: Any
) -> None:
    client = by_token(cast.installer)
    with django_assert_max_num_queries(6):
        answer = client.post("/api/v1/scans/", {"raw": label_of(adapter), "expected": "adapter"}, format="json").json()
    assert (answer["kind"], answer["ok"], answer["display"]) == ("adapter", True, "70B3D57ED2000001")
    assert TOKEN not in str(answer)
    wrong = client.post("/api/v1/scans/", {"raw": METER, "expected": "adapter"}, format="json").json()
    assert (wrong["ok"], wrong["message"]) == (False, "This is the meter's barcode; scan the adapter first.")
    plain = client.post("/api/v1/scans/", {"raw": " 1emh0012345678\r\n"}, format="json").json()
    assert (plain["kind"], plain["display"]) == ("meter", METER)
    assert by_token(cast.viewer).post("/api/v1/scans/", {"raw": "x"}, format="json").status_code == 403
    long = client.post("/api/v1/scans/", {"raw": "x" * 5000}, format="json")
    assert (long.status_code, long.json()["field"]) == (400, "raw")


def test_a_body_that_is_too_large_is_not_read(cast: Cast, by_token: As) -> None:
    huge = b'{"raw": "' + b"x" * 3_000_000 + b'"}'
    answer = by_token(cast.installer).post("/api/v1/scans/", huge, content_type="application/json")
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"


def test_a_person_confirms_and_an_operator_changes(cast: Cast, by_token: As) -> None:
    held, client = cast.pairing(), by_token(cast.operator)
    confirmed = by_token(cast.installer).post(f"{URL}{held.pk}/confirm/", {"reason": "display"}, format="json")
    assert (confirmed.json()["state"], confirmed.json()["identity"]) == ("confirmed", "unreadable")
    replaced = client.post(
        f"{URL}{held.pk}/replace-meter/",
        {"meter_id": METER, "reason": "calibration", "last_value": "9.5", "first_value": "0"}, format="json",
    ).json()  # fmt: skip
    assert (replaced["adapter"], replaced["state"]) == (held.adapter_id, "pending")
    spare = cast.adapter(held.adapter.site)
    other = client.post(
        f"{URL}{replaced['id']}/replace-adapter/", {"adapter": spare.pk, "reason": "broken"}, format="json"
    ).json()
    assert other["adapter"] == spare.pk
    point = cast.metering_point(held.adapter.site)
    moved = client.post(f"{URL}{other['id']}/move/", {"metering_point": point.pk, "reason": "wrong"}, format="json")
    assert moved.json()["metering_point"] == point.pk
    ended = client.post(f"{URL}{moved.json()['id']}/end/", {"reason": "moved out"}, format="json").json()
    assert (ended["state"], ended["to_at"] is not None) == ("ended", True)
    again = client.post(f"{URL}{moved.json()['id']}/end/", {"reason": "moved out"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_replacement_names_the_new_adapter_once(cast: Cast, adapter: Adapter, by_token: As) -> None:
    held, client = cast.pairing(), by_token(cast.operator)
    url = f"{URL}{held.pk}/replace-adapter/"
    assert client.post(url, {"reason": "x"}, format="json").json()["field"] == "adapter"
    both = {"reason": "x", "adapter": adapter.pk, "adapter_scan": label_of(adapter)}
    assert client.post(url, both, format="json").status_code == 400
    assert client.post(url, {"reason": "x", "adapter_scan": METER}, format="json").json()["field"] == "adapter_scan"
    new = client.post(url, {"reason": "x", "adapter_scan": label_of(adapter)}, format="json")
    assert new.json()["adapter"] == adapter.pk


def test_a_mismatch_is_resolved_and_shown_until_then(cast: Cast, by_token: As) -> None:
    meter = cast.meter(meter_id=METER)
    held = cast.pairing(cast.adapter(meter.metering_point.site), meter.metering_point)
    found_identity(held, "mismatch", b"1EMH0087654321", LONG_AGO, "sealed")
    client = by_token(cast.operator)
    shown = client.get(f"{URL}{held.pk}/progress/").json()
    assert (shown["identity"], shown["identity_read"]) == ("mismatch", "1 EMH 00 8765 4321")
    assert client.post(f"{URL}{held.pk}/confirm/", {}, format="json").status_code == 409
    resolved = client.post(f"{URL}{held.pk}/resolve/", {"how": "accept"}, format="json").json()
    assert (resolved["identity"], resolved["state"]) == ("unknown", "pending")


def test_reporting_is_set_and_read(cast: Cast, by_token: As) -> None:
    held, client = cast.pairing(), by_token(cast.operator)
    url = f"/api/v1/adapters/{held.adapter_id}/reporting/"
    set_to = client.patch(url, {"period_s": 900, "registers": {"0": [1, 2]}}, format="json")
    assert set_to.json() == {"period_s": 900, "registers": {"0": [1, 2]}, "version": 1, "running": None}
    assert client.patch(url, {"period_s": None}, format="json").json()["registers"] == {"0": [1, 2]}
    assert client.get(url).json()["version"] == Configuration.objects.get().version == 2
    assert client.patch(url, {"registers": {"x": [1]}}, format="json").json()["field"] == "registers"
    assert by_token(cast.installer).patch(url, {"period_s": 900}, format="json").status_code == 403


def put(client: APIClient, pairing: Pairing, content: bytes, kind: str = "image/jpeg") -> Any:
    return client.put(f"{URL}{pairing.pk}/photo/", content, content_type=kind)


def test_a_photo_is_made_small_and_loses_what_the_camera_added(cast: Cast, by_token: As) -> None:
    held, client = cast.pairing(), by_token(cast.installer)
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "secret place", 6
    assert put(client, held, picture(3000, 2000, exif=exif)).json() == {"photo": True}
    answer = client.get(f"{URL}{held.pk}/photo/")
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("image/jpeg", "no-store")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert b"secret place" not in content
    with Image.open(BytesIO(content)) as image:
        assert (image.size, dict(image.getexif())) == ((1067, 1600), {})
    assert Entry.objects.filter(action="pairing.photo_set").count() == 1
    assert client.get(f"{URL}{held.pk}/progress/").json()["photo"] is True


def test_a_new_photo_takes_the_place_of_the_old_one(
    cast: Cast, by_token: As, django_capture_on_commit_callbacks: Any
) -> None:
    held, client = cast.pairing(), by_token(cast.installer)
    put(client, held, picture())
    first = Pairing.objects.get(pk=held.pk).photo
    with django_capture_on_commit_callbacks(execute=True):
        put(client, held, picture(kind="WEBP"), "image/webp")
    assert Pairing.objects.get(pk=held.pk).photo != first
    assert not default_storage.exists(first)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "image/jpeg", 400),
        (b"GIF89a" + bytes(40), "image/gif", 400),
        (b"<svg onload='x'/>", "image/svg+xml", 400),
        (b"\xff\xd8\xff" + bytes(100), "image/jpeg", 400),
        (b"\xff\xd8\xff" + bytes(5_000_000), "image/jpeg", 400),
        (b"{}", "application/json", 415),
    ],
)
def test_what_is_no_photo_is_refused(cast: Cast, by_token: As, content: bytes, kind: str, status: int) -> None:
    held = cast.pairing()
    answer = put(by_token(cast.installer), held, content, kind)
    assert answer.status_code == status
    assert set(answer.json()) >= {"code", "message"}
    assert not Pairing.objects.get(pk=held.pk).photo


def test_a_photo_that_unpacks_into_too_many_pixels_is_refused_before_it_does(
    cast: Cast, by_token: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo, "MAX_PIXELS", 1000)
    answer = put(by_token(cast.installer), cast.pairing(), picture(40, 30, "PNG"), "image/png")
    assert (answer.status_code, answer.json()["field"]) == (400, "photo")


def test_strangers_and_viewers_put_no_photo_and_no_photo_is_404(cast: Cast, by_token: As) -> None:
    held = cast.pairing()
    assert put(by_token(cast.viewer), held, picture()).status_code == 403
    assert put(by_token(cast.outsider), held, picture()).status_code == 404
    assert by_token(cast.viewer).get(f"{URL}{held.pk}/photo/").status_code == 404
