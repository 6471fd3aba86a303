"""Every page in a real browser: on a phone, in both themes and languages, by keyboard, without scripts."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import AXE, WIDE, barriers, judges_all, needs_axe
from tests.browser.conftest import DESKTOP, PHONE, Open, Portal, log_in, watched


@pytest.fixture(scope="module")
def found(portal: Portal, chromium: Browser, session: dict[str, Any]) -> dict[str, list[str]]:
    """What axe finds on any page in each look, and what is too wide on a phone; pages are loaded once per screen."""
    found: dict[str, list[str]] = {"light": [], "dark": [], "phone": [], "sideways": []}
    with watched(portal, chromium, session) as opened:
        desk, phone = opened(viewport=DESKTOP), opened(viewport=PHONE)
        looks: list[tuple[str, Page, Any]] = [
            ("light", desk, "light"),
            ("dark", desk, "dark"),
            ("phone", phone, "light"),
        ]
        for name, path in portal.pages().items():
            for page in (desk, phone):
                visit(page, portal, path)
                if name == "adapter":
                    page.locator(".plot canvas").first.wait_for()
            found["sideways"] += [f"{name}: {wide}" for wide in phone.evaluate(WIDE)]
            for look, page, scheme in looks if AXE.exists() else []:
                page.emulate_media(color_scheme=scheme)
                found[look] += [f"{name}: {barrier}" for barrier in barriers(page)]
    return found


def visit(page: Page, portal: Portal, path: str) -> None:
    page.goto(portal.url + path)
    page.locator("#main").wait_for()


def test_logging_in_leads_to_the_overview(portal: Portal, window: Open) -> None:
    page = window("/login/", logged_in=False)
    log_in(page, portal)
    expect(page.get_by_text("1 site")).to_have_count(0)
    expect(page.locator(".tile").first).to_contain_text("2 of 3")
    expect(page.get_by_role("link", name="Kastanienhof 7").first).to_be_visible()


@judges_all
def test_no_page_scrolls_sideways_on_a_phone(portal: Portal, window: Open, found: dict[str, list[str]]) -> None:
    assert found["sideways"] == []
    page = window("/", viewport=PHONE)
    page.context.add_cookies([{"name": "django_language", "value": "de", "url": portal.url}])
    for name, path in portal.pages().items():
        visit(page, portal, path)
        assert page.evaluate(WIDE) == [], f"{name} in German"


@judges_all
@needs_axe
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_no_barrier(look: str, found: dict[str, list[str]]) -> None:
    assert not found[look], "\n".join(found[look])


def test_the_theme_follows_the_device_and_can_be_chosen(portal: Portal, window: Open) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = window("/", color_scheme="light").evaluate(background)
    page = window("/account/", color_scheme="dark")
    dark = page.evaluate(background)
    assert light != dark
    page.get_by_label("Appearance").select_option("light")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    assert page.evaluate(background) == light
    page.get_by_label("Appearance").select_option("auto")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()


def test_a_german_reads_german_words_and_numbers(portal: Portal, window: Open) -> None:
    page = window("/login/", logged_in=False, locale="de-DE")
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    page = window("/")
    page.context.add_cookies([{"name": "django_language", "value": "de", "url": portal.url}])
    visit(page, portal, f"/adapters/{portal.rows['adapter']}/")
    expect(page.locator("#latest")).to_contain_text(re.compile(r"\d\.\d{3},\d{3}\s+kWh"))
    expect(page.locator("[data-chart] .legend").first).to_contain_text("Bezug, W")
    expect(page.locator(".live")).to_have_text("live")


def test_the_keyboard_reaches_everything(portal: Portal, window: Open) -> None:
    page = window("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim().split('\\n')[0]"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    assert {"Register an adapter", "Kastanienhof 7"} <= seen


def test_the_menu_of_the_phone_opens_and_closes_by_keyboard(window: Open) -> None:
    page = window("/", viewport=PHONE)
    menu = page.locator("#menu")
    expect(menu).not_to_be_visible()
    page.get_by_role("button", name="More").focus()
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="Readings")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).not_to_be_visible()


def test_an_identifier_is_copied_by_a_click(portal: Portal, window: Open) -> None:
    page = window(f"/adapters/{portal.rows['adapter']}/", permissions=["clipboard-read", "clipboard-write"])
    page.locator(".chips button.copy").first.click()
    expect(page.locator("#announce")).to_contain_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == portal.rows["dev_eui"].upper()


def test_without_scripts_one_can_still_look_and_search(portal: Portal, window: Open) -> None:
    page = window("/adapters/", java_script_enabled=False)
    page.get_by_role("searchbox").fill(portal.rows["dev_eui"])
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="Last readings")).to_be_visible()


def test_a_filter_sends_itself(window: Open) -> None:
    page = window("/adapters/")
    page.get_by_role("link", name="Silent").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Site").select_option(label="Empty school")
    expect(page.get_by_text("No adapter is in this state.")).to_be_visible()
