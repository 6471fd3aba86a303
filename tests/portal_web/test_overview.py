"""The first page and the incidents: what is counted, what is said, and never one row per adapter."""

import re
from collections.abc import Callable
from datetime import timedelta
from time import time

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.web import summary
from portal.web.access import Access, reach_of
from portal.web.incident import Incident
from portal.web.punctuality import Hour
from portal.web.snapshot import snapshots
from portal.web.views.overview import punctual
from provisioning.accounts.models import Role, User
from provisioning.fleet.models import Concentrator
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]


def titles(world: World) -> list[str]:
    snapshots.forget()
    access = Access(world.cast.owner, world.cast.home.member(Role.ADMINISTRATOR), several=False)
    return [incident.title for incident in summary.incidents(access)]


def text(browse: Browse, user: User, url: str = "/") -> str:
    return " ".join(browse(user).get(url).content.decode().split())


def test_adapters_are_counted_as_heard_silent_and_never_heard(world: World, browse: Browse) -> None:
    world.heard()
    for _ in range(2):
        world.silent(world.paired_adapter()[0])
    for _ in range(3):
        world.paired_adapter()
    page = text(browse, world.cast.viewer)
    assert '<b>1 <span class="of">of 6</span></b>' in page
    assert "1 heard, 2 silent, 3 never heard" in page


def test_an_empty_organisation_is_told_the_first_steps(world: World, browse: Browse) -> None:
    page = text(browse, world.cast.away.people[Role.OPERATOR])
    assert "four steps to the first reading" in page
    assert reverse("site-new") in page


def test_nothing_wrong_is_said_to_be_nothing_to_do(world: World, browse: Browse) -> None:
    world.heard()
    assert titles(world) == []
    assert "Nothing to do" in text(browse, world.cast.viewer, "/incidents/")


def test_a_lost_backhaul_is_one_incident_with_what_waits(world: World, browse: Browse) -> None:
    for _ in range(3):
        world.silent(world.paired_adapter()[0])
    Concentrator.objects.filter(pk=world.concentrator.pk).update(online=False, queue_depth=1444, devices=4)
    assert titles(world) == ["Kastanienhof 7 has lost its backhaul"]
    page = text(browse, world.cast.viewer, "/incidents/")
    assert "4 adapters affected · 1,444 readings wait in its outbox" in page


def test_silent_adapters_of_a_site_are_one_incident(world: World) -> None:
    world.heard()
    for _ in range(3):
        world.silent(world.paired_adapter()[0])
    assert titles(world) == ["Kastanienhof 7: 3 adapters are silent"]


def test_refused_telegrams_are_grouped_by_their_cause(world: World) -> None:
    for _ in range(3):
        world.heard(world.paired_adapter()[0], last_error="tag_mismatch", last_error_at=world.now)
    world.heard(last_error="unknown_key_slot", last_error_at=world.now - timedelta(hours=2))
    old, _pairing = world.paired_adapter()
    world.heard(old, last_error="format", last_error_at=world.now - timedelta(days=3))
    assert titles(world) == [
        "The inner seal does not fit",
        "Sealed with a key slot that the portal does not know",
    ]


def test_a_key_that_waits_and_one_that_changed_are_told_apart(world: World) -> None:
    world.heard()
    Concentrator.objects.filter(pk=world.concentrator.pk).update(announced_key="ab" * 32)
    assert titles(world) == ["Kastanienhof 7 announces another key than the approved one"]
    Concentrator.objects.filter(pk=world.concentrator.pk).update(public_key="", key_approved_at=None)
    assert titles(world) == ["Kastanienhof 7 waits for the approval of its key"]


def test_a_lost_gateway_and_a_free_clock_are_incidents(world: World) -> None:
    world.heard()
    gateways = [{"gw": "0" * 16, "online": False}, {"gw": "1" * 16, "online": True}]
    Concentrator.objects.filter(pk=world.concentrator.pk).update(gateways=gateways, clock_quality="free")
    assert titles(world) == [
        "Kastanienhof 7 has lost a radio gateway",
        "The clock of Kastanienhof 7 is not synchronised",
    ]


def test_the_site_in_trouble_comes_first(world: World, browse: Browse) -> None:
    world.heard()
    quiet = world.cast.site("Aaa street 1")
    trouble = world.cast.site("Zzz street 9")
    world.heard(world.paired_adapter(quiet)[0])
    world.silent(world.paired_adapter(trouble)[0])
    page = text(browse, world.cast.viewer)
    assert page.index("Zzz street 9") < page.index("Aaa street 1") < page.rindex("Kastanienhof 7")


def test_readings_on_time_count_late_and_lost_ones(world: World, browse: Browse) -> None:
    world.heard()
    hour = world.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    for counter in (1, 2, 3, 4, 5, 6, 7, 8, 10):  # 9 is lost
        world.telegram(counter, world.now - hour - timedelta(minutes=counter))
    at = hour + timedelta(minutes=11)
    world.telegram(11, world.now - at, stored_at=at + timedelta(minutes=40))
    assert "<b>81.81 %</b>" in text(browse, world.cast.viewer)


def test_an_auditor_sees_no_readings(world: World, browse: Browse) -> None:
    world.heard()
    assert "Readings on time" not in text(browse, world.cast.auditor)


def test_a_hundred_per_cent_is_only_said_when_nothing_is_missing(world: World) -> None:
    hour = Hour(world.now - timedelta(hours=2), 99_999, 100_000)
    told = punctual([hour])
    assert told is not None
    assert told.share == "99.99 %"
    assert punctual([]) is None


@pytest.mark.parametrize("part", ["overview", "incidents"])
def test_htmx_gets_a_part_and_not_a_page(part: str, world: World, browse: Browse) -> None:
    url = "/" if part == "overview" else "/incidents/"
    answer = browse(world.cast.viewer).get(url, headers={"hx-request": "true", "hx-target": part})
    assert answer.status_code == 200
    assert b"<html" not in answer.content


def test_a_part_asked_for_after_the_session_ended_leads_to_the_login(world: World, browse: Browse) -> None:
    answer = browse(None).get("/", headers={"hx-request": "true", "hx-target": "overview"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == reverse("login")


def test_a_member_limited_to_sites_sees_only_their_figures(world: World, browse: Browse) -> None:
    world.heard()
    world.silent(world.paired_adapter(world.cast.site("Elsewhere 1"))[0])
    member = world.cast.home.member(Role.VIEWER)
    member.all_sites = False
    member.save()
    member.site_access.create(site=world.site)
    page = text(browse, world.cast.viewer)
    assert '<b>1 <span class="of">of 1</span></b>' in page
    assert "Elsewhere 1" not in page


@pytest.mark.parametrize("name", ["overview", "incidents", "sites"])
def test_a_page_with_counts_tells_how_old_they_are_and_when_to_ask_again(
    world: World, browse: Browse, name: str
) -> None:
    client = browse(world.cast.viewer)
    first, second = (client.get(reverse(name)).headers for _ in range(2))
    assert 0 <= float(first["X-Facts-Age"]) <= float(second["X-Facts-Age"])
    assert float(second["X-Facts-Again"]) > 0


def test_counts_made_anew_while_the_page_was_made_do_not_make_the_ones_on_it_younger(
    world: World, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(access: Access) -> list[Incident]:
        snapshots._store(reach_of(access))  # as the thread does that an old one has set off
        return []

    client = browse(world.cast.viewer)
    client.get(reverse("overview"))
    key = world.cast.organisation.pk, None
    made, _took, facts = snapshots._rows[key]
    snapshots._rows[key] = made - 30, 0.4, facts
    monkeypatch.setattr(summary, "everything", slow)
    assert float(client.get(reverse("overview")).headers["X-Facts-Age"]) > 30
    assert float(client.get(reverse("overview")).headers["X-Facts-Age"]) < 30


def test_a_page_may_have_missed_what_was_told_since_its_counts_were_made(world: World, browse: Browse) -> None:
    def since(answer: HttpResponse) -> float:
        found = re.search(r'data-made="([0-9.]+)"', answer.content.decode())
        assert found is not None
        return float(found[1])

    client = browse(world.cast.viewer)
    before = time()
    assert before - 0.01 <= since(client.get(reverse("overview"))) <= time()
    key = world.cast.organisation.pk, None
    made, _took, facts = snapshots._rows[key]
    snapshots._rows[key] = made - 30, 0.9, facts
    assert before - 32 <= since(client.get(reverse("overview"))) <= time() - 30
