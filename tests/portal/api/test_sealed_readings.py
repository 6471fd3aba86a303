"""Sealed readings over the API: null and marked, unless an entitled token says what for."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from provisioning.audit.models import Entry
from tests.cast import Cast
from tests.portal.api.conftest import As
from tests.portal.stage import Device, Stage
from tests.portal.telemetry.sealed_stage import CANARIES, keep_sealed

URL = "/api/v1/readings/"


@pytest.fixture
def stage(cast: Cast) -> Stage:
    stage = Stage(organisation=cast.organisation)
    keep_sealed(stage)
    return stage


@pytest.fixture
def device(stage: Stage) -> Device:
    """Paired, with three telegrams stored."""
    device = stage.device()
    stage.pair(device.row, stage.metering_point())
    stage.run(*(device.telegram(*CANARIES) for _ in range(3)))
    return device


def values(client: APIClient, device: Device, **query: Any) -> list[tuple[Any, bool]]:
    answer = client.get(URL, {"adapter": device.row.pk, **query})
    assert answer.status_code == 200, answer.content
    return [(row["value"], row["sealed"]) for row in answer.json()["results"]]


def test_without_a_purpose_they_are_null_and_marked(cast: Cast, device: Device, by_token: As) -> None:
    assert values(by_token(cast.operator), device) == [(None, True)] * 6


def test_with_a_purpose_an_entitled_token_reads_them(cast: Cast, device: Device, by_token: As) -> None:
    found = values(by_token(cast.operator), device, purpose="billing")
    assert found == [(str(value), False) for _, value in CANARIES for _ in range(3)]
    assert [entry.data["registers"] for entry in Entry.objects.filter(action="readings.opened").order_by("seq")] == [
        [1],
        [2],
    ]


def test_by_metering_point_too(cast: Cast, device: Device, by_token: As) -> None:
    point = device.row.pairings.get().metering_point_id
    answer = by_token(cast.operator).get(f"{URL}?metering_point={point}&register=1&purpose=grid").json()
    assert [row["value"] for row in answer["results"]] == [str(CANARIES[0][1])] * 3


def test_page_by_page_only_what_is_shown_is_opened(cast: Cast, device: Device, by_token: As) -> None:
    assert len(values(by_token(cast.operator), device, purpose="billing", page_size=1)) == 1
    assert Entry.objects.get(action="readings.opened").data["registers"] == [1]


@pytest.mark.parametrize("role", ["installer", "administrator"])
def test_other_roles_are_refused(cast: Cast, device: Device, by_token: As, role: str) -> None:
    answer = by_token(cast.home.people[role]).get(f"{URL}?adapter={device.row.pk}&purpose=billing")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_token_that_may_only_read_is_refused(cast: Cast, device: Device, by_token: Any) -> None:
    answer = by_token(cast.operator, read_only=True).get(f"{URL}?adapter={device.row.pk}&purpose=billing")
    assert answer.status_code == 403


def test_a_purpose_that_is_none_is_named(cast: Cast, device: Device, by_token: As) -> None:
    answer = by_token(cast.operator).get(f"{URL}?adapter={device.row.pk}&purpose=curiosity")
    assert (answer.status_code, answer.json()["field"]) == (400, "purpose")


def test_a_vault_that_is_away_is_a_fault_that_passes(
    cast: Cast, device: Device, by_token: As, settings: Any, tmp_path: Any
) -> None:
    client = by_token(cast.operator)
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(tmp_path / "nobody.sock")
    answer = client.get(f"{URL}?adapter={device.row.pk}&purpose=billing")
    assert (answer.status_code, answer.json()["code"]) == (503, "vault_away")


def test_clear_values_beside_them_are_read_without_an_opening(cast: Cast, stage: Stage, by_token: As) -> None:
    keep_sealed(stage, on=False)
    device = stage.device()
    stage.run(device.telegram((1, 5)))
    assert values(by_token(cast.operator), device, purpose="billing") == [("5", False)]
    assert not Entry.objects.filter(action="readings.opened").exists()
