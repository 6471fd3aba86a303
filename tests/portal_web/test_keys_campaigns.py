"""The pages of campaigns: looked at before they start, watched, steered, tried again; schedules made and ended."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.web.campaigns_preview import last_begins
from provisioning.accounts.models import User
from provisioning.campaigns.models import Campaign, Delivery, Schedule
from provisioning.keys.models import DeviceKey, Purpose
from tests.portal_web.world import World, body

Browse = Callable[[User | None], Client]
TERMS = {"purpose": "inner", "method": "delivery", "partner": "portal", "curve": "x25519", "per_hour": "60",
         "grace_hours": "72"}  # fmt: skip
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def custodian(world: World, browse: Browse) -> Client:
    return browse(world.cast.custodian)


def text(answer: Any) -> str:
    return body(answer).decode()


def look(client: Client, **terms: str) -> Any:
    return client.post(reverse("campaign-new"), {**TERMS, "do": "look", **terms})


def start(client: Client, **terms: str) -> Any:
    seen = look(client, **terms).context["seen"]
    return client.post(reverse("campaign-new"), {**TERMS, "do": "start", "seen": seen, **terms}, follow=True)


def test_looking_changes_nothing_and_says_who_takes_part_and_until_when(world: World, custodian: Client) -> None:
    other, _ = world.paired_adapter()
    DeviceKey.objects.filter(adapter=other, purpose=Purpose.TRANSPORT).update(state="retiring")
    answer = look(custodian, per_hour="1")
    shown = answer.context["preview"]
    assert (shown.adapters, shown.left_out) == (1, 1)
    assert "share no key-transport key" in text(answer)
    assert shown.ends - timezone.now() < timedelta(hours=1, minutes=1)
    assert not Campaign.objects.exists()


@pytest.mark.parametrize("name", ["keys", "campaigns", "campaign-new", "schedule-new"])
def test_the_navigation_shows_that_campaigns_and_schedules_belong_to_keys(name: str, custodian: Client) -> None:
    groups = custodian.get(reverse(name)).context["shell"].nav
    assert [link.url for group in groups for link in group.links if link.on] == [reverse("keys")]


def test_what_was_looked_at_is_started(world: World, custodian: Client) -> None:
    page = start(custodian, site=str(world.site.pk), reason="Yearly")
    campaign = Campaign.objects.get()
    assert (campaign.site, campaign.reason, campaign.state) == (world.site, "Yearly", "running")
    assert world.adapter.dev_eui.upper() in text(page)
    assert Delivery.objects.get().state == "planned"


def test_what_was_changed_since_is_looked_at_once_more(world: World, custodian: Client) -> None:
    seen = look(custodian).context["seen"]
    answer = custodian.post(reverse("campaign-new"), {**TERMS, "do": "start", "seen": seen, "per_hour": "1000"})
    assert "You have changed something" in text(answer)
    assert not Campaign.objects.exists()


def test_the_preview_counts_what_comes_first_and_who_is_not_connected(world: World, custodian: Client) -> None:
    start(custodian, purpose="control_up")
    type(world.concentrator).objects.update(online=False)
    shown = look(custodian).context["preview"]
    assert (shown.ahead, shown.offline) == (1, 1)


def test_a_concentrators_airtime_bounds_the_pace(world: World, custodian: Client) -> None:
    for _ in range(3):
        world.paired_adapter()
    shown = look(custodian, per_hour="3600").context["preview"]
    assert timedelta(minutes=7) < shown.ends - timezone.now() < timedelta(minutes=9), "4 of 30 in an hour"


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"per_hour": "0"}, "greater than or equal to 1"),
        ({"per_hour": "99999"}, "less than or equal to 3600"),
        ({"purpose": "root"}, "Select a valid choice"),
        ({"purpose": "lmn"}, "Select a valid choice"),
        ({"window_from": "22:00"}, "A window has a beginning and an end"),
        ({"window_from": "22:00", "window_to": "22:00"}, "The window is empty"),
        ({"partner": "concentrator"}, "choose the exchange"),
        ({"method": "exchange", "purpose": "transport"}, "Only inner keys are agreed"),
        ({"dev_eui": "70b3d57ed1ffffff"}, "There is no such adapter here"),
        ({"dev_eui": "nonsense"}, "16 hexadecimal digits"),
        ({"site": "999999"}, "Select a valid choice"),
        ({"validity_days": "-1"}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_planned_says_what_to_do(
    terms: dict[str, str], sentence: str, world: World, custodian: Client
) -> None:
    answer = look(custodian, **terms)
    assert sentence in text(answer)
    assert "preview" not in answer.context


def test_a_button_brings_its_scope_along(world: World, custodian: Client) -> None:
    new = reverse("campaign-new")
    assert f'value="{world.adapter.dev_eui}"' in text(custodian.get(new, {"adapter": world.adapter.pk}))
    assert f'value="{world.site.pk}" selected' in text(custodian.get(new, {"site": world.site.pk}))
    for page in (reverse("adapter", args=[world.adapter.pk]), reverse("site", args=[world.site.pk])):
        assert new in text(custodian.get(page)), page


def test_a_campaign_is_paused_resumed_and_cancelled(world: World, custodian: Client) -> None:
    start(custodian)
    campaign = Campaign.objects.get()

    def post(name: str, **data: str) -> str:
        return text(custodian.post(reverse(f"campaign-{name}", args=[campaign.pk]), data, follow=True))

    assert "nothing new begins" in post("pause")
    assert Campaign.objects.get().state == "paused"
    post("pause")
    assert "It goes on" in post("resume")
    assert "This field is required" in post("cancel")
    assert "is cancelled" in post("cancel", reason="Wrong site")
    assert Campaign.objects.get().state == "cancelled"
    assert Delivery.objects.get().state == "cancelled"


def test_failed_deliveries_are_tried_again_one_by_one_or_all(world: World, custodian: Client) -> None:
    delivery = world.campaign.deliveries.get()
    page = text(custodian.get(reverse("campaign", args=[world.campaign.pk])))
    assert "no_transport_key" in page
    assert "Try 1 failed one again" in page
    custodian.post(reverse("delivery-retry", args=[delivery.pk]))
    assert Delivery.objects.get(pk=delivery.pk).state == "planned"
    again = custodian.post(reverse("delivery-retry", args=[delivery.pk]), follow=True)
    assert "has not failed" in text(again)
    Delivery.objects.update(state="failed", code="not_answered")
    all_of_them = custodian.post(reverse("campaign-retry", args=[world.campaign.pk]), follow=True)
    assert "1 delivery is tried again" in text(all_of_them)


def test_only_how_far_it_is_comes_when_htmx_asks(world: World, custodian: Client) -> None:
    start(custodian)
    url = reverse("campaign", args=[Campaign.objects.get().pk])
    part = custodian.get(url, headers={"HX-Request": "true", "HX-Target": "progress"})
    assert "<html" not in text(part)
    assert "HX-Refresh" not in part
    Campaign.objects.update(state="done")
    assert custodian.get(url, headers={"HX-Request": "true", "HX-Target": "progress"})["HX-Refresh"] == "true"
    rows = custodian.get(url, headers={"HX-Request": "true", "HX-Target": "deliveries"})
    assert world.adapter.dev_eui.upper() in text(rows)


def test_a_schedule_is_made_and_ended(world: World, custodian: Client) -> None:
    form = {**TERMS, "period_days": "365", "first_at": "2030-01-01T02:00"}
    custodian.post(reverse("schedule-new"), form)
    row = Schedule.objects.get()
    assert row.period_days == 365
    assert "End it" in text(custodian.get(reverse("campaigns")))
    end = reverse("schedule-end", args=[row.pk])
    custodian.post(end, {"reason": ""})
    assert Schedule.objects.get().ended_at is None
    custodian.post(end, {"reason": "By hand from now on"})
    assert Schedule.objects.get().ended_at is not None
    assert custodian.get(end).status_code == 404


@pytest.mark.parametrize("wrong", [{"period_days": "0"}, {"first_at": "soon"}, {"purpose": "meter"}])
def test_a_schedule_that_cannot_be_is_not_made(wrong: dict[str, str], world: World, custodian: Client) -> None:
    form = {**TERMS, "period_days": "365", "first_at": "2030-01-01T02:00", **wrong}
    assert custodian.post(reverse("schedule-new"), form).status_code == 200
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("hours", "begin", "end", "wanted"),
    [
        (5, None, None, NOON + timedelta(hours=5)),
        (1, time(11), time(14), NOON + timedelta(hours=1)),
        (3, time(11), time(14), NOON + timedelta(days=1)),
        (1, time(22), time(4), NOON + timedelta(hours=11)),
        (7, time(22), time(4), NOON + timedelta(days=1, hours=11)),
        (12, time(22), time(4), NOON + timedelta(days=1, hours=16)),
    ],
)
def test_the_end_is_reckoned_in_open_hours_only(
    hours: float, begin: time | None, end: time | None, wanted: datetime
) -> None:
    assert last_begins(NOON, hours, begin, end, "UTC") == wanted


def test_a_window_that_began_yesterday_is_still_open(world: World) -> None:
    night = NOON.replace(hour=1)
    assert last_begins(night, 2, time(22), time(4), "UTC") == night + timedelta(hours=2)
    assert last_begins(night, 4, time(22), time(4), "UTC") == night.replace(hour=23)
