"""A supplier's file in a real browser: chosen, its columns looked at, checked, released; on a phone and by keyboard."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.axe import AXE, WIDE
from tests.browser.axe import barriers as found
from tests.browser.batches_stage import EMAIL
from tests.browser.conftest import DESKTOP, PHONE, Open, Portal, logged_in
from tests.support.supplier_file import adapters, csv_file, xlsx_file


@pytest.fixture(scope="module")
def warehouse(portal: Portal, chromium: Browser) -> dict[str, Any]:
    """The cookies of a person who may import."""
    portal.stage("batches_stage.seed")
    return logged_in(chromium, portal, EMAIL)


def barriers(page: Page) -> list[str]:
    return found(page) if AXE.exists() else []


@pytest.mark.parametrize(
    ("viewport", "scheme", "kind"), [(DESKTOP, "light", "csv"), (PHONE, "dark", "xlsx")], ids=["desktop", "phone"]
)
def test_a_file_is_chosen_once_looked_at_checked_and_released(
    viewport: Any, scheme: Any, kind: str, portal: Portal, warehouse: dict[str, Any], window: Open, tmp_path: Path
) -> None:
    page = window("/batches/", storage_state=warehouse, viewport=viewport, color_scheme=scheme)
    assert (barriers(page), page.evaluate(WIDE)) == ([], [])
    page.get_by_role("link", name="Import a file").first.click()
    rows = list(adapters(60, first=0x70B3D57E10000000 if kind == "csv" else 0x70B3D57E20000000, seed=len(kind)))
    rows[2][2] = "oops"
    path = tmp_path / f"delivery.{kind}"
    path.write_bytes((csv_file(rows) if kind == "csv" else xlsx_file(rows)).getvalue())
    page.get_by_label("Name of the new supplier").fill(f"Funkwerk {kind}")
    page.get_by_label("File").set_input_files(path)
    expect(page.get_by_text("Which column is what?")).to_be_visible()
    expect(page.get_by_label("Root key (AppKey)")).to_have_value("AppKey")
    assert (barriers(page), page.evaluate(WIDE)) == ([], [])
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=f"delivery.{kind}")).to_be_visible()
    expect(page.get_by_text("This key has other signs than 0-9 and A-F.")).to_be_visible()
    assert (barriers(page), page.evaluate(WIDE)) == ([], [])
    page.get_by_role("link", name="Further").click()
    expect(page.get_by_role("cell", name="61", exact=True)).to_be_visible()
    page.get_by_label("Error").select_option("not_hex")
    expect(page.get_by_text("This key has other signs than 0-9 and A-F.")).to_be_visible()
    page.get_by_role("button", name="Import 59 adapters").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert (barriers(page), page.evaluate(WIDE)) == ([], [])
    portal.stage("batches_stage.work")
    expect(page.get_by_text("imported in part")).to_be_visible()
    assert (barriers(page), page.evaluate(WIDE)) == ([], [])


def test_a_file_that_was_chosen_before_the_page_was_ready_is_looked_at(
    warehouse: dict[str, Any], window: Open, tmp_path: Path
) -> None:
    page = window("/batches/", storage_state=warehouse)
    held: list[Route] = []
    page.route("**/htmx*.js", lambda route: held.append(route))
    with page.expect_request("**/htmx*.js"):
        page.get_by_role("link", name="Import a file").first.click()
    path = tmp_path / "early.csv"
    path.write_bytes(csv_file(list(adapters(3, first=0x70B3D57E30000000, seed=1))).getvalue())
    page.get_by_label("File").set_input_files(path)
    held[0].continue_()
    expect(page.get_by_text("Which column is what?")).to_be_visible()


def test_a_file_that_is_too_large_is_not_sent(warehouse: dict[str, Any], window: Open, tmp_path: Path) -> None:
    page = window("/batches/new/", storage_state=warehouse)
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(30 * 2**20)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_label("File").set_input_files(path)
    page.get_by_label("Name of the new supplier").fill("Funkwerk")
    page.get_by_role("button", name="Check the file").click()
    assert page.get_by_label("File").evaluate("e => e.validationMessage").startswith("This file is too large")
    assert sent == []
