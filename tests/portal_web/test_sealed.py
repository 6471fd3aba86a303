"""Pages on sealed values: closed until somebody entitled says what for, then as if they had been stored clear."""

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from meterwire.messages import timestamp
from portal.telemetry.models import HourRollup, Reading
from portal.web.registers import shown
from portal.web.sealed import Opening
from portal.web.series import Window, chart
from provisioning.accounts.models import Membership, Organisation
from provisioning.approvals.models import Approval
from provisioning.approvals.services import approve
from provisioning.audit.models import Entry
from provisioning.keys import kek
from tests.cast import Cast
from tests.portal.stage import Device, Stage
from tests.portal.telemetry.sealed_stage import keep_sealed
from tests.portal_web.test_adapters import Browse

EVERY = timedelta(minutes=15)
VALUES = [10_000, 10_250, 10_750, 11_500]
NOW = timezone.now()


@pytest.fixture
def stage(cast: Cast) -> Stage:
    stage = Stage(organisation=cast.organisation)
    keep_sealed(stage)
    return stage


@pytest.fixture
def device(stage: Stage) -> Device:
    """With four counters of the last hour, sealed."""
    device = stage.device()
    send(stage, device, VALUES)
    return device


def send(stage: Stage, device: Device, values: list[int], until: Any = NOW) -> None:
    times = [until - EVERY * number for number in reversed(range(len(values)))]
    telegrams = [
        device.telegram((1, value), received_at=timestamp(at.timestamp()))
        for value, at in zip(values, times, strict=True)
    ]
    stage.run(*telegrams, now=until.timestamp())


def opened(client: Client, device: Device, purpose: str = "fault", **query: str) -> Any:
    url = reverse("adapter-series-open", args=[device.row.pk])
    asked = "&".join(f"{name}={value}" for name, value in {"group": "energy", **query}.items())
    return client.post(f"{url}?{asked}", {"purpose": purpose})


def test_a_chart_is_closed_until_it_is_opened_for_a_purpose(cast: Cast, device: Device, browse: Browse) -> None:
    client = browse(cast.operator)
    closed = client.get(reverse("adapter-series", args=[device.row.pk]), {"group": "energy"}).json()
    assert (closed["x"], closed["sealed"], closed["opens"]) == ([], 4, True)
    data = opened(client, device).json()
    assert data["series"][0]["values"] == [None, 1000.0, 2000.0, 3000.0]
    assert data["sealed"] == 0
    entry = Entry.objects.get(action="readings.opened")
    assert (entry.actor_id, entry.data["purpose"], entry.data["count"]) == (cast.operator.pk, "fault", 4)


def test_the_page_offers_to_open_and_shows_no_value(cast: Cast, device: Device, browse: Browse) -> None:
    page = browse(cast.operator).get(reverse("adapter", args=[device.row.pk])).content.decode()
    assert "Open sealed values" in page
    assert reverse("adapter-series-open", args=[device.row.pk]) in page
    assert "11.500" not in page
    page = browse(cast.installer).get(reverse("adapter", args=[device.row.pk])).content.decode()
    assert "Open sealed values" not in page


@pytest.mark.parametrize(
    ("purpose", "status", "words"), [("", 400, "must be one of"), ("curiosity", 400, "must be one of")]
)
def test_without_a_purpose_nothing_opens(
    cast: Cast, device: Device, browse: Browse, purpose: str, status: int, words: str
) -> None:
    answer = opened(browse(cast.operator), device, purpose)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert not Entry.objects.filter(action="readings.opened").exists()


def test_when_the_vault_is_away_the_answer_says_what_to_do(
    cast: Cast, device: Device, browse: Browse, settings: Any, tmp_path: Any
) -> None:
    client = browse(cast.operator)
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(tmp_path / "nobody.sock")
    assert not kek.held()
    answer = opened(client, device)
    assert answer.status_code == 503
    assert "manage.py run_vault" in answer.json()["error"]
    export = client.get(reverse("readings-export"), {"all": "1", "purpose": "billing"})
    assert export.status_code == 503
    assert "The vault does not answer" in export.content.decode()


def test_who_loses_the_role_while_the_page_is_open_gets_nothing_more(
    cast: Cast, device: Device, browse: Browse
) -> None:
    client = browse(cast.operator)
    assert opened(client, device).status_code == 200
    Membership.objects.filter(user=cast.operator).update(role="installer")
    assert opened(client, device).status_code == 403


def test_a_link_cannot_make_somebody_open_values(cast: Cast, device: Device, browse: Browse) -> None:
    client = browse(cast.operator)
    assert client.get(reverse("adapter-series-open", args=[device.row.pk])).status_code == 405
    client.handler.enforce_csrf_checks = True
    assert opened(client, device).status_code == 403


def test_a_month_is_computed_from_opened_values(cast: Cast, stage: Stage) -> None:
    device = stage.device()
    noon = (NOW - timedelta(days=3)).replace(minute=59, second=0, microsecond=0)
    send(stage, device, [1000, 1100, 1200, 1500], noon)
    window = Window.of("month", "", NOW)
    drawn = chart(device.row, [shown(1)], window, "flow", Opening(cast.operator, "billing"))
    assert sum(drawn.as_json()["series"][0]["values"]) == pytest.approx(0.5)
    assert drawn.sealed == 0


def test_a_sealed_stretch_between_clear_ones_is_opened_too(cast: Cast, stage: Stage) -> None:
    device = stage.device()
    middle = (NOW - timedelta(days=2)).replace(minute=59, second=0, microsecond=0)
    send(stage, device, [1000, 1100, 1200, 1500], middle)
    for hours, value in ((-5, 900), (20, 2000)):
        start = middle.replace(minute=0) + timedelta(hours=hours)
        HourRollup.objects.create(
            adapter=device.row, register=1, start=start, first_at=start, last_at=start, first_value=value,
            last_value=value, min_value=value, max_value=value, mean=value, count=4,
        )  # fmt: skip
    window = Window.of("week", "", NOW)
    assert chart(device.row, [shown(1)], window, "flow").sealed == 4
    drawn = chart(device.row, [shown(1)], window, "flow", Opening(cast.operator, "billing"))
    assert sum(drawn.as_json()["series"][0]["values"]) == pytest.approx(1.1)


def rows(answer: Any) -> list[dict[str, str]]:
    text = b"".join(answer.streaming_content if not answer.is_async else collect(answer)).decode("utf-8-sig")
    return list(csv.DictReader(StringIO(text)))


def collect(answer: Any) -> list[bytes]:
    from asgiref.sync import async_to_sync

    async def read() -> list[bytes]:
        return [part async for part in answer.streaming_content]

    return async_to_sync(read)()


def test_an_export_leaves_sealed_values_out_unless_they_are_opened(cast: Cast, device: Device, browse: Browse) -> None:
    client = browse(cast.operator)
    closed = rows(client.get(reverse("readings-export"), {"all": "1"}))
    assert [row["Value"] for row in closed] == [""] * 4
    found = rows(client.get(reverse("readings-export"), {"all": "1", "purpose": "billing"}))
    assert [row["Value"] for row in found] == [str(value) for value in VALUES]
    assert Entry.objects.get(action="readings.opened").data["purpose"] == "billing"
    assert [
        entry.data.get("purpose") for entry in Entry.objects.filter(action="readings.exported").order_by("seq")
    ] == [
        None,
        "billing",
    ]


def test_an_export_by_the_hour_is_computed_from_opened_values(cast: Cast, stage: Stage, browse: Browse) -> None:
    device = stage.device()
    send(stage, device, [1000, 1100, 1200, 1500], (NOW - timedelta(days=1)).replace(minute=59, second=0, microsecond=0))
    query = {"all": "1", "resolution": "hour", "purpose": "grid"}
    [hour] = rows(browse(cast.operator).get(reverse("readings-export"), query))
    assert (hour["Value"], hour["Mean"], hour["Least"], hour["Greatest"], hour["Readings"]) == (
        "1500", "1200.0", "1000", "1500", "4",
    )  # fmt: skip


def test_who_may_export_but_not_open_is_refused_the_opening(cast: Cast, device: Device, browse: Browse) -> None:
    answer = browse(cast.administrator).get(reverse("readings-export"), {"all": "1", "purpose": "billing"})
    assert answer.status_code == 403


def test_only_an_organisation_with_sealed_values_is_asked_for_a_purpose(
    cast: Cast, stage: Stage, browse: Browse
) -> None:
    client = browse(cast.operator)
    assert 'name="purpose"' in client.get(reverse("readings")).content.decode()
    Organisation.objects.filter(pk=cast.organisation.pk).update(sealed_telemetry=False)
    assert 'name="purpose"' not in client.get(reverse("readings")).content.decode()


def test_the_newest_value_of_a_sealed_meter_is_called_sealed(cast: Cast, device: Device, browse: Browse) -> None:
    assert Reading.objects.filter(value__isnull=False).count() == 0
    page = browse(cast.operator).get(reverse("readings")).content.decode()
    assert "sealed" in page


def test_the_administrator_switches_on_and_a_custodian_has_to_allow_switching_off(cast: Cast, browse: Browse) -> None:
    client, url = browse(cast.administrator), reverse("sealing")
    assert "values are stored clear" in client.get(url).content.decode()
    assert client.post(url, {"deed": "seal", "reason": ""}).status_code == 409
    assert client.post(url, {"deed": "seal", "reason": "decided"}).status_code == 302
    assert "values are stored sealed" in client.get(url).content.decode()
    assert "stored sealed" in client.get(reverse("account")).content.decode()
    refused = client.post(url, {"deed": "unseal", "reason": "asked nobody"})
    assert refused.status_code == 409
    assert "approval of a second person" in refused.content.decode()
    client.post(url, {"deed": "ask", "reason": "a customer complains"})
    page = client.get(url).content.decode()
    assert "a key custodian has to allow it" in page
    assert 'name="deed"' not in page
    approve(cast.custodian, Approval.objects.get())
    assert client.post(url, {"deed": "unseal", "reason": "a customer complains"}).status_code == 302
    cast.organisation.refresh_from_db()
    assert not cast.organisation.sealed_telemetry
