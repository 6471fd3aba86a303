"""The list of pairings, the page of one, who is heard unpaired and who is blocked."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from provisioning.accounts.models import Role, User
from provisioning.audit.models import Entry
from provisioning.pairing.models import Pairing, WrongClaim
from tests.portal_web.installed import Installed, typed
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]


@pytest.fixture
def installed(world: World) -> Installed:
    return Installed(world)


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def listed(client: Client, **query: object) -> list[int]:
    return [line.pairing.pk for line in client.get(reverse("pairings"), query).context["lines"]]


def test_the_list_says_how_far_each_is_and_since_when(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.pairing("informed", ago=timedelta(minutes=3), note="cellar, left of the door")
    client = browse(world.cast.viewer)
    line = next(line for line in client.get(reverse("pairings")).context["lines"] if line.pairing.pk == row.pk)
    assert (line.state.form, line.state.word) == ("warn", "pending")
    assert line.step == "the adapter joins"
    assert line.since == row.from_at + timedelta(seconds=2)
    assert "waits: the adapter joins" in page(client, reverse("pairings"))


def test_each_state_has_its_filter_and_its_count(world: World, installed: Installed, browse: Browse) -> None:
    rows = {
        "pending": installed.pairing("joined"),
        "compare": installed.unreadable(),
        "mismatch": installed.mismatch(),
        "confirmed": installed.matched(),
    }
    ended = installed.matched()
    world.pairing.delete()
    client = browse(world.cast.operator)
    client.post(reverse("pairing-end", args=[ended.pk]), {"reason": "demolished", "release": "on"})
    for state, row in rows.items():
        assert listed(client, state=state) == [row.pk], state
    assert listed(client, state="ended") == [ended.pk]
    assert len(listed(client)) == 4
    assert len(listed(client, state="all")) == 5
    counts = client.get(reverse("pairings")).context["counts"]
    assert (counts.pending, counts.compare, counts.mismatch, counts.confirmed, counts.open) == (1, 1, 1, 1, 4)


def test_it_can_be_searched_as_people_write(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.pairing("joined", note="behind the boiler")
    assert row.meter is not None
    number = row.meter.meter_id
    client = browse(world.cast.viewer)
    spaced = f"{number[0]} {number[1:4]} {number[4:6]} {number[6:10]} {number[10:]}"
    eui = row.adapter.dev_eui
    for text in (number, spaced, spaced.lower(), eui.upper(), "-".join((eui[:8], eui[8:])), eui[-6:],
                 row.metering_point.name, "BOILER"):  # fmt: skip
        assert row.pk in listed(client, q=text), text
    assert world.pairing.pk not in listed(client, q="boiler")
    for text in ("nothing at all", "%", "\\", "9" * 60):
        assert listed(client, q=text) == [], text


def test_it_can_be_narrowed_to_a_site_and_a_person(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.pairing("joined")
    elsewhere = world.cast.pairing()
    client = browse(world.cast.viewer)
    assert listed(client, who=world.cast.installer.pk) == [row.pk]
    assert listed(client, site=elsewhere.metering_point.site_id) == [elsewhere.pk]
    assert len(listed(client, who="x", site="99999999999999")) == 3


def test_a_long_list_is_read_page_by_page(world: World, browse: Browse) -> None:
    for _ in range(42):
        world.paired_adapter()
    client = browse(world.cast.viewer)
    first = client.get(reverse("pairings")).context
    second = client.get(f"{reverse('pairings')}?{first['page'].next}").context
    assert (len(first["lines"]), len(second["lines"])) == (40, 3)
    assert not {line.pairing.pk for line in first["lines"]} & {line.pairing.pk for line in second["lines"]}


def test_the_page_of_one_tells_its_story(world: World, installed: Installed, browse: Browse) -> None:
    at = world.now - timedelta(hours=3)
    row = installed.matched(note="attic, flat 12", scanned_at=at, **typed("12345.5"))
    text = page(browse(world.cast.viewer), reverse("pairing", args=[row.pk]))
    for words in ("Adapter joined</b>+ 8 s", "match · + 15 s", "the phone had no network", "attic, flat 12",
                  "12,345.500 kWh", "12,345.6780 kWh", "they agree", "runs version 1", "firmware 1.4.2"):  # fmt: skip
        assert words in text, words


def test_a_display_that_differs_is_said_to_differ(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.unreadable(**typed("11000"))
    text = page(browse(world.cast.viewer), reverse("pairing", args=[row.pk]))
    assert "they differ by +1,345.678 kWh" in text
    assert "compare the reading with the display" in text


def test_values_are_not_shown_to_those_who_may_not_see_readings(
    world: World, installed: Installed, browse: Browse
) -> None:
    row = installed.matched(**typed("12345.5"))
    text = page(browse(world.cast.custodian), reverse("pairing", args=[row.pk]))
    assert "12,345" not in text


def test_a_mismatch_names_the_meter_and_what_waits(world: World, installed: Installed, browse: Browse) -> None:
    other = installed.matched()
    row = installed.mismatch(other, held=3)
    assert other.meter is not None
    text = page(browse(world.cast.operator), reverse("pairing", args=[row.pk]))
    assert "swap them?" in text
    assert reverse("pairing", args=[other.pk]) in text
    assert "3 readings wait" in text
    assert reverse("pairing-resolve", args=[row.pk]) in text


def test_the_history_of_a_metering_point_is_all_there(world: World, installed: Installed, browse: Browse) -> None:
    row = installed.matched()
    client = browse(world.cast.operator)
    spare = world.cast.adapter(world.site)
    data = {"stock": spare.pk, "input": "0", "reason": "lightning", "sure": "yes"}
    client.post(reverse("pairing-replace-adapter", args=[row.pk]), data)
    new = Pairing.objects.get(adapter=spare)
    history = client.get(reverse("pairing", args=[new.pk])).context["history"]
    assert [(one.pk, one.to_at is None) for one, _name in history] == [(new.pk, True), (row.pk, False)]


@pytest.mark.parametrize("role", Role.values)
def test_the_page_offers_only_what_the_role_may_do(
    role: str, world: World, installed: Installed, browse: Browse
) -> None:
    row = installed.unreadable()
    text = page(browse(world.cast.home.people[role]), reverse("pairing", args=[row.pk]))
    ends = role in (Role.OPERATOR, Role.ADMINISTRATOR)
    assert (reverse("pairing-end", args=[row.pk]) in text) == ends
    assert (reverse("pairing-confirm", args=[row.pk]) in text) == (ends or role == Role.INSTALLER)


def test_who_is_heard_unpaired_is_shown_with_its_signal(world: World, browse: Browse) -> None:
    ours = world.cast.adapter(world.site)
    detail = {"join_eui": "70b3d57ed0000001", "count": 4, "rssi": -118.0, "snr": -7.5, "dr": 0}
    world.event("heard", adapter=ours, dev_eui=ours.dev_eui, detail=detail)
    world.event("heard", adapter=None, dev_eui="a81758fffe0412ab", detail={**detail, "rssi": -90.0})
    client = browse(world.cast.operator)
    text = page(client, reverse("pairings-heard"))
    assert reverse("adapter-pair", args=[ours.pk]) in text
    assert "−118 dBm" in text
    assert f"{reverse('adapter-new')}?dev_eui=a81758fffe0412ab" in text
    assert "Heard, not paired" in page(client, reverse("adapter", args=[ours.pk]))
    assert "1 of our adapters is heard, not paired" in page(client, reverse("incidents"))


def test_an_adapter_that_was_paired_meanwhile_is_no_longer_told(world: World, browse: Browse) -> None:
    world.event("heard", detail={"count": 1})
    assert "Heard, not paired." not in page(browse(world.cast.operator), reverse("adapter", args=[world.adapter.pk]))


def test_a_blocked_person_may_scan_again_when_somebody_else_says_so(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    assert world.blocked == world.cast.installer
    assert "1 person may not scan any more" in page(client, reverse("incidents"))
    assert world.adapter.dev_eui.upper() in page(client, reverse("pairings-blocked"))
    client.post(reverse("pairing-unblock", args=[world.blocked.pk]))
    assert not WrongClaim.objects.filter(cleared_at=None).exists()
    assert Entry.objects.filter(action="pairing.unblocked", actor=world.cast.operator).exists()
    assert "Nobody is blocked" in page(client, reverse("pairings-blocked"))
    assert client.post(reverse("pairing-unblock", args=[world.blocked.pk])).status_code == 404


def test_nobody_unblocks_themselves(world: World, browse: Browse) -> None:
    for _ in range(5):
        WrongClaim.objects.create(organisation=world.cast.organisation, user=world.cast.operator, dev_eui="0" * 16)
    client = browse(world.cast.operator)
    assert "another operator has to look at it" in page(client, reverse("pairings-blocked"))
    assert client.post(reverse("pairing-unblock", args=[world.cast.operator.pk])).status_code == 403
    assert WrongClaim.objects.filter(cleared_at=None).count() == 5


def test_the_navigation_counts_what_waits_for_a_person(world: World, installed: Installed, browse: Browse) -> None:
    installed.mismatch()
    installed.unreadable()
    groups = browse(world.cast.viewer).get(reverse("pairings")).context["shell"].nav
    link = next(link for group in groups for link in group.links if link.url == reverse("pairings"))
    assert (link.count, link.mild, link.on) == (2, False, True)
