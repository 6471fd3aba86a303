"""Sealed values on an open page: the web worker holds no key, the vault is a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ROOT, START_DEADLINE_S, Portal, log_in, serving, watched
from tests.browser.sealed_stage import CANARY, COUNT, OPERATOR
from tests.browser.test_live import drawn


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with serving(tmp_path_factory.mktemp("sealed"), seeded) as portal:
        yield portal


def seeded(portal: Portal) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.browser.sealed_stage"]
    run = subprocess.run(command, cwd=ROOT, env=portal.environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return rows


@pytest.fixture
def page(sealed: Portal, chromium: Browser) -> Iterator[Page]:
    """An operator's page; a refused opening is no complaint of the browser's."""
    context = chromium.new_context(locale="en-GB")
    opened = context.new_page()
    log_in(opened, sealed, OPERATOR)
    yield opened
    context.close()


@contextmanager
def vault(portal: Portal) -> Iterator[None]:
    folder = Path(portal.environment["MSPAN_DATA_DIR"])
    environment = {**portal.environment, "MSPAN_KEK_FILE": str(folder / "kek")}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_vault"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        end = monotonic() + START_DEADLINE_S
        while not (folder / "vault").is_socket():
            assert process.poll() is None
            assert monotonic() < end
            sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)
        (folder / "vault").unlink(missing_ok=True)


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


def test_the_list_says_sealed_and_the_export_asks_what_for(sealed: Portal, chromium: Browser) -> None:
    with watched(sealed, chromium) as window:
        page = window("/login/", logged_in=False)
        log_in(page, sealed, OPERATOR)
        page.goto(f"{sealed.url}/readings/")
        expect(page.get_by_text("sealed", exact=True).first).to_be_visible()
        expect(page.get_by_label("Sealed values")).to_be_visible()
