"""Labels on a screen: a scanner reads what the browser drew, in both themes; the web worker asks the vault process."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from meterwire import label as tr005
from tests.browser.axe import WIDE, barriers, needs_axe
from tests.browser.conftest import DESKTOP, PHONE, Open, Portal
from tests.browser.vault import vault as vault_of


@pytest.fixture
def vault(portal: Portal) -> Iterator[None]:
    with vault_of(portal):
        yield


def show(page: Page) -> str:
    """Ask for the label; what a scanner finds on the screen."""
    page.get_by_role("button", name="the label").click()
    expect(page.get_by_role("img", name="Label of the adapter")).to_be_visible()
    found = zxingcpp.read_barcodes(Image.open(BytesIO(page.screenshot())), formats=zxingcpp.BarcodeFormat.QRCode)
    assert len(found) == 1
    return str(found[0].text)


def test_the_label_is_read_from_the_screen_and_again_through_the_vault(
    portal: Portal, window: Open, vault: None
) -> None:
    path = f"/labels/{portal.rows['silent']}/"
    first = show(window(path))
    again = show(window(path, viewport=PHONE, color_scheme="dark"))

    assert again == first
    assert tr005.parse(first).owner_token


def test_without_the_vault_the_page_says_what_to_start(portal: Portal, window: Open) -> None:
    page = window(f"/labels/{portal.rows['refused']}/new/", viewport=PHONE)
    page.get_by_role("button", name="Make a new label").click()
    page.get_by_text("The new label is made.").wait_for()

    answer = page.request.post(page.url, form={"csrfmiddlewaretoken": _csrf(page)}, headers={"Referer": page.url})

    assert answer.status == 409
    assert "manage.py run_vault" in answer.text()


def test_ticked_labels_are_downloaded_by_keyboard_alone(portal: Portal, window: Open) -> None:
    page = window("/labels/?state=none")
    page.locator("tbody input[type=checkbox]:enabled").first.focus()
    page.keyboard.press("Space")
    page.get_by_label("First free position").fill("24")
    with page.expect_download() as saving:
        page.keyboard.press("Enter")
    assert saving.value.suggested_filename.startswith("meterspan-labels-")
    assert Path(saving.value.path()).read_bytes().startswith(b"%PDF")


@needs_axe
@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_the_shown_label_has_no_barrier(scheme: Any, viewport: Any, portal: Portal, window: Open, vault: None) -> None:
    page = window(f"/labels/{portal.rows['silent']}/", color_scheme=scheme, viewport=viewport)
    show(page)

    assert barriers(page) == []
    assert page.evaluate(WIDE) == []


def _csrf(page: Page) -> str:
    return str(page.locator("input[name=csrfmiddlewaretoken]").first.input_value())
