"""Who takes part in a campaign, and which plans are refused."""

from datetime import time
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from meterwire.seal import Key16
from provisioning.accounts.models import Membership
from provisioning.audit.models import Entry
from provisioning.campaigns.models import Campaign
from provisioning.campaigns.queries import failures, visible_campaigns, visible_deliveries
from provisioning.campaigns.services import cancel, plan, resume, retry_failed
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.models import Adapter
from provisioning.fleet.services import archive_adapter, grant_site
from provisioning.keys.services import NewKey, import_keys, register_foreign_device
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import Stage

KEY = Key16(bytes(range(16)))


def _codes(campaign: Campaign) -> dict[str, str]:
    return dict(campaign.deliveries.values_list("adapter__dev_eui", "code"))


def test_everybody_in_scope_gets_a_delivery_and_who_cannot_take_part_is_told_why(stage: Stage) -> None:
    ready, bare, homeless, revoked = stage.adapter(), stage.cast.adapter(stage.site, stage.concentrator), *(
        stage.adapter() for _ in range(2)
    )  # fmt: skip
    Adapter.objects.filter(pk=homeless.pk).update(concentrator=None)
    Adapter.objects.filter(pk=revoked.pk).update(revoked_at=revoked.created_at)
    foreign = register_foreign_device(
        STAGE, stage.cast.organisation, dev_eui="a840410000000001", app_key="11" * 16, site=stage.site
    )
    archived = stage.adapter()
    archive_adapter(STAGE, archived)
    campaign = stage.plan(stage.site)
    assert _codes(campaign) == {
        ready.dev_eui: "",
        bare.dev_eui: "no_transport_key",
        homeless.dev_eui: "no_concentrator",
        revoked.dev_eui: "revoked",
        foreign.dev_eui: "foreign",
    }
    assert all(len(row.message) > 20 for row in campaign.deliveries.filter(state="failed"))
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.data["planned"], entry.data["failed"]) == ("campaign.planned", 1, 4)
    assert _codes(stage.plan(archived)) == {archived.dev_eui: "archived"}


def test_a_scope_is_an_adapter_a_site_or_everything(stage: Stage) -> None:
    first, second = stage.adapter(), stage.adapter()
    other_site = stage.cast.site()
    third = stage.cast.keyed_adapter(other_site, stage.cast.concentrator(other_site))
    for scope, expected in ((first, {first}), (stage.site, {first, second}), (None, {first, second, third})):
        campaign = stage.plan(scope)
        assert {row.adapter for row in campaign.deliveries.all()} == expected
        cancel(STAGE, campaign, "enough")


def test_planning_takes_as_many_queries_for_many_adapters_as_for_one(
    stage: Stage, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        stage.adapter()
    with django_assert_max_num_queries(19):
        campaign = stage.plan()
    assert campaign.deliveries.count() == 6


def test_a_key_that_is_being_replaced_already_is_not_planned_twice(stage: Stage) -> None:
    adapter = stage.adapter()
    first = stage.plan()
    assert _codes(stage.plan(adapter)) == {adapter.dev_eui: "already_planned"}
    assert _codes(stage.plan(adapter, purpose="control_up")) == {adapter.dev_eui: ""}
    cancel(STAGE, first, "enough")
    assert _codes(stage.plan(adapter)) == {adapter.dev_eui: ""}


def test_meters_keys_are_delivered_when_they_are_there(stage: Stage) -> None:
    adapter, _ = stage.adapter(), stage.adapter()
    import_keys(STAGE, adapter, [NewKey("meter", KEY, partner=f"input {n}") for n in (0, 2)], activate=False)
    campaign = stage.plan(purpose="meter")
    assert [row.key.partner for row in campaign.deliveries.all() if row.key] == ["input 0", "input 2"]


def test_a_meters_key_names_its_input(stage: Stage) -> None:
    with pytest.raises(Invalid) as refusal:
        import_keys(STAGE, stage.adapter(), [NewKey("meter", KEY, partner="input 8")])
    assert refusal.value.field == "partner"


def test_a_campaign_that_nobody_can_take_part_in_is_over_at_once(stage: Stage) -> None:
    campaign = stage.plan(stage.cast.adapter(stage.site))
    assert (campaign.state, campaign.ended_at is not None) == ("done", True)


def test_an_empty_scope_is_refused(stage: Stage) -> None:
    with pytest.raises(Conflict):
        stage.plan()
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    "field, terms",
    [
        ("purpose", {"purpose": "lmn"}),
        ("purpose", {"purpose": "root"}),
        ("purpose", {"purpose": "storage"}),
        ("method", {"method": "pigeon"}),
        ("method", {"method": "exchange", "purpose": "control_up"}),
        ("method", {"partner": "concentrator"}),
        ("partner", {"partner": "nobody"}),
        ("curve", {"curve": "secp192r1"}),
        ("window_to", {"window_from": time(1)}),
        ("window_to", {"window_from": time(1), "window_to": time(1)}),
        ("per_hour", {"per_hour": 0}),
        ("per_hour", {"per_hour": 3601}),
        ("per_hour", {"per_hour": True}),
        ("validity_days", {"validity_days": 0}),
        ("validity_days", {"validity_days": 4000}),
        ("grace_hours", {"grace_hours": -1}),
        ("grace_hours", {"grace_hours": 1441}),
        ("reason", {"reason": "x" * 201}),
    ],
)
def test_wrong_terms_are_refused_with_their_field(stage: Stage, field: str, terms: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        stage.plan(stage.adapter(), **terms)
    assert refusal.value.field == field


def test_a_scope_of_another_organisation_does_not_exist(stage: Stage) -> None:
    elsewhere = stage.cast.site(company=stage.cast.away)
    with pytest.raises((Forbidden, Invalid)):
        plan(stage.cast.custodian, stage.cast.organisation, scope=elsewhere)


def test_a_custodian_of_one_site_plans_there_and_nowhere_else(stage: Stage) -> None:
    adapter = stage.adapter()
    member = stage.cast.home.member("custodian")
    Membership.objects.filter(pk=member.pk).update(all_sites=False)
    grant_site(stage.cast.administrator, member, stage.site)
    mine = stage.plan(adapter)
    with pytest.raises(Forbidden):
        stage.plan()
    theirs = plan(STAGE, stage.cast.organisation, purpose="control_up")
    assert list(visible_campaigns(stage.cast.custodian)) == [mine]
    with pytest.raises(Forbidden):
        cancel(stage.cast.custodian, theirs, "not mine")


def test_progress_comes_in_one_query(stage: Stage, django_assert_num_queries: Any) -> None:
    stage.cast.adapter(stage.site)
    stage.adapter()
    stage.begun(stage.site)
    campaigns = visible_campaigns(STAGE, stage.cast.organisation)
    with django_assert_num_queries(1):
        found = list(campaigns)
    names = ("total", "planned", "delivering", "failed")
    assert [[getattr(row, name) for name in names] for row in found] == [[2, 0, 1, 1]]
    assert not visible_campaigns(stage.cast.outsider).exists()
    assert not visible_deliveries(stage.cast.outsider).exists()


def test_what_failed_stays_on_the_list_until_a_later_delivery(stage: Stage) -> None:
    adapter = stage.cast.adapter(stage.site)
    campaign = stage.plan(adapter)
    assert [row.code for row in failures(stage.cast.custodian)] == ["no_concentrator"]
    assert retry_failed(stage.cast.custodian, campaign) == 1
    assert not failures(stage.cast.custodian).exists()
    assert Campaign.objects.get().state == "running"
    with pytest.raises(Conflict):
        resume(stage.cast.custodian, campaign)


@pytest.mark.parametrize("keyed", [False, True])
def test_two_rows_of_a_campaign_cannot_name_the_same_adapter_or_key(stage: Stage, keyed: bool) -> None:
    adapter = stage.adapter()
    row = stage.plan(adapter).deliveries.get()
    row.key = stage.cast.inner_key(adapter) if keyed else None
    row.save()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)
