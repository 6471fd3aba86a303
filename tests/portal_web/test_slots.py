"""Pages of time slots: the map's columns, the list, the plan as a form, and the slot of one adapter."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from portal.telemetry.models import SlotDay
from portal.web import slots_course, slots_states
from portal.web.slots import moment_in
from provisioning.accounts.models import Role, User
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from tests.portal_web.slotted import TODAY, a_day, a_neighbour, settled
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]
State = Assignment.State


@pytest.fixture
def held(world: World) -> Assignment:
    """The slot that pairing gave, and that its adapter has taken over."""
    return settled(world.adapter)


def slots(world: World, browse: Browse, query: str = "", person: User | None = None) -> str:
    url = f"/concentrators/{world.concentrator.pk}/slots/{query}"
    answer = browse(person or world.cast.operator).get(url)
    assert answer.status_code == 200
    return str(answer.content.decode())


def the_map(world: World, browse: Browse, person: User | None = None) -> dict[str, Any]:
    url = f"/concentrators/{world.concentrator.pk}/slots/map/"
    found: dict[str, Any] = browse(person or world.cast.operator).get(url).json()
    return found


def test_the_map_has_a_row_for_each_slot_and_names_its_adapter(world: World, browse: Browse, held: Assignment) -> None:
    drawn = the_map(world, browse)
    assert drawn["own"] == 1
    assert drawn["slots"][:3] == [held.pk, held.channel, held.phase_ms]
    assert drawn["kinds"][drawn["slots"][3]] == [held.period_s, held.data_rate, held.guard_ms, held.length_ms]
    assert drawn["states"][drawn["slots"][4]] == ["ok", "kept"]
    assert drawn["prefix"] + drawn["euis"] == world.adapter.dev_eui


def test_the_map_shows_open_time_and_beacon_of_the_plan(world: World, browse: Browse, held: Assignment) -> None:
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(beacon_period_s=900)
    closed = {(name, period) for name, _phase, period, _length in the_map(world, browse)["closed"]}
    assert closed == {("open time", 300), ("beacon", 900)}


def test_the_map_shows_what_is_open_until_a_slot_lies_there(world: World, browse: Browse, held: Assignment) -> None:
    assert the_map(world, browse)["open"] == [["open until slots need it", 240_000, 300, 60_000]]
    assert "open until slots need it" in slots(world, browse)
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(open_minute=False)
    assert the_map(world, browse)["open"] == []
    assert "open until slots need it" not in slots(world, browse)


def test_the_page_tells_how_much_is_open_now(world: World, browse: Browse, held: Assignment) -> None:
    assert "60 s of every 5 min" in slots(world, browse)
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(open_minute=False)
    assert "7.5 s of every 5 min" in slots(world, browse)
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(reserve=0)
    assert "of every" not in slots(world, browse)


def test_who_has_the_map_already_is_told_so(world: World, browse: Browse, held: Assignment) -> None:
    client, url = browse(world.cast.operator), f"/concentrators/{world.concentrator.pk}/slots/map/"
    first = client.get(url)
    assert client.get(url, headers={"if-none-match": first.headers["ETag"]}).status_code == 304
    Assignment.objects.filter(pk=held.pk).update(echoed_state=State.REFUSED)
    assert client.get(url, headers={"if-none-match": first.headers["ETag"]}).status_code == 200


def test_a_neighbours_slot_is_drawn_beside_the_own_ones(world: World, browse: Browse, held: Assignment) -> None:
    other = a_neighbour(world, held, world.concentrator, conflict=True)
    drawn = the_map(world, browse)
    assert (drawn["own"], len(drawn["slots"])) == (1, 10)
    assert drawn["slots"][5] == other.pk
    assert drawn["states"][drawn["slots"][9]] == ["bad", "meets a slot here"]
    assert other.adapter.dev_eui.upper() in slots(world, browse)


def test_a_conflict_that_is_no_longer_believed_is_not_drawn_as_one(
    world: World, browse: Browse, held: Assignment
) -> None:
    a_neighbour(world, held, world.concentrator, conflict=True)
    Neighbour.objects.update(expires_at=world.now - timedelta(minutes=1))
    drawn = the_map(world, browse)
    assert drawn["states"][drawn["slots"][9]] == ["idle", "heard from a neighbour"]


def test_adapters_of_other_sites_stay_without_a_name_for_a_member_of_this_one(
    world: World, browse: Browse, held: Assignment
) -> None:
    other = a_neighbour(world, held, world.concentrator, conflict=True)
    member = world.cast.home.member(Role.OPERATOR)
    member.all_sites = False
    member.save()
    member.site_access.create(site=world.site)
    drawn = the_map(world, browse)
    assert drawn["slots"][0] == held.pk
    assert drawn["slots"][5] == 0
    assert other.adapter.dev_eui not in drawn["prefix"] + drawn["euis"]
    assert other.adapter.dev_eui.upper() not in slots(world, browse)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "kept"),
        ({"echoed_version": None}, "waits for its adapter"),
        ({"echoed_version": 7}, "waits for its adapter"),
        ({"echoed_state": State.NONE}, "waits for its adapter"),
        ({"echoed_state": State.REFUSED}, "refused its slot"),
        ({"echoed_state": State.NO_TRUST}, "does not trust its clock"),
        ({"overlap_ms": 5}, "shares time with others"),
        ({"overlap_ms": 5, "echoed_state": State.REFUSED}, "refused its slot"),
    ],
)
def test_a_slot_is_told_by_the_worst_that_is_true_of_it(
    world: World, browse: Browse, held: Assignment, changes: dict[str, Any], word: str
) -> None:
    Assignment.objects.filter(pk=held.pk).update(**changes)
    assert f">{word}</span>" in slots(world, browse)


def test_every_state_has_a_word_and_what_is_wrong_has_a_cure() -> None:
    for code in slots_states.CODES:
        said = slots_states.said(code)
        assert said.state.word
        assert said.cure or said.state.form in {"ok", "idle"}


@pytest.mark.parametrize(
    ("show", "there"),
    [("", True), ("waits", False), ("unsafe", False), ("overlap", True), ("trouble", False), ("nonsense", True)],
)
def test_the_list_is_narrowed_by_state(world: World, browse: Browse, held: Assignment, show: str, there: bool) -> None:
    Assignment.objects.filter(pk=held.pk).update(overlap_ms=3)
    assert (f'data-slot-of="{held.pk}"' in slots(world, browse, f"?show={show}")) is there


@pytest.mark.parametrize(("text", "there"), [("meter", True), ("eui", True), ("nothing", False), ("%00", True)])
def test_a_slot_is_found_by_its_meter_or_adapter(
    world: World, browse: Browse, held: Assignment, text: str, there: bool
) -> None:
    meter = world.pairing.metering_point.meters.get()
    query = {"meter": meter.meter_id, "eui": world.adapter.dev_eui}.get(text, text)
    assert (f'data-slot-of="{held.pk}"' in slots(world, browse, f"?q={query}")) is there


@pytest.mark.parametrize("cursor", ["after=x", "after=WyJhIiwgMSwgMV0", "before=W10", "after=WzEsIDFd"])
def test_a_cursor_that_nobody_made_shows_a_page_all_the_same(world: World, browse: Browse, cursor: str) -> None:
    slots(world, browse, f"?{cursor}")


def test_the_list_says_how_much_of_the_guard_was_used(world: World, browse: Browse, held: Assignment) -> None:
    a_day(held, late_ms=0.5 * held.guard_ms)
    assert "50 %" in slots(world, browse)


def test_a_beacon_that_is_there_is_not_advised(world: World, browse: Browse, held: Assignment) -> None:
    assert "A beacon, which allows a guard of 20 ms:" in slots(world, browse)
    SlotPlan.objects.filter(concentrator=world.concentrator).update(beacon_period_s=300)
    page = slots(world, browse)
    assert "A guard of 20 ms, which the beacon allows:" in page
    assert "A beacon, which allows" not in page


def test_slots_in_time_that_the_plan_has_closed_since_are_told(world: World, browse: Browse, held: Assignment) -> None:
    assert "before the plan closed" not in slots(world, browse)
    Assignment.objects.filter(pk=held.pk).update(phase_ms=294_000)
    assert "1 slot was given before the plan closed its time" in slots(world, browse)
    assert f'data-slot-of="{held.pk}"' in slots(world, browse, "?show=closed")


def test_a_viewer_is_offered_no_change(world: World, browse: Browse, held: Assignment) -> None:
    assert "Change the plan" not in slots(world, browse, person=world.cast.viewer)
    assert "Change the plan" in slots(world, browse)


PLAN = {
    "guard_ms": "20", "reserve": "30", "beacon_period_s": "300", "beacon_data_rate": "4", "quantum_ms": "2",
    "previous": "on", "by_pairing": "on",
}  # fmt: skip


def test_a_plan_is_changed_and_noted_in_the_audit(world: World, browse: Browse, held: Assignment) -> None:
    url = f"/concentrators/{world.concentrator.pk}/slots/plan/"
    assert browse(world.cast.operator).post(url, PLAN).status_code == 302
    plan = SlotPlan.objects.get(pk=world.concentrator.pk)
    assert (plan.guard_ms, plan.reserve, plan.beacon_period_s, plan.beacon_data_rate) == (20, 30, 300, 4)
    assert plan.previous
    assert plan.by_pairing
    assert Entry.objects.get(action="slot_plan.updated").actor_name
    again = Assignment.objects.get(pk=held.pk)
    assert again.slot == held.slot


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"guard_ms": "2001"}, "less than or equal to 2000"),
        ({"guard_ms": ""}, "This field is required"),
        ({"reserve": "-1"}, "greater than or equal to 0"),
        ({"beacon_period_s": "61"}, "Select a valid choice"),
        ({"quantum_ms": "7"}, "Select a valid choice"),
        ({"quantum_ms": "10"}, "Slots lie on the grid of the present quantum"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_at_its_field(
    world: World, browse: Browse, held: Assignment, change: dict[str, str], said: str
) -> None:
    answer = browse(world.cast.operator).post(f"/concentrators/{world.concentrator.pk}/slots/plan/", PLAN | change)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Entry.objects.filter(action="slot_plan.updated").exists()


def test_a_viewer_changes_no_plan(world: World, browse: Browse, held: Assignment) -> None:
    url = f"/concentrators/{world.concentrator.pk}/slots/plan/"
    assert browse(world.cast.viewer).post(url, PLAN).status_code == 403
    assert not Entry.objects.filter(action="slot_plan.updated").exists()


def test_another_organisation_sees_no_slot_here_and_changes_no_plan(
    world: World, browse: Browse, held: Assignment
) -> None:
    client, there = browse(world.cast.outsider), f"/concentrators/{world.concentrator.pk}/slots"
    for page in (f"{there}/", f"{there}/map/", f"{there}/plan/", f"/adapters/{world.adapter.pk}/slot/"):
        assert client.get(page).status_code == 404
        assert client.get(page, headers={"hx-request": "true", "hx-target": "slot"}).status_code == 404
    assert client.post(f"{there}/plan/", PLAN).status_code == 404
    assert not Entry.objects.filter(action="slot_plan.updated").exists()


def card(world: World, browse: Browse) -> str:
    client = browse(world.cast.operator)
    answer = client.get(f"/adapters/{world.adapter.pk}/slot/", headers={"hx-request": "true", "hx-target": "slot"})
    assert b"<html" not in answer.content
    return " ".join(answer.content.decode().split())


def test_the_card_of_an_adapter_says_how_it_keeps_its_slot(world: World, browse: Browse, held: Assignment) -> None:
    for back in range(10):
        a_day(held, back, late_ms=0.6 * held.guard_ms)
    said = card(world, browse)
    assert "60 % of its guard" in said
    assert "98.9 %" in said
    assert "<polyline" in said


def test_a_guard_that_will_be_used_up_is_told_before(world: World, browse: Browse, held: Assignment) -> None:
    for back in range(8):
        a_day(held, back, late_ms=(0.8 - 0.05 * back) * held.guard_ms)
    said = card(world, browse)
    assert "guard nearly used up" in said
    assert "all of it is used in about 4 days" in said


def test_an_adapter_without_a_slot_says_why(world: World, browse: Browse, held: Assignment) -> None:
    Occupancy.objects.filter(assignment=held).delete()
    Assignment.objects.filter(pk=held.pk).update(concentrator=None)
    assert "sends at random moments" in card(world, browse)


@pytest.mark.parametrize(
    ("phase_ms", "period_s", "text"),
    [
        (0, 900, "0:00.000"),
        (67_512, 900, "1:07.512"),
        (3_599_999, 3600, "59:59.999"),
        (86_399_998, 86_400, "23:59:59.998"),
    ],
)
def test_a_moment_is_written_as_its_period_needs(phase_ms: int, period_s: int, text: str) -> None:
    assert moment_in(phase_ms, period_s) == text
    with translation.override("de"):
        assert moment_in(phase_ms, period_s) == text.replace(".", ",")


def test_a_course_breaks_where_nothing_was_measured(held: Assignment) -> None:
    for back in (9, 8, 3, 2, 0):
        a_day(held, back)
    drawn = slots_course.course(list(SlotDay.objects.order_by("day")))
    assert drawn is not None
    assert len(drawn.bands) == 2
    assert [day.row.day for day in drawn.days] == [TODAY - timedelta(days=back) for back in (0, 2, 3, 8, 9)]


def test_days_without_figures_draw_nothing_and_break_nothing(held: Assignment) -> None:
    a_day(held, early_ms=None, late_ms=None, median_ms=None, rate_ppb=None, guard_ms=0, expected=0)
    assert slots_course.course(list(SlotDay.objects.all())) is None
    a_day(held, 1, guard_ms=0, early_ms=0.0, late_ms=0.0, median_ms=None)
    assert slots_course.course(list(SlotDay.objects.order_by("day"))) is not None


@pytest.fixture
def elsewhere(world: World, held: Assignment) -> User:
    """A member whose only site is another one than that of concentrator and adapter."""
    site = world.cast.site("Elsewhere 1")
    member = world.cast.home.member(Role.OPERATOR)
    member.all_sites = False
    member.save()
    member.site_access.create(site=site)
    return world.cast.operator


def swap_sites(world: World) -> None:
    """The member gets the concentrator's site instead, and the adapter that it serves goes to the other one."""
    access = world.cast.home.member(Role.OPERATOR).site_access.get()
    Adapter.objects.filter(pk=world.adapter.pk).update(site=access.site)
    access.site = world.site
    access.save()


@pytest.mark.parametrize("page", ["slots/", "slots/map/", "slots/plan/"])
def test_the_slots_of_another_sites_concentrator_are_not_there(
    world: World, browse: Browse, elsewhere: User, page: str
) -> None:
    assert browse(elsewhere).get(f"/concentrators/{world.concentrator.pk}/{page}").status_code == 404


def test_the_plan_of_another_sites_concentrator_is_not_changed(world: World, browse: Browse, elsewhere: User) -> None:
    answer = browse(elsewhere).post(f"/concentrators/{world.concentrator.pk}/slots/plan/", PLAN)
    assert answer.status_code == 404
    assert not Entry.objects.filter(action="slot_plan.updated").exists()


def test_an_adapter_of_another_site_is_named_nowhere_though_ones_concentrator_serves_it(
    world: World, browse: Browse, elsewhere: User
) -> None:
    swap_sites(world)
    drawn = the_map(world, browse, elsewhere)
    assert (drawn["slots"][0], drawn["prefix"].strip("·") + drawn["euis"].strip("·")) == (0, "")
    number = world.adapter.dev_eui.upper()
    for query in ("", f"?q={number}", "?show=trouble"):
        assert f"/adapters/{world.adapter.pk}/" not in slots(world, browse, query, elsewhere)
    assert browse(elsewhere).get(f"/adapters/{world.adapter.pk}/slot/").status_code == 404


def test_who_sees_less_of_the_map_has_another_one(world: World, browse: Browse, elsewhere: User) -> None:
    swap_sites(world)
    url = f"/concentrators/{world.concentrator.pk}/slots/map/"
    whole, less = browse(world.cast.viewer).get(url), browse(elsewhere).get(url)
    assert whole.headers["ETag"] != less.headers["ETag"]
    assert browse(elsewhere).get(url, headers={"if-none-match": whole.headers["ETag"]}).status_code == 200
