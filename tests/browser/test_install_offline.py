"""The cellar without network: the app starts, scans are kept, and everything arrives once and in order."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Request, Route, expect

from meterwire.ids import MeterId
from tests.browser.cellar import READY, Phone, Stage, meter_number, phone
from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE, Portal, log_in, logged_in
from tests.browser.install_stage import EMAIL

NETWORK_IS_BACK = "dispatchEvent(new Event('online'))"
PAIRINGS = "**/api/v1/pairings/"
# A wait as long as the first back-off of the outbox never ends.
NO_BACK_OFF = """
const wait = window.setTimeout;
window.setTimeout = (call, ms, ...rest) => wait(call, 4_000 <= ms && ms <= 6_000 ? 2 ** 31 - 1 : ms, ...rest);
"""
KEPT = """
async () => {
  const base = await new Promise((resolve) => {
    indexedDB.open("meterspan-install").onsuccess = (e) => resolve(e.target.result);
  });
  const names = [...base.objectStoreNames];
  const rows = names.length ? await Promise.all(names.map((name) => new Promise((resolve) => {
    base.transaction(name).objectStore(name).getAll().onsuccess = (e) => resolve(e.target.result);
  }))) : [];
  base.close();
  return JSON.stringify(rows.flat());
}
"""


@pytest.fixture
def held(portal: Portal, chromium: Browser, installer: dict[str, Any]) -> Iterator[Phone]:
    """A phone with the app kept for offline use."""
    with phone(chromium, portal, installer) as one:
        one.open()
        kept(one)
        yield one


def kept(held: Phone) -> None:
    """Wait until the service worker holds the page."""
    held.page.evaluate("navigator.serviceWorker.ready.then(() => null)")


def claims(held: Phone) -> list[dict[str, Any]]:
    """The bodies and keys of all pairing requests from now on."""
    seen: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/api/v1/pairings/"):
            seen.append({"key": request.headers["idempotency-key"], **(request.post_data_json or {})})

    held.page.on("request", note)
    return seen


def away(held: Phone) -> None:
    """Down into the cellar."""
    held.page.context.set_offline(True)
    expect(held.page.locator("#banner")).to_contain_text("No network")


def test_the_second_load_needs_no_network(held: Phone) -> None:
    away(held)
    held.page.reload()
    held.page.locator(READY).wait_for(state="attached")
    expect(held.page.locator("#banner")).to_contain_text("No network")
    held.begin()
    held.page.locator("#code").fill("1EMH0012345678")
    expect(held.page.locator("#why")).to_have_text("This is the meter's barcode; scan the adapter first.")


def test_the_decoder_reads_a_photo_without_network(held: Phone, stage: Stage, tmp_path: Path) -> None:
    from tests.browser import camera

    held.page.evaluate(
        "async () => { for (;;) {"
        " const name = (await caches.keys()).find((one) => one.includes('decoder'));"
        " if (name && (await (await caches.open(name)).keys()).length === 2) return;"
        " await new Promise(requestAnimationFrame); } }"
    )
    away(held)
    held.page.reload()
    held.page.locator(READY).wait_for(state="attached")
    adapter, path = stage.label(), tmp_path / "photo.png"
    camera.scene(camera.printed(adapter["svg"]), camera.Held()).save(path)
    held.begin()
    held.page.locator("input[type=file]").set_input_files(path)
    held.on_screen("meter")


def test_two_scans_wait_and_arrive_in_order(held: Phone, stage: Stage) -> None:
    first, second = stage.label(), stage.label()
    meters = [MeterId.parse(meter_number()).display for _ in range(2)]
    away(held)
    for adapter, meter in zip((first, second), meters, strict=True):
        held.install(adapter["text"], meter, answered=False)
        expect(held.page.get_by_role("heading", name="Kept on this phone")).to_be_visible()
        held.page.get_by_role("link", name="Back").click()
    expect(held.page.locator("#banner")).to_contain_text("2 installations wait")
    expect(held.page.locator(".item").get_by_text("waits for network")).to_have_count(2)
    assert first["text"] in held.page.evaluate(KEPT)
    seen = claims(held)
    held.page.context.set_offline(False)
    for meter in meters:
        expect(held.page.locator(".item", has_text=meter)).to_contain_text("on its way")
    expect(held.page.locator("#banner")).to_have_count(0)
    assert [one["adapter_scan"] for one in seen] == [first["text"], second["text"]]
    # The proofs of both claims are forgotten with the answer.
    assert first["text"].split(":O")[1][:26] not in held.page.evaluate(KEPT)
    assert second["text"].split(":O")[1][:26] not in held.page.evaluate(KEPT)


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(held: Phone, stage: Stage) -> None:
    adapter, seen, lost = stage.label(), claims(held), []

    def lose(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.fetch())  # the portal has paired, the phone never hears of it
        return route.abort("connectionreset")

    held.page.route(PAIRINGS, lose)
    held.install(adapter["text"], meter_number(), answered=False)
    held.page.evaluate(NETWORK_IS_BACK)
    expect(held.station("paired")).to_have_class("done")
    assert len({one["key"] for one in seen}) == 1 < len(seen)
    assert stage.ask("count", adapter["dev_eui"]) == {"pairings": 1, "claims": 1}
    held.complaints[:] = [said for said in held.complaints if "ERR_CONNECTION_RESET" not in said]


def test_network_that_comes_back_while_an_attempt_fails_is_not_forgotten(held: Phone, stage: Stage) -> None:
    lost: list[Route] = []

    def lose(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route)
        held.page.evaluate(NETWORK_IS_BACK)
        return route.abort("connectionreset")

    held.page.add_init_script(NO_BACK_OFF)
    held.open()
    held.page.route(PAIRINGS, lose)
    held.install(stage.label()["text"], meter_number(), answered=False)
    expect(held.station("paired")).to_have_class("done")
    held.complaints[:] = [said for said in held.complaints if "ERR_CONNECTION_RESET" not in said]


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_portal_in_trouble_is_no_refusal(status: int, held: Phone, stage: Stage) -> None:
    held.complaints.clear()
    held.page.route(PAIRINGS, lambda route: route.fulfill(status=status, body="<html>busy</html>"))
    held.install(stage.label()["text"], meter_number(), answered=False)
    expect(held.page.get_by_role("heading", name="Kept on this phone")).to_be_visible()
    held.page.unroute(PAIRINGS)
    held.page.evaluate(NETWORK_IS_BACK)
    expect(held.station("paired")).to_have_class("done")
    held.complaints[:] = [said for said in held.complaints if f"status of {status}" not in said]


def test_an_ended_session_keeps_the_scans_until_one_signs_in(held: Phone, stage: Stage) -> None:
    held.page.context.clear_cookies()
    held.install(stage.label()["text"], meter_number(), answered=False)
    expect(held.page.get_by_role("heading", name="Waits until you sign in")).to_be_visible()
    held.page.get_by_role("link", name="Sign in").click()
    held.page.get_by_label("Email").fill(EMAIL)
    held.page.get_by_label("Password").fill("a long and quiet password")
    held.page.get_by_role("button", name="Log in").click()
    held.page.locator(READY).wait_for(state="attached")
    expect(held.page.locator(".item").first).not_to_contain_text("waits for network")
    expect(held.page.locator("#banner")).to_have_count(0)


def test_two_tabs_send_a_scan_once(held: Phone, portal: Portal, stage: Stage) -> None:
    other = Phone.on(portal, held.page.context).open()
    adapter, seen, more = stage.label(), claims(held), claims(other)
    held.page.bring_to_front()  # else the browser draws it rarely
    held.page.context.set_offline(True)
    held.install(adapter["text"], meter_number(), answered=False)
    expect(other.page.locator("#banner")).to_contain_text("1 installation waits")
    held.page.context.set_offline(False)
    expect(held.station("paired")).to_have_class("done")
    expect(other.page.locator("#banner")).to_have_count(0)
    assert len(seen) + len(more) == 1
    assert other.complaints == []


def test_signing_out_asks_and_wipes(portal: Portal, chromium: Browser, stage: Stage) -> None:
    with phone(chromium, portal, logged_in(chromium, portal, EMAIL)) as held:
        held.open()
        adapter = stage.label()
        held.page.route(PAIRINGS, lambda route: route.abort("connectionfailed"))
        held.install(adapter["text"], meter_number(), answered=False)
        held.page.get_by_role("link", name="Back").click()
        assert adapter["text"] in held.page.evaluate(KEPT)
        held.page.get_by_role("button", name="Sign out").click()
        dialog = held.page.get_by_role("dialog")
        expect(dialog).to_contain_text("Not sent yet from this phone: 1")
        dialog.get_by_role("button", name="Sign out").click()
        held.page.get_by_role("heading", name="Log in").wait_for()
        assert held.page.evaluate(KEPT) == "[]"
        held.complaints[:] = [said for said in held.complaints if "ERR_CONNECTION_FAILED" not in said]


def test_a_scan_survives_the_closed_browser(portal: Portal, chromium: Browser, stage: Stage, tmp_path: Path) -> None:
    adapter = stage.label()
    with profile(chromium, tmp_path) as context:
        held = Phone.on(portal, context)
        log_in(held.page, portal, EMAIL)
        held.open()
        kept(held)
        away(held)
        held.install(adapter["text"], meter_number(), answered=False)
        expect(held.page.get_by_role("heading", name="Kept on this phone")).to_be_visible()
        cookies = context.cookies()  # a session cookie would end with the browser
    with profile(chromium, tmp_path) as context:
        context.add_cookies(cookies)  # type: ignore[arg-type]
        held = Phone.on(portal, context).open()
        held.page.locator(".item").first.click()
        expect(held.station("paired")).to_have_class("done")
    assert stage.ask("count", adapter["dev_eui"])["pairings"] == 1


@contextmanager
def profile(chromium: Browser, folder: Path) -> Iterator[BrowserContext]:
    """A browser of its own, whose data stay in `folder`."""
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    context = chromium.browser_type.launch_persistent_context(
        folder, executable_path=CHROMIUM, headless=True, args=arguments, viewport=PHONE, locale="en-GB"
    )
    yield context
    context.close()


def test_a_new_version_waits_until_the_person_takes_it(held: Phone) -> None:
    held.page.reload()
    held.page.locator(READY).wait_for(state="attached")
    # Another address is another worker to the browser, as another content would be.
    held.page.evaluate(
        "navigator.serviceWorker.register('/install/sw.js?newer', {scope: '/install/'}).then(() => null)"
    )
    expect(held.page.locator("#banner")).to_contain_text("A new version of this app is ready.")
    with held.page.expect_navigation():
        held.page.get_by_role("button", name="Update").click()
    held.page.locator(READY).wait_for(state="attached")


def test_what_the_service_worker_keeps_says_nothing_about_anybody(held: Phone) -> None:
    texts = held.page.evaluate(
        "async () => { const out = []; for (const name of await caches.keys()) { const cache = await caches.open(name);"
        " for (const request of await cache.keys()) out.push([new URL(request.url).pathname,"
        " /wasm|png/.test(request.url) ? '' : await (await cache.match(request)).text()]); } return out; }"
    )
    paths = [path for path, _text in texts]
    assert "/install/" in paths
    assert not [path for path in paths if path.startswith(("/api/", "/install/session", "/live"))]
    assert not [path for path, text in texts if "Kellerwerke" in text or "Ines" in text or EMAIL in text]
