"""The slot map follows what happens at its concentrator, and stays where the person who looks has moved it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open, Portal, logged_in, serving, watched
from tests.browser.slots_stage import OPERATOR

READY = '[data-slotmap][data-ready="yes"]'
SEEN = "() => { const {start, span} = document.querySelector('[data-slotmap]').slotmap.view; return {start, span} }"
# How the slot of an adapter is drawn: its form, and how many boxes are marked.
STATE = """
(adapter) => {
  const {boxes, chosen} = document.querySelector('[data-slotmap]').slotmap;
  const [n] = boxes.of(adapter);
  return n === undefined ? null : [boxes.data.states[boxes.state[n]][0], chosen.size];
}
"""
AT_ONCE = "for (const part of document.querySelectorAll('[data-live-concentrator]')) part.dataset.livePace = '0.1'"


@pytest.fixture(scope="module")
def slotted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with serving(tmp_path_factory.mktemp("slots-live"), "slots_stage.seed", 60) as portal:
        yield portal


@pytest.fixture(scope="module")
def operator(slotted: Portal, chromium: Browser) -> dict[str, Any]:
    return logged_in(chromium, slotted, OPERATOR)


@pytest.fixture
def opened(slotted: Portal, chromium: Browser, operator: dict[str, Any]) -> Iterator[Open]:
    with watched(slotted, chromium, operator) as window:
        yield window


def the_map(opened: Open, portal: Portal, query: str = "") -> Page:
    portal.stage("stage.told_long_ago", portal.rows["others"][0])  # else the page is fetched for what it missed
    page = opened(f"/concentrators/{portal.rows['concentrator']}/slots/{query}")
    page.locator(READY).wait_for()
    page.evaluate(AT_ONCE)
    expect(page.locator(".live").first).to_have_text("live")
    return page


def test_what_an_adapter_says_of_its_slot_shows_on_the_open_map_and_in_the_list(slotted: Portal, opened: Open) -> None:
    adapter = slotted.rows["others"][0]
    page = the_map(opened, slotted)
    page.get_by_role("button", name="Closer", exact=True).click()
    page.evaluate("(n) => document.querySelector('[data-slotmap]').slotmap.show(n)", adapter)
    seen = page.evaluate(SEEN)
    page.get_by_role("button", name="Later", exact=True).click()
    moved = page.evaluate(SEEN)
    assert page.evaluate(STATE, adapter) == ["ok", 1]
    slotted.stage("slots_stage.refused", adapter)
    expect(page.locator(f'[data-slot-of="{adapter}"]')).to_contain_text("refused its slot")
    assert page.evaluate(STATE, adapter) == ["bad", 1]  # still marked
    assert page.evaluate(SEEN) == moved != seen  # and nobody was taken back to it


def test_a_slot_that_is_released_leaves_map_list_and_figures(slotted: Portal, opened: Open) -> None:
    adapter = slotted.rows["others"][1]
    page = the_map(opened, slotted)
    count = page.locator("#room dd").first
    before = int(count.inner_text())
    expect(page.locator(f'[data-slot-of="{adapter}"]')).to_have_count(1)
    slotted.stage("slots_stage.released", adapter)
    expect(page.locator(f'[data-slot-of="{adapter}"]')).to_have_count(0)
    assert page.evaluate(STATE, adapter) is None
    expect(count).to_have_text(str(before - 1))


def test_the_map_is_fetched_for_news_of_its_own_concentrator_only(slotted: Portal, opened: Open) -> None:
    adapter = slotted.rows["others"][2]
    page = the_map(opened, slotted)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("document.addEventListener('live-changes', () => document.body.setAttribute('data-told', ''))")
    slotted.stage("slots_stage.elsewhere", adapter)
    expect(page.locator("body[data-told]")).to_have_count(1)  # else both were told in one, and fetched once anyhow
    slotted.stage("slots_stage.refused", adapter)
    expect(page.locator(f'[data-slot-of="{adapter}"]')).to_contain_text("refused its slot")
    assert sum(url.endswith("/slots/map/") for url in asked) == 1
