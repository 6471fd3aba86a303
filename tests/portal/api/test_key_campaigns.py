"""Keys and their campaigns over the API: who sees what, and that keys are replaced in person only."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from provisioning.campaigns.models import Campaign, Delivery
from provisioning.campaigns.services import plan
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, Purpose
from tests.cast import Cast
from tests.portal.api.conftest import As

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


@pytest.fixture
def adapter(cast: Cast) -> Adapter:
    site = cast.site()
    return cast.keyed_adapter(site, cast.concentrator(site))


@pytest.fixture
def custodian(cast: Cast, by_session: As) -> APIClient:
    """Logged in with a passkey a moment ago; sends the token that pages carry."""
    client = by_session(cast.custodian)
    client.get(f"{V1}keys/")
    client.handler.enforce_csrf_checks = False
    return client


def test_a_campaign_is_planned_paused_resumed_and_cancelled(custodian: APIClient, adapter: Adapter) -> None:
    body = {"adapter": adapter.pk, "window_from": "22:00", "window_to": "04:00", "grace_hours": 24, "reason": "yearly"}
    made = custodian.post(f"{V1}key-campaigns/", body, format="json")
    assert made.status_code == 201
    assert made.json()["progress"] == {
        "total": 1, "planned": 1, "delivering": 0, "confirmed": 0, "active": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    address = f"{V1}key-campaigns/{made.json()['id']}/"
    assert custodian.post(f"{address}pause/", {}, format="json").json()["state"] == "paused"
    assert custodian.post(f"{address}resume/", {}, format="json").json()["state"] == "running"
    assert custodian.post(f"{address}cancel/", {}, format="json").json()["field"] == "reason"
    assert custodian.post(f"{address}cancel/", {"reason": "mistake"}, format="json").json()["state"] == "cancelled"
    again = custodian.post(f"{address}pause/", {}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_failed_deliveries_are_seen_and_tried_again(custodian: APIClient, cast: Cast, adapter: Adapter) -> None:
    Adapter.objects.update(concentrator=None)
    made = custodian.post(f"{V1}key-campaigns/", {"site": adapter.site_id}, format="json").json()
    failed = custodian.get(f"{V1}key-deliveries/?campaign={made['id']}&state=failed").json()["results"]
    assert [(row["dev_eui"], row["code"]) for row in failed] == [(adapter.dev_eui, "no_concentrator")]
    assert custodian.post(f"{V1}key-deliveries/{failed[0]['id']}/retry/").json()["state"] == "planned"
    assert custodian.post(f"{V1}key-campaigns/{made['id']}/retry/").json() == {"deliveries": 0}


def test_keys_are_replaced_in_person_only(
    custodian: APIClient, cast: Cast, adapter: Adapter, by_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"adapter": adapter.pk}
    refused = by_token(cast.custodian).post(f"{V1}key-campaigns/", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    monkeypatch.setattr("provisioning.accounts.freshness.FRESH", timedelta(seconds=-1))
    stale = custodian.post(f"{V1}key-campaigns/", body, format="json")
    assert stale.status_code == 403
    assert "second factor" in stale.json()["message"]
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    "body, field",
    [
        ({"purpose": "lmn"}, "purpose"),
        ({"window_from": "22:00"}, "window_to"),
        ({"per_hour": 0}, "per_hour"),
        ({"method": "exchange", "purpose": "meter"}, "method"),
    ],
)
def test_wrong_terms_are_named(custodian: APIClient, adapter: Adapter, body: dict[str, Any], field: str) -> None:
    answer = custodian.post(f"{V1}key-campaigns/", body, format="json")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_an_adapter_and_a_site_at_once_are_refused(custodian: APIClient, adapter: Adapter) -> None:
    answer = custodian.post(f"{V1}key-campaigns/", {"adapter": adapter.pk, "site": adapter.site_id}, format="json")
    assert answer.json()["field"] == "adapter"


def test_the_inventory_is_filtered_and_shows_no_values(cast: Cast, adapter: Adapter, by_token: Any) -> None:
    cast.keyed_adapter()
    client = by_token(cast.auditor)
    page = client.get(f"{V1}keys/?adapter={adapter.pk}&purpose=inner&state=active").json()["results"]
    assert [(row["dev_eui"], row["purpose"], row["slot"]) for row in page] == [(adapter.dev_eui, "inner", 0)]
    assert not {"sealed", "key", "value"} & set(page[0])
    assert len(client.get(f"{V1}keys/?site={adapter.site_id}").json()["results"]) == 4
    assert client.get(f"{V1}keys/?failed=true").json()["results"] == []
    assert client.get(f"{V1}keys/?expires_before=2090-01-01T00:00:00Z").json()["results"] == []
    assert client.get(f"{V1}keys/?state=lost").status_code == 400


def test_a_key_that_was_never_delivered_has_not_failed_either(cast: Cast, adapter: Adapter, by_token: Any) -> None:
    inner = DeviceKey.objects.get(adapter=adapter, purpose=Purpose.INNER)
    campaign = plan(cast.custodian, cast.organisation, scope=adapter)
    Delivery.objects.filter(campaign=campaign).update(state=Delivery.State.FAILED, key=inner)
    client = by_token(cast.auditor)
    failed = {row["id"] for row in client.get(f"{V1}keys/?failed=true").json()["results"]}
    others = {row["id"] for row in client.get(f"{V1}keys/?failed=false").json()["results"]}
    assert failed == {inner.pk}
    assert others == set(DeviceKey.objects.exclude(pk=inner.pk).values_list("pk", flat=True))


def test_the_inventory_is_read_page_by_page(cast: Cast, adapter: Adapter, by_token: Any) -> None:
    client, seen = by_token(cast.operator), []
    address = f"{V1}keys/?page_size=3"
    while address:
        page = client.get(address).json()
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
    assert len(seen) == 4
    assert seen == sorted(seen)
