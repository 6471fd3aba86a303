"""The custodian's pages in a real browser: no barrier, nothing sideways, a campaign from the look to its page."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import judges_all, needs_axe
from tests.browser.conftest import PHONE, Portal, serving, watched
from tests.browser.keys_stage import CUSTODIAN
from tests.browser.test_factors import looked_at, set_up_passkey, type_password, with_authenticator
from tests.browser.vault import vault


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """Under a name: a passkey belongs to a domain."""
    with serving(tmp_path_factory.mktemp("keys"), "keys_stage.seed") as portal:
        yield replace(portal, url=portal.url.replace("127.0.0.1", "localhost"))


@pytest.fixture(scope="module")
def page(home: Portal, chromium: Browser) -> Iterator[Page]:
    """The custodian, who has just shown the passkey."""
    with watched(home, chromium) as opened:
        page = opened("/login/")
        with_authenticator(page)
        type_password(page, home, CUSTODIAN)
        set_up_passkey(page)
        yield page


def pages(rows: dict[str, Any]) -> list[str]:
    key = f"/keys/{rows['key']}/"
    return [
        "/keys/", "/keys/?q=nothing", key, f"{key}revoke/", f"{key}retire/", f"{key}wrap/", f"{key}reveal/",
        "/keys/failed/", "/keys/import/", "/keys/handovers/", f"/keys/handovers/{rows['handover']}/",
        "/keys/handovers/new/", "/campaigns/", "/campaigns/new/", f"/campaigns/{rows['failed']}/",
        f"/campaigns/{rows['running']}/", f"/campaigns/{rows['running']}/cancel/", "/schedules/new/",
        f"/schedules/{rows['schedule']}/end/", f"/adapters/{rows['adapter']}/", f"/adapters/{rows['adapter']}/revoke/",
        f"/concentrators/{rows['concentrator']}/",
    ]  # fmt: skip


@judges_all
@needs_axe
def test_no_barrier_and_nothing_sideways(home: Portal, page: Page) -> None:
    shots = os.environ.get("MSPAN_SHOTS")
    for path in pages(home.rows):
        page.goto(home.url + path)
        looked_at(page, path)
        if shots:
            _photograph(page, Path(shots), path)


def test_a_campaign_is_looked_at_and_started_on_a_phone(home: Portal, page: Page) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(f"{home.url}/campaigns/new/?adapter={home.rows['adapter']}")
    page.get_by_label("Which keys").select_option("control_down")
    page.get_by_role("button", name="Look what would happen").click()
    expect(page.get_by_role("heading", name="What would happen")).to_be_visible()
    expect(page.get_by_text("share no key-transport key")).to_be_visible()
    page.goto(f"{home.url}/campaigns/new/")
    page.get_by_label("Which keys").select_option("control_down")
    page.get_by_role("button", name="Look what would happen").click()
    page.get_by_role("button", name="Start the campaign").click()
    expect(page.get_by_role("heading", name="Control key, down: Everything")).to_be_visible()
    expect(page.locator("#deliveries")).to_contain_text("planned")


def test_a_file_is_tried_without_losing_it_and_then_imported(home: Portal, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "keys.csv"
    file.write_text(f"dev_eui,purpose,key,partner\n{home.rows['eui']},meter,{'0123456789abcdef' * 2},input 3\n")
    page.goto(f"{home.url}/keys/import/")
    page.get_by_label("Key file").set_input_files(file)
    page.get_by_role("button", name="Try the file").click()
    page.get_by_role("button", name="Import 1 key").click()
    expect(page.get_by_role("heading", name="1 key imported")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Report").click()
    report = download.value.path().read_text()
    assert home.rows["eui"].upper() in report
    assert "0123456789abcdef" not in report.lower()


def test_a_revealed_key_leaves_the_page_a_minute_after_it_was_opened(home: Portal, page: Page) -> None:
    address = f"{home.url}/keys/{home.rows['key']}/reveal/"
    page.goto(address)
    page.get_by_label("Reason").fill("The meter is read on the spot")
    page.get_by_role("button", name="Ask a second custodian").click()
    home.stage("keys_stage.approve")
    page.clock.install()
    with vault(home):
        page.goto(address)
        page.get_by_role("button", name="Reveal it now").click()
        secret, gone = page.locator(".secret"), page.get_by_text("The key is hidden again")
        expect(page.get_by_text("Show the key")).to_be_visible()
    page.clock.fast_forward(120_000)  # nobody has looked yet
    expect(secret).to_be_hidden()
    # The browser tells a little later that it was opened: from then on the minute counts.
    tell = "one => one.addEventListener('toggle', () => one.setAttribute('data-told', ''))"
    page.locator("[data-once]").evaluate(tell)
    page.get_by_text("Show the key").click()
    expect(page.locator("[data-told]")).to_be_visible()
    expect(secret).to_have_text(re.compile(r"^([0-9A-F]{4} ){7}[0-9A-F]{4}$"))
    page.clock.fast_forward(55_000)
    expect(secret).to_be_visible()
    expect(gone).to_be_hidden()
    page.clock.fast_forward(5_000)
    expect(gone).to_be_visible()
    expect(secret).to_have_count(0)


def _photograph(page: Page, folder: Path, path: str) -> None:
    name = path.strip("/").replace("/", "-").replace("?", "-")
    page.emulate_media(color_scheme="light")
    page.screenshot(path=folder / f"{name}-desk.png", full_page=True)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.screenshot(path=folder / f"{name}-phone.png", full_page=True)
    page.emulate_media(color_scheme="light")
