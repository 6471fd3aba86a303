"""The pages of batches: upload, columns, report, import, and who may see them."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.celery import app
from portal.web import batches, uploads
from provisioning.accounts.models import Role, User
from provisioning.batches import services
from provisioning.batches.models import Batch, Supplier
from provisioning.batches.tasks import forget_keys, go_on, import_batch
from provisioning.fleet.models import Adapter
from tests.cast import Cast
from tests.portal_web.world import body
from tests.support.supplier_file import MAPPING, adapters, csv_file, xlsx_file

Browse = Callable[[User | None], Client]


@pytest.fixture
def supplier(cast: Cast) -> Supplier:
    return services.save_supplier(cast.operator, cast.organisation, "Funkwerk", mapping=MAPPING)


@pytest.fixture
def batch(cast: Cast, supplier: Supplier) -> Batch:
    rows = list(adapters(3))
    rows[2][2] = "not a key"
    file = csv_file(rows)
    return services.upload(cast.operator, cast.organisation, file, "Lieferung.csv", supplier=supplier)


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed to the worker."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(import_batch, "apply_async", lambda args, **options: found.append(args))
    return found


def named(file: io.BytesIO, name: str) -> io.BytesIO:
    file.name = name
    return file


def fields(prefix: str = "map_") -> dict[str, str]:
    return {"columns": "shown", **{f"{prefix}{name}": title for name, title in MAPPING.items()}}


def test_the_empty_list_says_how_to_begin(cast: Cast, browse: Browse) -> None:
    assert "No batches yet" in browse(cast.operator).get(reverse("batches")).content.decode()


def test_a_file_is_looked_at_and_its_columns_are_suggested(cast: Cast, browse: Browse) -> None:
    file = named(xlsx_file(adapters(2)), "delivery.xlsx")
    answer = browse(cast.operator).post(reverse("batch-columns"), {"file": file})
    page = answer.content.decode()
    assert '<option value="AppKey" selected>' in page
    assert '<option value="Device EUI" selected>' in page
    assert next(adapters(1))[2] not in page, "a key is not shown, not even in the preview"


def test_the_upload_remembers_the_columns_and_shows_the_report(cast: Cast, browse: Browse) -> None:
    client = browse(cast.operator)
    file = named(csv_file(adapters(3)), "delivery.csv")
    answer = client.post(reverse("batch-new"), {"new_supplier": "Funkwerk", "file": file, **fields()})
    made = Batch.objects.get()
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("batch", args=[made.pk])
    assert Supplier.objects.get().mapping == MAPPING
    page = client.get(answer.headers["Location"]).content.decode()
    assert "Import 3 adapters" in page
    assert next(adapters(1))[2] not in page
    again = client.post(
        reverse("batch-columns"), {"supplier": Supplier.objects.get().pk, "file": named(csv_file(adapters(1)), "b.csv")}
    )
    assert "Columns as last time" in again.content.decode()


def test_without_scripts_the_columns_come_as_a_second_step(cast: Cast, browse: Browse) -> None:
    file = named(csv_file(adapters(1)), "a.csv")
    answer = browse(cast.operator).post(reverse("batch-new"), {"new_supplier": "Funkwerk", "file": file})
    assert "choose the file once more" in answer.content.decode()
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"PK\x03\x04nonsense", "a.xlsx", "damaged"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "a.xls", "old or encrypted"),
        (b"a;b\r\n1;2\r\n", "a.xlsm", "macros"),
        (b"DevEUI\r\n70B3D57ED0000001\r\n", "a.csv", "has no column"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_cure(
    content: bytes, name: str, words: str, cast: Cast, browse: Browse
) -> None:
    file = named(io.BytesIO(content), name)
    answer = browse(cast.operator).post(reverse("batch-new"), {"new_supplier": "X", "file": file, **fields()})
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Batch.objects.exists()


def test_200_megabytes_are_refused_before_they_are_read(cast: Cast, browse: Browse) -> None:
    client = browse(cast.operator)
    for name in ("batch-new", "batch-columns"):
        answer = client.post(reverse(name), {}, CONTENT_LENGTH=str(200 * 2**20))
        assert answer.status_code == 413
        assert "The file has 200 MB; at most 24 MB are read." in answer.content.decode()


async def test_the_web_server_reads_no_more_than_an_address_takes() -> None:
    reached: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        reached.append(message["type"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def endless() -> Any:
        return {"type": "http.request", "body": bytes(2**20), "more_body": True}

    guarded = uploads.bounded(app)
    announced = {"type": "http", "path": "/batches/new/", "headers": [(b"content-length", b"209715200")]}
    await guarded(announced, endless, send)
    assert reached == []
    assert (sent[0]["status"], b"200 MB" in sent[1]["body"]) == (413, True)
    sent.clear()
    await guarded({"type": "http", "path": "/login/", "headers": []}, endless, send)
    assert (reached, sent[0]["status"]) == (["http.disconnect"], 413)


def test_the_report_shows_errors_with_line_and_column_and_can_be_filtered(
    cast: Cast, batch: Batch, browse: Browse
) -> None:
    client = browse(cast.operator)
    url = reverse("batch", args=[batch.pk])
    page = client.get(url).content.decode()
    assert "<b>AppKey:</b>" in page
    assert "This key has other signs than 0-9 and A-F." in page
    assert "not a key" not in page
    bad = client.get(url, {"state": "bad", "error": "not_hex"}).content.decode()
    assert "SN-" not in bad
    assert bad.count('class="st bad">bad') == 1
    assert "No row fits" in client.get(url, {"error": "repeated"}).content.decode()


def test_the_downloaded_report_holds_check_values_and_no_formula(
    cast: Cast, supplier: Supplier, browse: Browse
) -> None:
    rows = list(adapters(2))
    rows[0][5] = "=cmd|'/C calc'!A0"
    made = services.upload(cast.operator, cast.organisation, csv_file(rows), "a.csv", supplier=supplier)
    answer = browse(cast.operator).get(reverse("batch-report", args=[made.pk]))
    text = body(answer).decode("utf-8-sig")
    assert "'=cmd" in text
    assert "\n=cmd" not in text
    assert ",=cmd" not in text
    for row in rows:
        assert row[2] not in text.upper()
    assert made.rows.order_by("line")[1].keys[0]["check_value"].upper() in text


def test_the_import_is_released_and_its_progress_can_be_watched(
    cast: Cast, batch: Batch, browse: Browse, queued: list[Any]
) -> None:
    client = browse(cast.operator)
    url = reverse("batch", args=[batch.pk])
    client.post(reverse("batch-import", args=[batch.pk]), {"mode": "all_or_nothing"})
    assert queued == [], "there is a bad row"
    client.post(reverse("batch-import", args=[batch.pk]), {"mode": "skip_bad_rows"})
    assert queued == [(batch.pk,)]
    assert "You can leave this page" in client.get(url).content.decode()
    part = {"HX-Request": "true", "HX-Target": "progress"}
    assert "0 of 2" in client.get(url, headers=part).content.decode()
    assert import_batch(batch.pk) == "done"
    assert client.get(url, headers=part).headers["HX-Refresh"] == "true"
    page = client.get(url).content.decode()
    assert "imported in part" in page
    assert f'href="{reverse("labels")}?batch={batch.pk}"' in page
    assert Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").count() == 2


def test_an_import_whose_worker_died_is_taken_up_by_the_sweeper(
    cast: Cast, batch: Batch, browse: Browse, queued: list[Any]
) -> None:
    services.start(cast.operator, batch, "skip_bad_rows")
    assert go_on() == 0
    Batch.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    page = browse(cast.operator).get(reverse("batch", args=[batch.pk])).content.decode()
    assert "Go on now" in page
    assert go_on() == 1
    assert queued == [(batch.pk,)]


def test_an_import_is_handed_to_the_workers_own_queue_from_whatever_thread_answers(batch: Batch) -> None:
    with ThreadPoolExecutor(1) as answering:
        assert answering.submit(lambda: import_batch.app).result() is app
    assert app.conf.broker_url == settings.REDIS_URL
    assert batches.queue(batch, "batch-of-a-test")


def test_who_releases_an_import_is_told_at_once_that_the_queue_is_away(
    cast: Cast, batch: Batch, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    paused: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", paused.append)
    url = reverse("batch-import", args=[batch.pk])
    page = browse(cast.operator).post(url, {"mode": "skip_bad_rows"}, follow=True).content.decode()
    assert "The worker cannot be reached just now" in page
    assert sum(paused) < 0.5


def test_a_batch_nobody_imports_loses_its_keys(cast: Cast, batch: Batch) -> None:
    assert forget_keys() == 0
    Batch.objects.update(created_at=timezone.now() - timedelta(days=15))
    assert forget_keys() == 1
    assert all(bytes(row.sealed) == b"" for row in batch.rows.all())


def test_a_series_is_made_in_the_portal(cast: Cast, browse: Browse) -> None:
    data = {"first_dev_eui": "70B3D57ED4000000", "count": 5, "join_eui": "70B3D57ED0000001", "tag_length": "8"}
    answer = browse(cast.operator).post(reverse("batch-series"), data)
    page = browse(cast.operator).get(answer.headers["Location"]).content.decode()
    assert "Import 5 adapters" in page
    refused = browse(cast.operator).post(reverse("batch-series"), {**data, "first_dev_eui": "f" * 16})
    assert "begin lower" in refused.content.decode()


def test_a_cancelled_batch_says_so(cast: Cast, batch: Batch, browse: Browse) -> None:
    client = browse(cast.operator)
    answer = client.post(reverse("batch-cancel", args=[batch.pk]), follow=True)
    assert "The keys that were not imported are forgotten." in answer.content.decode()


@pytest.mark.parametrize("role", Role.values)
def test_roles_and_other_organisations(role: str, cast: Cast, batch: Batch, browse: Browse) -> None:
    allowed = role in {"operator", "custodian"}
    for person, known in ((cast.home.people[role], True), (cast.away.people[role], False)):
        client = browse(person)
        listed = client.get(reverse("batches"))
        assert listed.status_code == (200 if allowed else 403)
        assert ("Lieferung.csv" in listed.content.decode()) is (allowed and known)
        for name, post in (("batch", 0), ("batch-report", 0), ("batch-check", 1), ("batch-import", 1)):
            url = reverse(name, args=[batch.pk])
            status = (client.post(url) if post else client.get(url)).status_code
            assert status == ((302 if post else 200) if allowed and known else 404 if allowed else 403), name
        assert ('href="/batches/"' in client.get(reverse("overview")).content.decode()) is allowed


def test_a_member_limited_to_sites_sees_only_batches_for_them(cast: Cast, batch: Batch, browse: Browse) -> None:
    elsewhere = cast.site("Elsewhere 1")
    member = cast.home.member(Role.OPERATOR)
    member.all_sites = False
    member.save()
    member.site_access.create(site=elsewhere)
    client = browse(cast.operator)
    assert client.get(reverse("batch", args=[batch.pk])).status_code == 404
    file = named(csv_file(adapters(1, first=0x70B3D57ED5000000)), "a.csv")
    answer = client.post(reverse("batch-new"), {"new_supplier": "X", "file": file, **fields()})
    assert answer.status_code == 403
