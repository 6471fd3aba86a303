"""A supplier's file in a real browser: chosen, its columns looked at, checked, released; on a phone and by keyboard."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, ROOT, Open, Portal
from tests.browser.test_pages import AXE, WIDE
from tests.support.supplier_file import adapters, csv_file, xlsx_file

PASSWORD = "a long enough pass phrase"
MAKE_OPERATOR = """
import django
django.setup()
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.services import add_member, create_organisation
# An organisation of its own: what is imported must not show in the lists of other tests.
held = Organisation.objects.filter(slug="zentrallager").first()
organisation = held or create_organisation(System("stage"), "Zentrallager", "zentrallager")
email = "warehouse@lindenhof.example"
if not User.objects.filter(email=email).exists():
    user = add_member(System("stage"), organisation, email, "operator").user
    user.set_password(%r)
    user.save()
"""


@pytest.fixture(scope="module")
def warehouse(portal: Portal) -> str:
    """The email of a person who may import."""
    script = MAKE_OPERATOR % PASSWORD
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=portal.environment, check=True)
    return "warehouse@lindenhof.example"


def enter(window: Open, email: str, **options: Any) -> Page:
    page = window("/login/", logged_in=False, **options)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    return page


def barriers(page: Page) -> list[str]:
    if not AXE.exists():
        return []
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']}: {node['target']}" for v in result["violations"] for node in v["nodes"]]


@pytest.mark.parametrize(
    ("viewport", "scheme", "kind"), [(DESKTOP, "light", "csv"), (PHONE, "dark", "xlsx")], ids=["desktop", "phone"]
)
def test_a_file_is_chosen_once_looked_at_checked_and_released(
    viewport: Any, scheme: Any, kind: str, portal: Portal, warehouse: str, window: Open, tmp_path: Path
) -> None:
    page = enter(window, warehouse, viewport=viewport, color_scheme=scheme)
    page.goto(portal.url + "/batches/")
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
    script = "import django; django.setup(); from provisioning.batches import tasks, models;"
    script += "[tasks.import_batch(b.pk) for b in models.Batch.objects.filter(state='importing')]"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=portal.environment, check=True)
    expect(page.get_by_text("imported in part")).to_be_visible()
    assert (barriers(page), page.evaluate(WIDE)) == ([], [])


def test_a_file_that_is_too_large_is_not_sent(portal: Portal, warehouse: str, window: Open, tmp_path: Path) -> None:
    page = enter(window, warehouse)
    page.goto(portal.url + "/batches/new/")
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
