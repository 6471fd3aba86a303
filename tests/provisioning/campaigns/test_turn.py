"""Whose turn it is: windows, budgets, and adapters that cannot be reached."""

from datetime import datetime, time, timedelta

from provisioning.campaigns.models import Delivery
from provisioning.campaigns.services import begin, due, failed, notices_due, pause, sent, unanswered
from provisioning.campaigns.services.turn import PER_CONCENTRATOR
from provisioning.fleet.models import Concentrator, Site
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import HOUR, NOON, Stage

MANY = 1000


def _pace(stage: Stage, now: datetime, limit: int = MANY) -> int:
    """Begin what is due; how many that were."""
    found = due(now, limit)
    for pk in found:
        assert begin(pk, now, stage.vault) is not None
    return len(found)


def test_no_more_begin_in_an_hour_than_the_campaign_allows(stage: Stage) -> None:
    for _ in range(5):
        stage.adapter()
    stage.plan(per_hour=2)
    later = Delivery.objects.order_by("pk")
    later.update(due_at=NOON)
    assert _pace(stage, NOON) == 2
    assert _pace(stage, NOON + HOUR - timedelta(seconds=1)) == 0
    assert _pace(stage, NOON + HOUR) == 2


def test_campaigns_of_one_organisation_share_the_hour(stage: Stage) -> None:
    adapters = [stage.adapter() for _ in range(4)]
    for adapter in adapters:
        stage.plan(adapter, per_hour=2)
    Delivery.objects.update(due_at=NOON)
    assert _pace(stage, NOON) == 2


def test_a_concentrator_has_a_budget_of_its_own_and_holds_up_no_other(stage: Stage) -> None:
    for _ in range(3):
        stage.adapter()
    site = stage.cast.site()
    stage.cast.keyed_adapter(site, stage.cast.concentrator(site))
    Concentrator.objects.update(online=True)
    stage.plan(per_hour=1000)
    Delivery.objects.update(due_at=NOON)
    for number in range(PER_CONCENTRATOR - 1):
        spent = stage.plan(stage.cast.keyed_adapter(stage.site, stage.concentrator), purpose="control_down")
        spent.deliveries.update(state="active", begun_at=NOON - timedelta(minutes=number))
    found = list(Delivery.objects.filter(pk__in=due(NOON, MANY)))
    assert sorted(row.adapter.concentrator_id == stage.concentrator.pk for row in found) == [False, True]


def test_deliveries_wait_for_the_window_where_their_adapter_is(stage: Stage) -> None:
    here = stage.adapter()
    Site.objects.filter(pk=stage.site.pk).update(time_zone="Europe/Berlin")
    far = stage.cast.site()
    Site.objects.filter(pk=far.pk).update(time_zone="Atlantic/Azores")
    there = stage.cast.keyed_adapter(far, stage.cast.concentrator(far))
    Concentrator.objects.update(online=True)
    stage.plan(window_from=time(1), window_to=time(3))
    Delivery.objects.update(due_at=NOON - HOUR * 24)
    night = NOON.replace(hour=0, minute=30)

    def whose(now: datetime) -> list[int]:
        return list(Delivery.objects.filter(pk__in=due(now, MANY)).values_list("adapter_id", flat=True))

    assert whose(night) == [here.pk]
    assert whose(night + 2 * HOUR) == [there.pk]
    assert whose(NOON) == []


def test_an_adapter_without_a_site_goes_by_the_portals_own_time(stage: Stage) -> None:
    adapter = stage.adapter()
    adapter.site = None
    adapter.save()
    stage.plan(adapter, window_from=time(1), window_to=time(3))
    Delivery.objects.update(due_at=NOON - HOUR * 24)
    assert due(NOON.replace(hour=0, minute=30), MANY)
    assert not due(NOON, MANY)


def test_nothing_begins_under_a_concentrator_that_is_away_nor_in_a_paused_campaign(stage: Stage) -> None:
    stage.adapter()
    campaign = stage.plan()
    Delivery.objects.update(due_at=NOON)
    Concentrator.objects.update(online=False)
    assert due(NOON, MANY) == []
    Concentrator.objects.update(online=True)
    assert len(due(NOON, MANY)) == 1
    pause(STAGE, campaign)
    assert due(NOON, MANY) == []


def test_one_delivery_at_a_time_is_chosen_for_an_adapter(stage: Stage) -> None:
    adapter = stage.adapter()
    for purpose in ("inner", "control_up"):
        stage.plan(adapter, purpose=purpose)
    Delivery.objects.update(due_at=NOON)
    assert _pace(stage, NOON) == 1
    assert due(NOON, MANY) == []


def test_what_is_under_way_is_sent_again_when_its_time_comes_even_while_the_campaign_rests(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter())
    assert unanswered(NOON, MANY) == [delivery.pk]
    sent(delivery, NOON, NOON + HOUR)
    pause(STAGE, delivery.campaign)
    assert unanswered(NOON + HOUR / 2, MANY) == []
    assert unanswered(NOON + HOUR, MANY) == [delivery.pk]
    failed(delivery, "not_answered", "", NOON + HOUR)
    assert unanswered(NOON + 2 * HOUR, MANY) == []


def test_a_clock_that_was_set_back_does_not_lock_the_budget(stage: Stage) -> None:
    for _ in range(2):
        stage.adapter()
    stage.plan(per_hour=1)
    Delivery.objects.update(due_at=NOON - timedelta(days=9))
    assert _pace(stage, NOON) == 1
    assert _pace(stage, NOON - timedelta(days=1)) == 1


def test_a_proof_waits_until_nothing_else_is_under_way_to_the_adapter(stage: Stage) -> None:
    adapter = stage.adapter()
    delivery = stage.confirmed(stage.begun(adapter))
    stage.heard(delivery.key)
    assert len(notices_due(NOON, MANY)) == 1
    stage.begun(adapter, purpose="control_up")
    assert notices_due(NOON, MANY) == []
