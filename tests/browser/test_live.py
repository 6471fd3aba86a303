"""Charts are drawn, and what happens in the cellar appears on the open page."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import PHONE, Open, Portal

SOON_MS = 30_000
# How many pixels of the plot have the colour of the first line, give or take smoothing.
INK = """
() => {
  const canvas = document.querySelector('.plot').querySelector('canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const probe = document.createElement('span');
  probe.style.color = 'var(--series-1)';
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const distance = Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b);
    if (data[i + 3] > 200 && distance < 30) count++;
  }
  return count;
}
"""

# The stream tells of a reading.
READ = """
(adapter) => document.dispatchEvent(new CustomEvent("live-changes", { detail: [{ kind: "reading", adapter }] }))
"""
HEARD = """
() => {
  window.heard = new Promise((done) => document.addEventListener("live-changes", () => done(true), { once: true }));
}
"""
# An answer of the server that was none.
TROUBLE = """
() => {
  const detail = { elt: document.getElementById("overview"), xhr: { status: 503, getResponseHeader: () => null } };
  for (const name of ["htmx:beforeRequest", "htmx:afterRequest"]) {
    document.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
"""
LATE_MS = 120_000  # what a busy machine counts slowly serves for a minute before the page asks once more


class Gate:
    """Holds the streams of a page back until it is opened."""

    def __init__(self) -> None:
        self._held: list[Route] = []
        self._opened = False

    def before(self, page: Page) -> None:
        page.route("**/live/", self._arrived)

    def _arrived(self, route: Route) -> None:
        if self._opened:
            route.continue_()
        else:
            self._held.append(route)

    def open(self) -> None:
        self._opened = True
        for route in self._held:
            route.continue_()


def drawn(page: Page) -> int:
    """How many pixels of the first chart have ink: a page has two, and the second one may be drawn first."""
    page.locator(".plot").first.locator("canvas").wait_for()
    return int(page.evaluate(INK))


def quiet(portal: Portal, window: Open, path: str = "/") -> Page:
    """An open page that has missed nothing, and so asks for nothing."""
    portal.stage("stage.told_long_ago", portal.rows["adapter"])
    page = window(path)
    expect(page.locator(".live")).to_have_text("live")
    return page


def news(page: Page, portal: Portal) -> None:
    """The page's clock stands still, and it has heard of something new."""
    page.evaluate(HEARD)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    portal.stage("stage.tell", portal.rows["adapter"])
    page.evaluate("() => window.heard")


def test_the_chart_of_an_adapter_is_drawn_in_every_range_and_view(portal: Portal, window: Open) -> None:
    page = window(f"/adapters/{portal.rows['adapter']}/")
    chart = page.locator("[data-chart]").first
    assert drawn(page) > 300
    for name in ("Week", "Month", "Day", "Counter", "Flow"):
        with page.expect_response("**/series/**"):
            chart.get_by_role("button", name=name, exact=True).click()
        expect(chart.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
        expect(chart.locator(".plot[aria-busy]")).to_have_count(0)
        assert drawn(page) > 100, name
    with page.expect_response("**/series/**"):
        chart.get_by_role("button", name="Power", exact=True).click()
    expect(chart.locator("[data-views]")).to_be_hidden()
    with page.expect_response("**/series/**"):
        chart.get_by_role("button", name="Earlier").click()
    expect(chart.get_by_role("button", name="Later")).to_be_enabled()


def test_the_chart_fits_a_phone_and_a_dark_room(portal: Portal, window: Open) -> None:
    page = window(f"/adapters/{portal.rows['adapter']}/", viewport=PHONE, color_scheme="dark")
    assert drawn(page) > 100
    box = page.locator(".plot").first.locator("canvas").bounding_box()
    assert box is not None
    assert box["width"] <= PHONE["width"]


def test_the_chart_can_be_read_by_keyboard_and_as_a_table(portal: Portal, window: Open) -> None:
    page = window(f"/adapters/{portal.rows['adapter']}/")
    drawn(page)
    page.locator(".plot").first.focus()
    page.keyboard.press("End")
    expect(page.locator("#announce")).to_contain_text("Import")
    expect(page.locator("#announce")).to_contain_text(" W")
    expect(page.locator(".tip").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".tip").first).to_be_hidden()
    page.get_by_text("The same as a table").first.click()
    expect(page.locator("[data-table] tbody tr").first).to_be_visible()


def test_a_reading_appears_on_the_open_page_of_its_adapter(portal: Portal, window: Open) -> None:
    page = window(f"/adapters/{portal.rows['adapter']}/")
    expect(page.locator(".live")).to_have_text("live")
    drawn(page)
    with page.expect_response("**/series/**", timeout=SOON_MS):
        portal.stage("stage.reading", portal.rows["adapter"], 987_654_321)
    expect(page.locator("#latest")).to_contain_text("987,654.321", timeout=SOON_MS)


def test_a_chart_follows_the_first_reading_at_once_and_further_ones_at_its_pace(portal: Portal, window: Open) -> None:
    page = quiet(portal, window, f"/adapters/{portal.rows['adapter']}/")
    drawn(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/series/" in request.url else None)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    with page.expect_response("**/series/**"):
        page.evaluate(READ, portal.rows["adapter"])
        page.clock.run_for(10)
    page.evaluate(READ, portal.rows["adapter"])
    page.clock.run_for(2_900)
    assert len(asked) == 1
    with page.expect_response("**/series/**"):
        page.clock.run_for(200)


def test_a_chart_in_which_somebody_reads_follows_when_they_have_read(portal: Portal, window: Open) -> None:
    page = quiet(portal, window, f"/adapters/{portal.rows['adapter']}/")
    drawn(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/series/" in request.url else None)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    page.locator(".plot").first.focus()
    page.keyboard.press("End")
    page.evaluate(READ, portal.rows["adapter"])
    page.clock.run_for(60_000)
    assert asked == []
    expect(page.locator(".tip").first).to_be_visible()
    with page.expect_response("**/series/**"):
        page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.clock.run_for(60_000)
    assert len(asked) == 1


def test_who_has_heard_of_something_newer_than_the_counts_asks_once_more(portal: Portal, window: Open) -> None:
    page = quiet(portal, window)
    ages, asked = ["100", "0.01"], []

    def counted(route: Route) -> None:
        headers = {"X-Facts-Age": ages[len(asked)], "X-Facts-Again": "40", "Content-Type": "text/html"}
        asked.append(route.request.url)
        route.fulfill(body=f"<p>counted {len(asked)}</p>", headers=headers)

    page.route(lambda url: url == f"{portal.url}/", counted)
    news(page, portal)
    page.clock.run_for(2_100)
    expect(page.locator("#overview")).to_have_text("counted 1")
    page.clock.run_for(39_000)
    assert len(asked) == 1
    page.clock.run_for(1_100)
    expect(page.locator("#overview")).to_have_text("counted 2")
    page.clock.run_for(300_000)
    assert len(asked) == 2


def test_counts_whose_answer_was_long_on_its_way_are_not_taken_for_newer_than_they_are(
    portal: Portal, window: Open
) -> None:
    page = quiet(portal, window)
    routes: list[Route] = []
    page.route(lambda url: url == f"{portal.url}/", lambda route: routes.append(route))
    news(page, portal)
    for number, age in ((1, "3"), (2, "0.01")):
        with page.expect_request(f"{portal.url}/"):
            page.clock.run_for(2_100)
        page.clock.run_for(5_000)
        headers = {"X-Facts-Age": age, "X-Facts-Again": "1", "Content-Type": "text/html"}
        routes.pop().fulfill(body=f"<p>counted {number}</p>", headers=headers)
        expect(page.locator("#overview")).to_have_text(f"counted {number}")
    page.clock.run_for(300_000)
    assert routes == []


def test_a_part_is_asked_for_again_after_an_answer_that_was_none_and_after_somebody_has_read_in_it(
    portal: Portal, window: Open
) -> None:
    page = quiet(portal, window)
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(body="<details><summary>More</summary>counted</details>", content_type="text/html")

    page.route(lambda url: url == f"{portal.url}/", answer)
    news(page, portal)
    page.clock.run_for(2_100)
    page.locator("#overview summary").click()
    page.evaluate(TROUBLE)
    page.clock.run_for(60_000)
    assert len(asked) == 1, "not while it is open"
    page.locator("#overview summary").click()
    with page.expect_response(f"{portal.url}/"):
        page.clock.run_for(2_100)
    page.clock.run_for(60_000)
    assert len(asked) == 2


def test_what_was_told_between_a_page_and_its_stream_appears(portal: Portal, window: Open) -> None:
    gate = Gate()
    page = window(f"/adapters/{portal.rows['adapter']}/", before=gate.before)
    drawn(page)
    portal.stage("stage.reading", portal.rows["adapter"], 987_655_432)
    expect(page.locator(".live")).to_have_text("reconnecting")
    gate.open()
    expect(page.locator("#latest")).to_contain_text("987,655.432", timeout=SOON_MS)


def test_a_page_that_missed_nothing_is_not_fetched_again(portal: Portal, window: Open) -> None:
    portal.stage("stage.told_long_ago", portal.rows["adapter"])
    gate = Gate()
    page = window("/", before=gate.before)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    gate.open()
    expect(page.locator(".live")).to_have_text("live")
    page.clock.run_for(10_000)
    assert f"{portal.url}/" not in asked


def test_what_was_told_while_one_stream_gave_way_to_the_next_is_fetched(portal: Portal, window: Open) -> None:
    portal.stage("stage.told_long_ago", portal.rows["adapter"])
    streams = iter(['event: hello\ndata: {"last": 0}\n\nevent: bye\ndata: {}\n\n'])

    def stream(route: Route) -> None:
        body = next(streams, None)
        route.continue_() if body is None else route.fulfill(body=body, content_type="text/event-stream")

    answered: list[str] = []

    def before(page: Page) -> None:
        page.route("**/live/", stream)
        page.on("response", lambda answer: answered.append(answer.url))

    page = window("/", before=before)
    if answered.count(f"{portal.url}/") < 2:  # the page itself is one
        page.wait_for_event("response", lambda answer: answer.url == f"{portal.url}/", timeout=SOON_MS)
    expect(page.locator(".live")).to_have_text("live")


@pytest.mark.timeout(300)
def test_a_list_and_the_overview_follow_silence_and_return(portal: Portal, window: Open) -> None:
    adapter = portal.rows["silent"]
    overview = window("/")
    listed = window("/adapters/")
    for page in (overview, listed):
        expect(page.locator(".live")).to_have_text("live")
    row = listed.locator(f'tr[data-adapter="{adapter}"]')
    expect(row.locator(".st")).to_have_text("silent")
    portal.stage("stage.reading", adapter, 1000)
    expect(row.locator(".st")).to_have_text("on time", timeout=SOON_MS)
    expect(overview.locator(".tile").first).to_contain_text("3 of 3", timeout=LATE_MS)
    portal.stage("stage.silence", adapter)
    expect(overview.locator(".tile").first).to_contain_text("2 of 3", timeout=LATE_MS)
    expect(row.locator(".st")).to_have_text("silent", timeout=SOON_MS)


def test_a_lost_connection_is_said_and_found_again(portal: Portal, window: Open) -> None:
    page = quiet(portal, window)
    portal.cache.kill()
    expect(page.locator(".live")).to_have_text("reconnecting", timeout=SOON_MS)
    with page.expect_response(f"{portal.url}/", timeout=SOON_MS):  # something may have been told meanwhile
        portal.cache.start()
    expect(page.locator(".live")).to_have_text("live", timeout=SOON_MS)
