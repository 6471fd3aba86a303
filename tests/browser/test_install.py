"""The installer's app without a camera: typed, by reader, by tag, by photo; what comes out; for everybody."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import camera
from tests.browser.axe import WIDE, barriers, needs_axe
from tests.browser.cellar import Phone, Stage, meter_number, phone
from tests.browser.conftest import DESKTOP, INSECURE_HOST, PHONE, Portal, logged_in
from tests.browser.install_stage import EMAIL, OPERATOR

CASES = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "scans.json").read_text())
# A tag that is tapped when the test says so, as Chrome on Android would hand it over.
NFC = """
window.NDEFReader = class extends EventTarget {
  async scan() { window.tapped = (text) => {
    const event = new Event("reading");
    const data = new TextEncoder().encode(text);
    event.message = { records: [{ recordType: "text", encoding: "utf-8", lang: "en", data }] };
    this.dispatchEvent(event);
  }; }
};
"""
Take = Callable[..., Phone]


@pytest.fixture
def take(portal: Portal, chromium: Browser, installer: dict[str, Any]) -> Iterator[Take]:
    """Takes a phone out of the pocket, with the app open."""
    with ExitStack() as pockets:

        def taken(path: str = "/install/", script: str = "", **options: Any) -> Phone:
            held = pockets.enter_context(phone(chromium, portal, options.pop("session", installer), **options))
            if script:
                held.page.context.add_init_script(script)
            return held.open(path)

        yield taken


def test_the_shared_cases_name_every_scan_alike(take: Take) -> None:
    answers = take().page.evaluate(
        "async (cases) => { const { classify } = await import('/static/install/classify.js');"
        " return cases.map((one) => classify(one.raw)); }",
        CASES,
    )
    for case, answer in zip(CASES, answers, strict=True):
        wanted = {"kind": case["kind"], "code": case["code"], **case.get("want", {})}
        assert {name: answer[name] for name in wanted} == wanted, case["name"]


def test_a_tap_on_the_site_counts_though_the_portal_answers_in_the_same_moment(take: Take) -> None:
    steps = take().page.evaluate(
        "async () => { const flow = await import('/static/install/flow.js');"
        " const tapped = flow.workAt({ id: 1, name: 'Lindenweg 8' }), answered = flow.takeUp();"
        " await tapped; const step = flow.next(); await answered; return [step, flow.next()]; }"
    )
    assert steps == ["#/adapter", "#/adapter"]


def test_typed_scans_pair_and_the_live_list_follows_to_the_first_reading(stage: Stage, take: Take) -> None:
    held, adapter, meter = take(), stage.label(), meter_number()
    held.install(adapter["text"], meter, value="56841,0", note="cellar left")
    expect(held.station("paired")).to_have_class("done")
    expect(held.station("informed")).to_have_attribute("aria-current", "step")
    stage.reach(adapter["dev_eui"], "joined")
    expect(held.station("joined")).to_contain_text("−87 dBm")
    expect(held.station("joined").locator("time")).to_have_text("+ 6 s")
    stage.reach(adapter["dev_eui"], "match", "56841020")
    result = held.page.get_by_role("region", name="First reading", exact=True)
    expect(result).to_contain_text("56,841.02 kWh")
    expect(result).to_contain_text("They agree.")
    expect(held.page.locator(".head-line")).to_contain_text("right meter")
    held.page.get_by_role("link", name="Back").click()
    expect(held.page.locator(".item").first).to_contain_text("right meter")


def test_a_meter_that_tells_nothing_is_compared_by_eye(stage: Stage, take: Take) -> None:
    held, adapter = take(), stage.label()
    held.install(adapter["text"], meter_number())
    stage.reach(adapter["dev_eui"], "unreadable", "1234567")
    expect(held.page.get_by_role("heading", name="Does the display show this?")).to_be_visible()
    held.page.get_by_role("button", name="No", exact=True).click()
    expect(held.page.get_by_text("call your operator before you leave")).to_be_visible()
    held.page.get_by_role("button", name="Yes").click()
    expect(held.page.locator(".head-line")).to_contain_text("right meter")


def test_the_wrong_meter_is_named_with_what_to_do(stage: Stage, take: Take) -> None:
    held, adapter = take(), stage.label()
    held.install(adapter["text"], meter_number())
    stage.reach(adapter["dev_eui"], "mismatch")
    part = held.page.get_by_role("region", name="This is another meter")
    expect(part).to_contain_text("1 ESY 11 0000 4711")
    expect(part).to_contain_text("call your operator")
    expect(held.station("identity")).to_have_class("fail")


def test_an_operator_settles_the_wrong_meter_on_the_spot(
    portal: Portal, stage: Stage, chromium: Browser, take: Take
) -> None:
    held, adapter = take(session=logged_in(chromium, portal, OPERATOR)), stage.label()
    held.install(adapter["dev_eui"], meter_number())
    stage.reach(adapter["dev_eui"], "mismatch")
    held.page.get_by_role("button", name="I moved the adapter: read again").click()
    held.page.get_by_role("dialog").get_by_role("button", name="I moved the adapter: read again").click()
    expect(held.page.get_by_role("region", name="This is another meter")).to_have_count(0)
    expect(held.station("identity")).not_to_have_class("fail")


def test_the_result_finds_a_person_who_went_on(stage: Stage, take: Take) -> None:
    held, adapter, meter = take(), stage.label(), meter_number()
    held.install(adapter["text"], meter)
    held.main.click()
    held.on_screen("adapter")
    stage.reach(adapter["dev_eui"], "match", "1000")
    line = held.page.locator(".toast")
    expect(line).to_contain_text("right meter")
    line.click()
    held.on_screen("installation")


def test_what_is_wrong_is_said_while_one_types(take: Take) -> None:
    held = take()
    held.begin()
    held.page.locator("#code").fill("1 EMH 00 1234 5678")
    expect(held.page.locator("#why")).to_have_text("This is the meter's barcode; scan the adapter first.")
    held.page.locator("#code").fill("LW:D0:70B3D57ED0000001:70B3D57ED0061234:FFFF0001:C0000")
    expect(held.page.locator("#why")).to_contain_text("checksum")
    held.type("1EMH0012345678")
    expect(held.page.get_by_role("alert")).to_contain_text("scan the adapter first")
    held.type("LW:D0:70B3D57ED0000001:70B3D57ED0061234:FFFF0001:CB53A")
    held.on_screen("meter")
    for text, said in (
        ("1 emh 00 12", "8 of 14 characters"),
        ("1 EMH 00 12X", "Place 9 is a digit, not X."),
        ("3", "not with 3"),
        ("1 EMH 00 1234 567O", "1 EMH 00 1234 5670"),
        ("1 emh 00 1234 5678", "Looks right: 1 EMH 00 1234 5678"),
    ):
        held.page.locator("#code").fill(text)
        expect(held.page.locator("#why")).to_contain_text(said)


def test_a_refused_scan_is_corrected_and_sent_again(stage: Stage, take: Take) -> None:
    held, adapter, meter = take(), stage.label(), meter_number()
    held.install("LW:D0:70B3D57ED0000001:70B3D57ED0061234:FFFF0001:OAAAQEAYEAUDAOCAJBIFQYDIOB4:S26110042:C69AE", meter)
    expect(held.page.get_by_text("not registered in your organisation")).to_be_visible()
    held.page.get_by_role("button", name="Correct it").click()
    held.on_screen("adapter")
    held.type(adapter["text"])
    held.on_screen("details")
    held.main.click()
    expect(held.station("paired")).to_have_class("done")


# As quick as a reader's keys, however busy the machine is.
READER = """(text) => [...text, "Enter"].forEach((key) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })))"""


def test_a_reader_that_types_works_wherever_the_focus_is(stage: Stage, take: Take) -> None:
    held, adapter = take(), stage.label()
    held.begin()
    held.page.locator("h1").focus()
    held.page.evaluate(READER, adapter["text"])
    held.on_screen("meter")
    held.page.get_by_role("button", name="Photo").focus()
    held.page.evaluate(READER, "1 EMH 00 9999 0001")
    held.on_screen("details")


def test_a_tag_is_tapped(stage: Stage, take: Take) -> None:
    held, adapter = take(script=NFC), stage.label()
    held.begin()
    held.page.get_by_role("button", name="NFC").click()
    expect(held.page.get_by_role("alert")).to_contain_text("Hold the phone's back")
    held.page.evaluate("tapped('1EMH0012345678')")
    expect(held.page.get_by_role("alert")).to_contain_text("scan the adapter first")
    held.page.evaluate("(text) => tapped(text)", adapter["text"])
    held.on_screen("meter")


@pytest.mark.parametrize("kind", ["Code128", "DataMatrix", "QRCode"])
def test_photos_are_read(kind: str, stage: Stage, take: Take, tmp_path: Path) -> None:
    held, adapter, path = take(), stage.label(), tmp_path / "photo.png"
    held.begin()
    files = held.page.locator("input[type=file]")
    camera.scene(camera.barcode("hello"), camera.Held()).crop((0, 0, 9, 9)).save(path)
    files.set_input_files(path)
    expect(held.page.get_by_role("alert")).to_contain_text("No code is seen in this photo")
    camera.scene(camera.printed(adapter["svg"]), camera.Held(degrees=12)).save(path)
    files.set_input_files(path)
    held.on_screen("meter")
    camera.scene(camera.barcode("1EMH0012345678", kind), camera.Held(height=200)).save(path)
    files.set_input_files(path)
    held.on_screen("details")
    expect(held.page.locator(".pairs")).to_contain_text("1 EMH 00 1234 5678")


def test_a_photo_of_the_meter_goes_after_the_pairing(stage: Stage, take: Take, tmp_path: Path) -> None:
    held, adapter, path = take(), stage.label(), tmp_path / "photo.png"
    camera.scene(camera.barcode("1EMH0012345678"), camera.Held()).save(path)
    held.begin()
    held.type(adapter["text"])
    held.on_screen("meter")
    held.type(meter_number())
    held.on_screen("details")
    held.page.locator("input[type=file]").set_input_files(path)
    expect(held.page.get_by_role("img", name="Photo of the meter")).to_be_visible()
    with held.page.expect_response(lambda answer: answer.url.endswith("/photo/")) as sent:
        held.main.click()
    assert sent.value.status == 200
    expect(held.page.get_by_text("The photo is still on this phone")).to_have_count(0)


def test_without_https_the_reason_stands_beside_the_other_ways(portal: Portal, stage: Stage, chromium: Browser) -> None:
    host = portal.url.replace("127.0.0.1", INSECURE_HOST)
    context = chromium.new_context(viewport=PHONE, locale="en-GB")
    held = Phone.on(portal, context)
    held.page.goto(f"{host}/login/?next=/install/")
    held.page.get_by_label("Email").fill(EMAIL)
    held.page.get_by_label("Password").fill("a long and quiet password")
    held.page.get_by_role("button", name="Log in").click()
    held.page.locator("html[data-ready]").wait_for(state="attached")
    held.begin()
    expect(held.page.get_by_role("heading", name="No camera on this page")).to_be_visible()
    expect(held.page.get_by_text("https:// only")).to_be_visible()
    held.type(stage.label()["text"])
    held.on_screen("meter")
    held.type(meter_number())
    held.on_screen("details")
    held.main.click()
    expect(held.station("paired")).to_have_class("done")
    context.close()
    assert [said for said in held.complaints if "Cross-Origin-Opener-Policy" not in said] == []


def test_the_keyboard_alone_is_enough(stage: Stage, take: Take) -> None:
    held, adapter = take(viewport=DESKTOP), stage.label()
    keys = held.page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(20):
            keys.press("Tab")
            outline = held.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none" or held.page.evaluate("document.activeElement === document.body")
            if name in held.page.evaluate("document.activeElement.textContent + (document.activeElement.id ?? '')"):
                return
        raise AssertionError(f"{name} is not reached by the tabulator")

    tab_to("Scan an adapter")
    keys.press("Enter")
    held.on_screen("site")
    tab_to("Hafenstraße 21")
    keys.press("Space")
    held.on_screen("adapter")
    held.page.locator("#code").wait_for()
    tab_to("code")
    keys.insert_text(adapter["text"])
    keys.press("Enter")
    held.on_screen("meter")
    held.page.locator("#code").wait_for()
    tab_to("code")
    keys.insert_text(meter_number())
    keys.press("Enter")
    held.on_screen("details")
    tab_to("Pair now")
    keys.press("Enter")
    expect(held.station("paired")).to_have_class("done")


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier_and_nothing_is_too_wide(scheme: Any, stage: Stage, take: Take) -> None:
    held, adapter = take(color_scheme=scheme), stage.label()
    found: list[str] = []

    def look(name: str) -> None:
        assert held.page.evaluate(WIDE) == [], name
        found.extend(f"{name}: {barrier}" for barrier in barriers(held.page))

    look("home")
    held.main.click()
    held.on_screen("site")
    look("site")
    held.page.get_by_role("button", name="Lindenweg 8").click()
    held.page.locator(".scan[data-camera=none]").wait_for()
    look("adapter")
    held.type(adapter["text"])
    held.on_screen("meter")
    held.page.locator("#code").fill("1 EMH X")
    look("meter")
    held.type(meter_number())
    held.on_screen("details")
    look("details")
    held.main.click()
    held.station("claimed").wait_for()
    stage.reach(adapter["dev_eui"], "unreadable", "1234567")
    held.page.get_by_role("heading", name="Does the display show this?").wait_for()
    look("compare")
    stage.reach(adapter["dev_eui"], "mismatch")
    held.page.get_by_role("region", name="This is another meter").wait_for()
    look("mismatch")
    held.page.get_by_role("link", name="Back").click()
    held.on_screen("home")
    look("list")
    assert not found, "\n".join(found)


def test_a_german_is_spoken_to_in_german(take: Take) -> None:
    held = take()
    with held.page.expect_navigation():
        held.page.get_by_role("button", name="Deutsch").click()
    held.page.locator("html[lang=de][data-ready]").wait_for(state="attached")
    with held.page.expect_navigation():
        held.page.get_by_role("button", name="English").click()
    held.page.locator("html[lang=en][data-ready]").wait_for(state="attached")
