"""Chromium with a fake camera that plays films of the label which the product printed."""

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import camera
from tests.browser.camera import Held
from tests.browser.cellar import Phone, Stage, meter_number, phone
from tests.browser.conftest import ARGUMENTS, CHROMIUM, Portal

SCENES = {
    "straight": Held(),
    "rotated by 12 degrees": Held(degrees=12),
    "rotated by 90 degrees": Held(degrees=90),
    "small": Held(height=150),
    "dark": Held(light=0.2),
    "blurred": Held(blur=2),
}
SLOWEST_MS = 300
# Keeps every state that the camera's part of the page went through.
STATES = """
window.states = [];
const note = (changes) => window.states.push(...changes.map(({ target }) => target.dataset.camera));
new MutationObserver(note).observe(document, { subtree: true, attributeFilter: ["data-camera"] });
"""


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the camera plays; it is read anew whenever the camera is opened."""
    return tmp_path_factory.mktemp("film") / "camera.y4m"


@pytest.fixture(scope="module")
def browser(reel: Path, chromium: Browser) -> Iterator[Browser]:
    """With a camera; the shared browser of the other tests has none."""
    arguments = [*ARGUMENTS, *camera.flags(reel), *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, headless=True, args=arguments)
    yield browser
    browser.close()


@pytest.fixture
def held(portal: Portal, browser: Browser, installer: dict[str, Any]) -> Iterator[Phone]:
    """A phone whose camera is allowed."""
    with phone(browser, portal, installer, permissions=["camera"]) as one:
        yield one


@pytest.mark.parametrize("scene", SCENES)
def test_the_printed_label_is_read(scene: str, reel: Path, stage: Stage, held: Phone) -> None:
    adapter = stage.label()
    camera.film(reel, (camera.scene(camera.printed(adapter["svg"]), SCENES[scene]), 1))
    held.page.add_init_script(STATES)
    held.open().begin()
    held.on_screen("meter")
    expect(held.page.locator("#top")).to_contain_text(adapter["dev_eui"])
    assert "found" in held.page.evaluate("states")
    # The camera still shows the adapter: that is said, and nothing is taken.
    expect(held.page.get_by_role("alert")).to_contain_text("This is the adapter's label; now scan")


def test_a_wrong_code_is_named_and_the_right_one_is_taken(reel: Path, stage: Stage, held: Phone) -> None:
    adapter = stage.label()
    meter = camera.scene(camera.barcode("1EMH0012345678"), Held(height=200))
    camera.film(reel, (meter, 30), (camera.scene(camera.printed(adapter["svg"]), Held()), 30))
    held.open().begin()
    expect(held.page.get_by_role("alert")).to_have_text("This is the meter's barcode; scan the adapter first.")
    held.on_screen("meter")
    expect(held.page.locator("#top")).to_contain_text(adapter["dev_eui"])


def test_two_scans_pair(reel: Path, stage: Stage, held: Phone) -> None:
    adapter, meter = stage.label(), meter_number()
    code = camera.scene(camera.barcode(meter), Held(height=200))
    camera.film(reel, (camera.scene(camera.printed(adapter["svg"]), Held()), 20), (code, 20))
    held.open().begin()
    held.on_screen("details")
    expect(held.page.locator(".pairs")).to_contain_text(meter[-4:])
    held.main.click()
    expect(held.station("paired")).to_have_class("done")


def test_a_camera_that_is_not_allowed_is_named(
    portal: Portal, stage: Stage, browser: Browser, installer: dict[str, Any]
) -> None:
    with phone(browser, portal, installer, permissions=[]) as held:
        held.open().begin()
        expect(held.page.get_by_role("heading", name="The camera is not allowed")).to_be_visible()
        expect(held.page.get_by_text("allow the camera for this page")).to_be_visible()
        held.type(stage.label()["text"])
        held.on_screen("meter")


def test_the_camera_is_named_while_it_is_asked_for_and_let_go_of(reel: Path, stage: Stage, held: Phone) -> None:
    camera.film(reel, (camera.scene(camera.barcode("nothing of ours"), Held()), 1))
    held.page.add_init_script(
        "const media = navigator.mediaDevices; const ask = media.getUserMedia.bind(media);"
        "const gate = new Promise((open) => { window.allow = open; });"
        "media.getUserMedia = async (wanted) => { await gate; return (window.stream = await ask(wanted)); };"
    )
    held.open().begin()
    expect(held.page.get_by_text("Allow the camera: the browser asks you now")).to_be_visible()
    held.page.evaluate("allow()")
    held.page.locator(".scan[data-camera=looking]").wait_for()
    held.page.get_by_role("button", name="Type it instead").click()
    assert held.page.evaluate("stream.getTracks().map((track) => track.readyState)") == ["ended"]


def test_a_lamp_is_offered_where_the_camera_has_one(reel: Path, held: Phone) -> None:
    camera.film(reel, (camera.scene(camera.barcode("nothing of ours"), Held()), 1))
    held.page.add_init_script(
        "MediaStreamTrack.prototype.getCapabilities = () => ({ torch: true });"
        "MediaStreamTrack.prototype.applyConstraints = async (wanted) => { window.wanted = wanted; };"
    )
    held.open().begin()
    lamp = held.page.get_by_role("button", name="Torch")
    lamp.click()
    expect(lamp).to_have_attribute("aria-pressed", "true")
    assert held.page.evaluate("wanted.advanced[0].torch") is True


def test_a_label_is_decoded_fast_enough(portal: Portal, reel: Path, stage: Stage, held: Phone) -> None:
    camera.film(reel, (camera.scene(camera.printed(stage.label()["svg"]), Held(degrees=12, blur=1)), 1))
    held.open()
    spent = held.page.evaluate(camera.DECODE, 15)
    assert median(spent) <= SLOWEST_MS
