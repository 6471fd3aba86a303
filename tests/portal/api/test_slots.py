"""Slots over the API: the map, the plan, an adapter's slot, and planning before building."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from meterwire.config_records import SlotReport, SlotState
from portal.telemetry.models import SlotDay
from provisioning.accounts.services import change_member
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.services import grant_site
from provisioning.slots.models import SlotPlan
from provisioning.slots.services import assign, echoed
from tests.cast import Cast
from tests.portal.api.conftest import As

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


@pytest.fixture
def client(cast: Cast, by_token: As) -> APIClient:
    return by_token(cast.operator)


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator(cast.site())


def slotted(cast: Cast, cellar: Concentrator, **wanted: Any) -> Adapter:
    adapter = cast.adapter(cellar.site, cellar)
    assign(cast.operator, adapter, **{"period_s": 900, "data_rate": 3, **wanted})
    return adapter


def test_the_map_has_every_slot_once_and_what_is_closed(cast: Cast, client: APIClient, cellar: Concentrator) -> None:
    adapters = [slotted(cast, cellar) for _ in range(3)]
    slotted(cast, cast.concentrator(cast.site()))
    answer = client.get(f"{V1}concentrators/{cellar.pk}/slots/").json()
    rows = [dict(zip(answer["columns"], row, strict=True)) for row in answer["slots"]]
    assert {row["dev_eui"] for row in rows} == {adapter.dev_eui for adapter in adapters}
    assert all((row["period_s"], row["data_rate"], row["overlap_ms"]) == (900, 3, 0) for row in rows)
    assert answer["closed"] == [{"phase_ms": 292_500, "period_s": 300, "length_ms": 7_500}]
    assert (answer["fullness"]["slots"], answer["truncated"]) == (3, False)
    taken = sum(row["length_ms"] for row in rows) / (8 * 900_000)
    assert answer["fullness"]["used"] == pytest.approx(taken)


def test_the_map_shows_no_adapter_of_a_site_out_of_reach(cast: Cast, cellar: Concentrator, granted: APIClient) -> None:
    near = slotted(cast, cellar)
    far = cast.adapter(cast.site(), cellar)
    assign(cast.operator, far, period_s=900, data_rate=3)
    shown = granted.get(f"{V1}concentrators/{cellar.pk}/slots/").json()
    assert [row[0] for row in shown["slots"]] == [near.pk]
    assert granted.get(f"{V1}adapters/{far.pk}/slot/").status_code == 404


@pytest.mark.parametrize("path", ["slots/", "slot-plan/"])
def test_the_slots_of_a_concentrator_out_of_reach_are_not_there(cast: Cast, granted: APIClient, path: str) -> None:
    other = cast.concentrator(cast.site())
    slotted(cast, other)
    assert granted.get(f"{V1}concentrators/{other.pk}/{path}").status_code == 404


def test_the_plan_of_a_concentrator_out_of_reach_is_not_changed(cast: Cast, by_token: As, cellar: Concentrator) -> None:
    other = cast.concentrator(cast.site())
    limited(cast, "operator", cellar)
    address = f"{V1}concentrators/{other.pk}/slot-plan/"
    assert by_token(cast.operator).put(address, {"guard_ms": 5}, format="json").status_code == 404
    assert not SlotPlan.objects.filter(concentrator=other).exists()


@pytest.fixture
def granted(cast: Cast, by_token: As, cellar: Concentrator) -> APIClient:
    """An installer who sees the cellar's site only."""
    limited(cast, "installer", cellar)
    return by_token(cast.installer)


def limited(cast: Cast, role: str, cellar: Concentrator) -> None:
    """Let a member see the cellar's site only."""
    assert cellar.site is not None
    member = change_member(cast.owner, cast.home.member(role), role=role, all_sites=False)
    grant_site(cast.owner, member, cellar.site)


def test_a_changed_plan_is_kept_audited_and_its_rest_stays(cast: Cast, client: APIClient, cellar: Concentrator) -> None:
    address = f"{V1}concentrators/{cellar.pk}/slot-plan/"
    usual = client.get(address).json()
    assert (usual["by_pairing"], usual["reserve"], usual["beacon_period_s"], usual["full_since"]) == (True, 25, 0, None)
    assert not SlotPlan.objects.filter(concentrator=cellar).exists()
    changed = client.put(address, {"beacon_period_s": 300, "guard_ms": 80}, format="json")
    assert changed.status_code == 200
    assert changed.json() == {**usual, "beacon_period_s": 300, "guard_ms": 80}
    entry = Entry.objects.get(action="slot_plan.updated")
    assert entry.data["beacon_period_s"] == ["0", "300"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"quantum_ms": 7}, "quantum_ms"),
        ({"guard_ms": 2001}, "guard_ms"),
        ({"reserve": 501}, "reserve"),
        ({"beacon_period_s": 3600}, "beacon_period_s"),
        ({"beacon_data_rate": 6}, "beacon_data_rate"),
    ],
)
def test_a_plan_outside_its_bounds_is_refused_by_name(
    client: APIClient, cellar: Concentrator, wrong: dict[str, int], field: str
) -> None:
    answer = client.put(f"{V1}concentrators/{cellar.pk}/slot-plan/", wrong, format="json")
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert not SlotPlan.objects.filter(concentrator=cellar, guard_ms=2001).exists()


def test_another_quantum_under_slots_is_a_conflict(cast: Cast, client: APIClient, cellar: Concentrator) -> None:
    slotted(cast, cellar)
    answer = client.put(f"{V1}concentrators/{cellar.pk}/slot-plan/", {"quantum_ms": 10}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_an_adapter_shows_its_slot_and_its_echo(cast: Cast, client: APIClient, cellar: Concentrator) -> None:
    adapter = slotted(cast, cellar, data_rate=5)
    address = f"{V1}adapters/{adapter.pk}/slot/"
    slot = client.get(address).json()["slot"]
    assert (slot["concentrator"], slot["data_rate"], slot["version"]) == (cellar.pk, 5, 1)
    assert slot["echo"] == {"version": None, "state": None, "rate_ppb": None, "uncertainty_ms": None, "at": None}
    echoed(cast.operator, adapter, SlotReport(1, SlotState.NO_TRUST, -4200, 380), cast.pairing().from_at)
    echo = client.get(address).json()["slot"]["echo"]
    assert (echo["state"], echo["rate_ppb"], echo["uncertainty_ms"]) == ("no_trust", -4200, 380)
    bare = cast.adapter(cellar.site, cellar)
    assert client.get(f"{V1}adapters/{bare.pk}/slot/").json() == {"slot": None, "discipline": None, "days": []}


def test_an_adapter_shows_how_it_kept_its_slot(cast: Cast, client: APIClient, cellar: Concentrator) -> None:
    adapter = slotted(cast, cellar)
    today = datetime.now(UTC).date()
    for ago, late in ((2, 10.0), (1, 15.0)):
        SlotDay.objects.create(
            adapter=adapter, concentrator=cellar, day=today - timedelta(days=ago), version=1, guard_ms=60, inside=96,
            expected=96, arrived=96, early_ms=1.0, late_ms=late, rate_ppb=2000,
        )  # fmt: skip
    shown = client.get(f"{V1}adapters/{adapter.pk}/slot/").json()
    assert [(day["late_ms"], day["used"]) for day in shown["days"]] == [(10.0, 10 / 60), (15.0, 0.25)]
    assert (shown["discipline"]["used"], shown["discipline"]["delivery"]) == (0.25, 1.0)
    assert (shown["discipline"]["inside"], shown["discipline"]["state"]) == (192, "")


def test_a_plan_is_checked_before_building(client: APIClient, cellar: Concentrator) -> None:
    groups = [{"count": 400, "data_rate": 5}, {"count": 30, "data_rate": 0, "kind": "values_previous"}]
    found = client.post(f"{V1}slot-plans/check/", {"groups": groups}, format="json").json()
    assert (found["fits"], found["placed"]) == (True, [400, 30])
    assert 0 < found["used"] < 0.05
    crowd = {"groups": [{"count": 9000, "data_rate": 0}], "plan": {"guard_ms": 100}}
    found = client.post(f"{V1}slot-plans/check/", crowd, format="json").json()
    assert not found["fits"]
    assert 0 < found["placed"][0] < 9000
    often = {"groups": [{"count": 1, "data_rate": rate, "period_s": 60} for rate in (5, 1, 2)]}
    assert client.post(f"{V1}slot-plans/check/", often, format="json").json()["too_often"] == [1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"groups": []},
        {"groups": [{"count": 0, "data_rate": 0}]},
        {"groups": [{"count": 200_001, "data_rate": 0}]},
        {"groups": [{"count": 1, "data_rate": 6}]},
        {"groups": [{"count": 1, "data_rate": 0, "period_s": 600}]},
        {"groups": [{"count": 1, "data_rate": 0, "kind": "video"}]},
        {"groups": [{"count": 1, "data_rate": 0}] * 51},
        {"groups": [{"count": 100_001, "data_rate": 5, "period_s": 86_400}] * 2},
        {"groups": [{"count": 1, "data_rate": 0}], "plan": {"quantum_ms": 7}},
    ],
)
def test_a_check_outside_its_bounds_is_refused(client: APIClient, body: dict[str, Any]) -> None:
    answer = client.post(f"{V1}slot-plans/check/", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_who_may_only_look_sees_the_map_and_changes_no_plan(cast: Cast, by_token: As, cellar: Concentrator) -> None:
    viewer = by_token(cast.viewer)
    address = f"{V1}concentrators/{cellar.pk}/slot-plan/"
    assert viewer.get(address).status_code == 200
    assert viewer.get(f"{V1}concentrators/{cellar.pk}/slots/").status_code == 200
    assert viewer.put(address, {"guard_ms": 5}, format="json").status_code == 403
    outsider = by_token(cast.outsider)
    adapter = slotted(cast, cellar)
    for path in (address, f"{V1}concentrators/{cellar.pk}/slots/", f"{V1}adapters/{adapter.pk}/slot/"):
        assert outsider.get(path).status_code == 404
    assert outsider.put(address, {"guard_ms": 5}, format="json").status_code == 404
    assert not Entry.objects.filter(action="slot_plan.updated").exists()
