"""Measures the slot map of a concentrator with 30,000 adapters in Chromium.

`draw_ms` is the longest of many pictures of it, from the whole frame down to single slots, each counted until its
pixels are there, and drawn three times of which the quickest counts: what else runs on the machine is no part of it;
`first_ms` the first one with the work of reading the columns; `payload_kb` (1000 bytes) what its data takes on the
wire, `page_ms` how long the server works on page and data together.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.support import arguments, report
from tests.browser.conftest import ARGUMENTS, CHROMIUM, SETTINGS, Portal, log_in, serving
from tests.browser.slots_stage import OPERATOR

SLOTS = 30_000
READY = '[data-slotmap][data-ready="yes"]'
# Reading a pixel waits until everything before it has been drawn.
PICTURES = """
() => {
  const map = document.querySelector('[data-slotmap]').slotmap;
  const context = map.canvas.getContext('2d');
  const spent = [];
  for (let span = map.view.frameMs; span > 200; span /= 1.5) {
    for (let part = 0; part < 4; part++) {
      map.view.show(map.view.frameMs * part / 4, span);
      let least = Infinity;
      for (let turn = 0; turn < 3; turn++) {
        const began = performance.now();
        map.draw();
        context.getImageData(0, 0, 1, 1);
        least = Math.min(least, performance.now() - began);
      }
      spent.push(least);
    }
  }
  return spent;
}
"""


def main() -> None:
    options = arguments(__doc__)
    report(measure(), options.json)


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="mspan-slotmap-") as name:
        folder = Path(name)
        os.environ.update(SETTINGS, MSPAN_TEST_FOLDER=name)
        seeded = serving(folder, "slots_stage.seed", SLOTS)
        with seeded as portal, sync_playwright() as playwright:
            sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*ARGUMENTS, *sandbox])
            try:
                return _figures(browser, portal)
            finally:
                browser.close()


def _figures(browser: Browser, portal: Portal) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = context.new_page()
    log_in(page, portal, OPERATOR)
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    path = f"/concentrators/{portal.rows['concentrator']}/slots/"
    page.goto(portal.url + path)
    page.locator(READY).wait_for()
    watched = _Wire(wire, f"{portal.url}{path}", f"{portal.url}{path}map/")
    page.goto(portal.url + path)
    page.locator(READY).wait_for()
    return {
        "slots": float(portal.rows["slots"]),
        "draw_ms": max(page.evaluate(PICTURES)),
        "first_ms": _first(page),
        "payload_kb": watched.size / 1000,
        "page_ms": watched.waited_ms,
    }


def _first(page: Page) -> float:
    found: float = page.evaluate("performance.getEntriesByName('slotmap-first')[0].duration")
    return found


class _Wire:
    """What the map's data takes on the wire, and how long the answers to both addresses are waited for."""

    def __init__(self, wire: Any, page: str, data: str) -> None:
        self.size, self.waited_ms = 0.0, 0.0
        self._names: dict[str, str] = {}
        self._page, self._data = page, data
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        wire.on("Network.responseReceived", self._answered)
        wire.on("Network.loadingFinished", self._finished)

    def _answered(self, event: dict[str, Any]) -> None:
        url, timing = event["response"]["url"], event["response"].get("timing")
        if url in {self._page, self._data} and timing:
            self._names[event["requestId"]] = url
            self.waited_ms += timing["receiveHeadersEnd"] - timing["sendEnd"]

    def _finished(self, event: dict[str, Any]) -> None:
        if self._names.get(event["requestId"]) == self._data:
            self.size = event["encodedDataLength"]


if __name__ == "__main__":
    main()
