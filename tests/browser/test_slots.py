"""The slot map in a real browser: drawn, moved by mouse and keys, searched, and said again without a script."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import WIDE, barriers, needs_axe
from tests.browser.conftest import DESKTOP, PHONE, Open, Portal, logged_in, serving, watched
from tests.browser.slots_stage import OPERATOR

SLOTS = 600
READY = '[data-slotmap][data-ready="yes"]'
SEEN = "() => { const {start, span} = document.querySelector('[data-slotmap]').slotmap.view; return {start, span} }"
# Whether a canvas shows more than one colour around its middle.
DRAWN = """
() => {
  const canvas = document.querySelector('.slotmap canvas');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}
"""


@pytest.fixture(scope="module")
def slotted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with serving(tmp_path_factory.mktemp("slots"), "slots_stage.seed", SLOTS) as portal:
        yield portal


@pytest.fixture(scope="module")
def arrived(slotted: Portal, chromium: Browser) -> dict[str, Any]:
    return logged_in(chromium, slotted, OPERATOR)


@pytest.fixture
def opened(slotted: Portal, chromium: Browser, arrived: dict[str, Any]) -> Iterator[Open]:
    with watched(slotted, chromium, arrived) as window:
        yield window


def the_map(opened: Open, portal: Portal, query: str = "", **options: Any) -> Page:
    page = opened(f"/concentrators/{portal.rows['concentrator']}/slots/{query}", **options)
    page.locator(READY).wait_for()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_slot_is_drawn_and_nothing_hangs_over(slotted: Portal, opened: Open, viewport: Any, scheme: Any) -> None:
    page = the_map(opened, slotted, viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.querySelector('[data-slotmap]').slotmap.boxes.slots") == slotted.rows["slots"] + 1
    assert page.evaluate(DRAWN) > 4
    assert page.evaluate(WIDE) == []


def test_the_wheel_comes_closer_and_dragging_moves(slotted: Portal, opened: Open) -> None:
    page = the_map(opened, slotted)
    field = page.locator(".slotmap-field")
    field.focus()
    box = field.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.wheel(0, -1500)
    page.wait_for_function("document.querySelector('[data-slotmap]').slotmap.view.span < 500000")
    before = page.evaluate(SEEN)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 200, box["y"] + 100, steps=4)
    page.mouse.up()
    after = page.evaluate(SEEN)
    assert after["span"] == before["span"]
    assert after["start"] > before["start"]
    page.get_by_role("button", name="All", exact=True).click()
    assert page.evaluate(SEEN) == {"start": 0, "span": 900_000}


def test_keys_move_from_slot_to_slot_and_open_one(slotted: Portal, opened: Open) -> None:
    page = the_map(opened, slotted)
    page.locator(".slotmap-field").focus()
    for key in ("+", "+", "+", "ArrowRight", "PageDown", "PageDown"):
        page.keyboard.press(key)
    assert page.evaluate(SEEN)["span"] == 900_000 / 8
    expect(page.locator("#announce")).to_contain_text(re.compile(r"\d:\d\d\.\d{3} · 86\d\.\d MHz"))
    page.keyboard.press("Enter")
    expect(page.locator("#panel .figs")).to_be_visible()


def test_two_fingers_come_closer_and_one_moves(slotted: Portal, opened: Open) -> None:
    page = the_map(opened, slotted, viewport=PHONE, has_touch=True)
    field = page.locator(".slotmap-field")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    assert box is not None
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *xs: float) -> None:
        points = [{"x": box["x"] + x, "y": box["y"] + 120, "id": n} for n, x in enumerate(xs)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 180, 220)
    for wide in (20, 40, 60, 80):
        touch("touchMove", 180 - wide, 220 + wide)
    touch("touchEnd")
    near = page.evaluate(SEEN)
    assert near["span"] < 900_000 / 3
    touch("touchStart", 250)
    for far in (20, 60, 100):
        touch("touchMove", 250 - far)
    touch("touchEnd")
    assert page.evaluate(SEEN)["start"] > near["start"]


def test_a_search_jumps_to_the_adapter_and_shows_its_drift(slotted: Portal, opened: Open) -> None:
    page = the_map(opened, slotted)
    page.get_by_label("Search an adapter").fill(slotted.rows["dev_eui"])
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#slots tbody tr")).to_have_count(1)
    expect(page.locator("#panel .drift svg")).to_be_visible()
    expect(page.locator("#panel")).to_contain_text("of its guard of ±20 ms was used lately")
    assert page.evaluate(SEEN)["span"] == 4000


def test_a_click_on_a_slot_tells_whose_it_is(slotted: Portal, opened: Open) -> None:
    page = the_map(opened, slotted, f"?q={slotted.rows['dev_eui']}")
    field = page.locator(".slotmap-field").bounding_box()
    assert field is not None
    at = page.evaluate(
        "() => { const m = document.querySelector('[data-slotmap]').slotmap; const n = [...m.chosen][0];"
        " return [m.view.x(m.boxes.begin[n] + m.boxes.length[n] / 2), m.view.y(m.boxes.lane(n)) + 8] }"
    )
    page.mouse.move(field["x"] + at[0], field["y"] + at[1])
    expect(page.locator(".slotmap .tip b")).to_have_text(slotted.rows["dev_eui"].upper())
    page.mouse.click(field["x"] + at[0], field["y"] + at[1])
    expect(page.locator("#panel h3")).to_contain_text("cellar, left")


def test_without_a_script_the_list_says_the_same(slotted: Portal, opened: Open) -> None:
    path = f"/concentrators/{slotted.rows['concentrator']}/slots/"
    page = opened(path, java_script_enabled=False)
    expect(page.locator("#slots tbody tr")).to_have_count(40)
    expect(page.locator(".slotmap-field")).not_to_be_visible()
    page.get_by_role("link", name="Further").click()
    expect(page.locator("#slots tbody tr")).to_have_count(40)
    page.get_by_label("Which slots").select_option("unsafe")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#slots tbody tr").first).to_contain_text(
        re.compile("refused its slot|does not trust its clock")
    )


def test_a_plan_before_building_is_answered_without_a_script(opened: Open) -> None:
    page = opened("/slots/plan/", java_script_enabled=False)
    page.get_by_label("Meters").first.fill("40")
    page.get_by_role("button", name="Does it fit?").click()
    expect(page.get_by_text("They fit")).to_be_visible()
    expect(page.get_by_label("Meters")).to_have_count(2)


def test_the_pages_of_adapter_and_concentrator_lead_to_the_slots(slotted: Portal, opened: Open) -> None:
    page = opened(f"/adapters/{slotted.rows['adapter']}/")
    expect(page.locator("#slot .drift svg")).to_be_visible()
    page.goto(f"{slotted.url}/concentrators/{slotted.rows['concentrator']}/")
    expect(page.locator("#slots-card")).to_contain_text(f"slots: {slotted.rows['slots']}")
    page.get_by_role("link", name="Map and plan").click()
    page.locator(READY).wait_for()


@needs_axe
@pytest.mark.parametrize(
    ("scheme", "viewport"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)], ids=["light", "dark", "phone"]
)
def test_axe_finds_no_barrier(scheme: Any, viewport: Any, slotted: Portal, opened: Open) -> None:
    page = the_map(opened, slotted, f"?q={slotted.rows['dev_eui']}", color_scheme=scheme, viewport=viewport)
    page.locator("#panel .figs").wait_for()
    found = []
    rows = slotted.rows
    here = f"/concentrators/{rows['concentrator']}/slots/"
    for path in (
        "",
        f"{here}plan/",
        "/slots/plan/?rows-TOTAL_FORMS=1&rows-INITIAL_FORMS=0",
        f"/adapters/{rows['adapter']}/slot/",
    ):
        if path:
            page.goto(slotted.url + path)
        assert page.evaluate(WIDE) == [], path
        found += [f"{path}: {barrier}" for barrier in barriers(page)]
    assert not found, "\n".join(found)
