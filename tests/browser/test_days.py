"""Signed days in a real browser: the card comes by itself, the list fits a phone, the proof convinces as a file."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import WIDE
from tests.browser.backstage import ROOT
from tests.browser.conftest import DESKTOP, PHONE, Portal, logged_in, serving
from tests.browser.days_stage import OPERATOR


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with serving(tmp_path_factory.mktemp("days"), "days_stage.seed") as portal:
        yield portal


@pytest.fixture(scope="module")
def operator(signed: Portal, chromium: Browser) -> dict[str, Any]:
    return logged_in(chromium, signed, OPERATOR)


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: Any, operator: dict[str, Any], chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="en-GB", viewport=request.param, storage_state=operator)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def test_the_card_on_the_adapters_page_leads_to_all_days(signed: Portal, page: Page) -> None:
    page.goto(f"{signed.url}/adapters/{signed.rows['adapter']}/")
    expect(page.locator("#days .st")).to_have_text("signed")
    page.get_by_role("link", name="All days").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    for words in ("signed except for 3 telegrams", "signature wrong", "not verifiable", "being checked"):
        expect(page.get_by_text(words, exact=True)).to_be_visible()
    assert page.evaluate(WIDE) == []


def test_the_proof_that_is_downloaded_convinces_without_the_portal(signed: Portal, page: Page, tmp_path: Path) -> None:
    page.goto(f"{signed.url}/adapters/{signed.rows['adapter']}/days/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Proof").first.click()
    file = tmp_path / "proof.json"
    download.value.save_as(file)
    judge = [sys.executable, str(ROOT / "docs" / "verify_signed_day.py"), str(file)]
    ended = subprocess.run(judge, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "48 telegrams signed, 48 of them shown" in ended.stdout
