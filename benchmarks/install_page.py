"""Measures the installer's app in Chromium: what its first load transfers, how long reading a printed label takes."""

import os
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

from tests.browser import camera
from tests.browser.cellar import READY
from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE, SETTINGS, Portal, logged_in, serving
from tests.browser.install_stage import EMAIL

ROUNDS = 60
HELD = camera.Held(height=260, degrees=12, light=0.7, blur=1)


def measure() -> dict[str, float]:
    """`decode_median_ms` of one picture of the camera, `install_first_load_kb` (1000 bytes) without the decoder."""
    with tempfile.TemporaryDirectory(prefix="mspan-install-") as name:
        folder = Path(name)
        os.environ.update(SETTINGS, MSPAN_TEST_FOLDER=name)
        with serving(folder, "install_stage.seed") as portal, sync_playwright() as playwright:
            label = camera.printed(portal.rows["labels"][0]["svg"])
            reel = camera.film(folder / "camera.y4m", (camera.scene(label, HELD), 1))
            arguments = [*ARGUMENTS, *camera.flags(reel), *(["--no-sandbox"] if os.geteuid() == 0 else [])]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=arguments)
            try:
                return _figures(browser, portal)
            finally:
                browser.close()


def _figures(browser: Browser, portal: Portal) -> dict[str, float]:
    context = browser.new_context(
        viewport=PHONE, storage_state=logged_in(browser, portal, EMAIL), permissions=["camera"], service_workers="block"
    )
    page = context.new_page()
    # Bytes on the wire, headers and body as they were sent; without the service worker, which fetches all once more.
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    with page.expect_response("**/api/v1/pairings/mine/**") as last:
        page.goto(f"{portal.url}/install/")
    last.value.finished()
    page.locator(READY).wait_for(state="attached")
    loaded = sum(sizes)
    spent = page.evaluate(camera.DECODE, ROUNDS)
    return {"decode_median_ms": median(spent), "install_first_load_kb": loaded / 1000}
