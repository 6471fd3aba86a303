"""Sealed values on an open page: the web worker holds no key, the vault is a process of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Portal, logged_in, serving, watched
from tests.browser.sealed_stage import CANARY, COUNT, OPERATOR
from tests.browser.test_live import drawn
from tests.browser.vault import vault


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with serving(tmp_path_factory.mktemp("sealed"), "sealed_stage.seed") as portal:
        yield portal


@pytest.fixture(scope="module")
def operator(sealed: Portal, chromium: Browser) -> dict[str, Any]:
    return logged_in(chromium, sealed, OPERATOR)


@pytest.fixture
def page(operator: dict[str, Any], chromium: Browser) -> Iterator[Page]:
    """An operator's page; a refused opening is no complaint of the browser's."""
    context = chromium.new_context(locale="en-GB", storage_state=operator)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def opened(page: Page, purpose: str) -> None:
    page.get_by_label("What are the values opened for?").select_option(label=purpose)
    with page.expect_response("**/series/open/**"):
        page.get_by_role("button", name="Open sealed values").click()


def test_a_chart_stays_closed_until_it_is_opened_for_a_purpose(sealed: Portal, page: Page) -> None:
    page.goto(f"{sealed.url}/adapters/{sealed.rows['adapter']}/")
    expect(page.get_by_text("These values are stored sealed.")).to_be_visible()
    page.get_by_role("group", name="Stretch of time").first.get_by_role("button", name="Day", exact=True).click()
    opened(page, "Billing")
    expect(page.get_by_text("The vault does not answer")).to_be_visible()
    with vault(sealed):
        opened(page, "Billing")
        expect(page.get_by_text("Opened for this page")).to_be_visible()
        expect(page.get_by_role("button", name="Open sealed values")).to_be_hidden()
        assert drawn(page) > 300
        page.reload()
        expect(page.get_by_text("These values are stored sealed.")).to_be_visible()


def test_neither_database_nor_logs_nor_redis_hold_a_value(sealed: Portal) -> None:
    folder = Path(sealed.environment["MSPAN_DATA_DIR"])
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "kek"}
    assert any(name.startswith("portal.sqlite3") for name in kept)
    for number in range(COUNT):
        value = CANARY + 100 * number
        for name, content in kept.items():
            assert value.to_bytes(6) not in content, name
            assert str(value).encode() not in content, name


def test_the_list_says_sealed_and_the_export_asks_what_for(
    sealed: Portal, chromium: Browser, operator: dict[str, Any]
) -> None:
    with watched(sealed, chromium, operator) as window:
        page = window("/readings/")
        expect(page.get_by_text("sealed", exact=True).first).to_be_visible()
        expect(page.get_by_label("Sealed values")).to_be_visible()
