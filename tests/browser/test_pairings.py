"""The operator's pages for pairing in a real browser: no barriers, on a phone, by keyboard, and live."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import WIDE, barriers, judges_all, needs_axe
from tests.browser.conftest import DESKTOP, PHONE, Open, Portal, logged_in, watched
from tests.browser.pairing_stage import EMAIL


@pytest.fixture(scope="module")
def rows(portal: Portal) -> dict[str, Any]:
    return portal.stage("pairing_stage.seed")


@pytest.fixture(scope="module")
def dispatcher(portal: Portal, rows: dict[str, Any], chromium: Browser) -> dict[str, Any]:
    """The cookies of the operator of that organisation."""
    return logged_in(chromium, portal, EMAIL)


@pytest.fixture
def desk(window: Open, dispatcher: dict[str, Any]) -> Callable[..., Page]:
    """Opens a page as that operator."""

    def opened(path: str, **options: Any) -> Page:
        return window(path, logged_in=False, **{"storage_state": dispatcher, **options})

    return opened


def pages(rows: dict[str, Any]) -> dict[str, str]:
    one = {name: f"/pairings/{rows[name]}/" for name in ("matched", "joining", "unreadable", "mixed", "ended")}
    deeds = {
        f"{deed} page": f"/pairings/{rows['matched']}/{deed}/"
        for deed in ("end", "replace-adapter", "replace-meter", "move")
    }
    return {
        "list": "/pairings/",
        "all": "/pairings/?state=all",
        "nothing": "/pairings/?q=nothing",
        **one,
        **deeds,
        "resolve": f"/pairings/{rows['mixed']}/resolve/",
        "confirm": f"/pairings/{rows['unreadable']}/confirm/",
        "heard": "/pairings/heard/",
        "blocked": "/pairings/blocked/",
        "archive": "/archive/",
        "no archive": "/archive/?kind=concentrators",
        "reporting": f"/adapters/{rows['adapter']}/reporting/",
        "knocking": f"/adapters/{rows['knocking']}/",
        "archived": f"/adapters/{rows['archived']}/",
        "pair": f"/adapters/{rows['knocking']}/pair/",
        "incidents": "/incidents/",
        "site": f"/sites/{rows['site']}/",
    }


@pytest.fixture(scope="module")
def found(
    portal: Portal, rows: dict[str, Any], chromium: Browser, dispatcher: dict[str, Any]
) -> dict[str, dict[str, list[str]]]:
    """By look: the barriers of any page, and what is too wide; each page is loaded once for both themes of a screen."""
    found: dict[str, dict[str, list[str]]] = {}
    with watched(portal, chromium, dispatcher) as opened:
        for viewport, day, night in ((DESKTOP, "light", "dark"), (PHONE, "phone", "phone at night")):
            page = opened("/pairings/", viewport=viewport)
            found |= {look: {"barriers": [], "wide": []} for look in (day, night)}
            for name, path in pages(rows).items():
                page.goto(portal.url + path)
                page.locator("#main").wait_for()
                for look in (day, night):
                    page.emulate_media(color_scheme="light" if look == day else "dark")
                    found[look]["wide"] += [f"{name}: {wide}" for wide in page.evaluate(WIDE)]
                    found[look]["barriers"] += [f"{name}: {barrier}" for barrier in barriers(page)]
    return found


@judges_all
@needs_axe
@pytest.mark.parametrize("look", ["light", "dark", "phone", "phone at night"])
def test_axe_finds_no_barrier_and_nothing_scrolls_sideways(look: str, found: dict[str, dict[str, list[str]]]) -> None:
    assert found[look]["wide"] == []
    assert found[look]["barriers"] == []


def test_a_step_appears_while_one_looks(portal: Portal, rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk(f"/pairings/{rows['joining']}/")
    expect(page.locator(".live")).to_have_attribute("data-state", "live")
    joined = page.locator(".life li", has_text="Adapter joined")
    expect(joined).to_contain_text("not yet")
    expect(page.get_by_role("status").filter(has_text="Not heard yet")).to_be_visible()
    portal.stage("pairing_stage.join", rows["joining"])
    expect(joined).to_contain_text("+ ")
    expect(joined).to_have_class("done")


def test_an_adapter_is_replaced_by_keyboard_alone(rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk(f"/pairings/{rows['reading']}/replace-adapter/")
    expect(page.get_by_label("Label of the new adapter")).to_be_focused()
    page.keyboard.type(rows["spare_eui"].upper())
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_label("Why?")).to_be_focused()
    page.keyboard.type("Struck by lightning")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Replace it")).to_be_focused()
    expect(page.locator(".changes")).to_contain_text(rows["spare_eui"].upper())
    page.keyboard.press("Enter")
    expect(page.get_by_text("The metering point keeps its whole history")).to_be_visible()
    history = page.locator("section", has_text="History of this metering point").locator("tbody tr")
    expect(history).to_have_count(2)
    expect(history.first).to_contain_text("Struck by lightning")


def test_what_was_typed_is_still_there_after_a_second_thought(rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk(f"/pairings/{rows['matched']}/replace-meter/", viewport=PHONE)
    page.get_by_label("Number of the new meter").fill("1 emh 00 9999 0001")
    page.get_by_label("Last reading of the old meter").fill("12400.5")
    page.get_by_label("Why?").fill("Calibration period is over")
    page.get_by_role("button", name="Look at it first").click()
    expect(page.locator(".changes")).to_contain_text("1EMH0099990001")
    expect(page.locator(".changes")).to_contain_text("12,400.500 kWh")
    page.get_by_role("button", name="Change something").click()
    expect(page.get_by_label("Number of the new meter")).to_have_value("1EMH0099990001")
    expect(page.get_by_label("Last reading of the old meter")).to_have_value(re.compile(r"12[,.]?400\.50*"))
    page.get_by_role("link", name="Leave it as it is").click()
    expect(page.get_by_role("heading", name="How it came about")).to_be_visible()


def test_mixed_up_adapters_are_swapped_on_a_phone(rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk(f"/pairings/{rows['mixed']}/", viewport=PHONE)
    page.get_by_role("link", name="Resolve it").click()
    page.get_by_label("Why?").fill("Mixed up in the cellar")
    page.get_by_role("button", name="Look at it first").click()
    expect(page.locator(".changes")).to_contain_text("42 waiting readings")
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_text("Decided.")).to_be_visible()
    expect(page.locator(".life li").filter(has_text="Identity")).to_contain_text("not read yet")


def test_a_photo_is_shown_beside_the_facts(rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk(f"/pairings/{rows['matched']}/")
    photo = page.get_by_alt_text("Photo of the meter")
    photo.scroll_into_view_if_needed()
    expect(photo).to_have_js_property("complete", True)
    assert photo.evaluate("image => image.naturalWidth") > 100


def test_a_filter_and_a_search_work_without_scripts(rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk("/pairings/", java_script_enabled=False)
    page.get_by_role("link", name=re.compile("^To compare")).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("searchbox").fill("ferraris")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody a").first.click()
    expect(page.get_by_role("link", name="Confirm by the display")).to_be_visible()


def test_somebody_may_scan_again_and_an_adapter_comes_back(rows: dict[str, Any], desk: Callable[..., Page]) -> None:
    page = desk("/pairings/blocked/")
    page.get_by_role("button", name="Let scan again: Jonas Petersen").click()
    expect(page.get_by_text("Jonas Petersen may scan again.")).to_be_visible()
    page = desk("/archive/")
    page.get_by_role("button", name=re.compile("^Restore")).first.click()
    expect(page.get_by_text("The adapter is back.")).to_be_visible()
