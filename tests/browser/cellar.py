"""An installer at work: pages of /install that are watched for complaints, and the words of their flow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import PHONE, Portal

# What a browser says by itself without network or where the test wants a refusal; everything else is a complaint.
EXPECTED = (
    "ERR_INTERNET_DISCONNECTED",
    "status of 401",
    "status of 404",
    "status of 409",
    "status of 400",
    "status of 503",
)
READY = "html[data-ready]"
SETTLED = ".scan[data-camera]:not([data-camera=asking], [data-camera=loading])"
WATCH_POLICY = """
addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
"""
_meters = count(1)


def meter_number() -> str:
    """Of a meter that no other test uses."""
    return f"1EMH00{next(_meters):08d}"


class Stage:
    """tests.browser.install_stage, behind one portal."""

    def __init__(self, portal: Portal) -> None:
        self._backstage = portal.stage
        rows = self.ask("seed")
        self.sites: list[int] = rows["sites"]
        self._labels = iter(rows["labels"])

    def ask(self, command: str, *arguments: object) -> dict[str, Any]:
        return self._backstage(f"install_stage.{command}", *arguments)

    def label(self) -> dict[str, str]:
        """Of an adapter that no other test uses: dev_eui, text and svg."""
        return next(self._labels)

    def reach(self, dev_eui: str, outcome: str, value: str = "") -> None:
        """Let the bridge record what the adapter has come to."""
        self.ask("reach", dev_eui, outcome, value)


@dataclass
class Phone:
    """A page of the app with the gestures of its flow."""

    portal: Portal
    page: Page
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, portal: Portal, context: BrowserContext) -> "Phone":
        context.add_init_script(WATCH_POLICY)
        phone = cls(portal, context.new_page())
        phone.page.on("console", lambda said: phone._listen(said.type, said.text))
        phone.page.on("pageerror", lambda error: phone._listen("error", f"script: {error}"))
        return phone

    def _listen(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(known in text for known in EXPECTED):
            self.complaints.append(f"{kind}: {text}")

    def open(self, path: str = "/install/", host: str = "") -> "Phone":
        """Load the app and wait until it has started."""
        self.page.goto((host or self.portal.url) + path)
        self.page.locator(READY).wait_for(state="attached")
        return self

    @property
    def main(self) -> Locator:
        """The button at the thumb."""
        return self.page.locator("#bar .btn.main")

    def begin(self, site: str = "Lindenweg 8") -> None:
        """To the scan of the adapter; the site only where it is asked for."""
        self.main.click()
        self.on_screen("site", "adapter")
        if self.page.locator("body[data-screen=site]").count():
            self.page.get_by_role("button", name=site).click()
        self.on_screen("adapter")

    def on_screen(self, *names: str) -> None:
        expect(self.page.locator(", ".join(f"body[data-screen={name}]" for name in names))).to_have_count(1)

    def type(self, text: str) -> None:
        """By the field, which is there at once where there is no camera."""
        field = self.page.locator("#code")
        self.page.locator(SETTLED).wait_for()
        if not field.is_visible():
            self.page.get_by_role("button", name="Type it instead").click()
        field.fill(text)
        field.press("Enter")

    def install(self, text: str, meter: str, answered: bool = True, **details: str) -> None:
        """The whole flow, typed, up to the portal's answer."""
        self.begin()
        self.type(text)
        self.on_screen("meter")
        self.type(meter)
        self.on_screen("details")
        for name, value in details.items():
            self.page.locator(f"#{name}").fill(value)
        self.main.click()
        self.on_screen("installation")
        if answered:
            self.page.locator("[data-step=claimed], #bar .btn.danger").first.wait_for()

    def station(self, name: str) -> Locator:
        return self.page.locator(f"[data-step={name}]")


@contextmanager
def phone(browser: Browser, portal: Portal, session: dict[str, Any], **options: Any) -> Iterator[Phone]:
    """A fresh phone of somebody who is logged in; fails for whatever its browser complained about."""
    context = browser.new_context(**{"viewport": PHONE, "locale": "en-GB", "storage_state": session, **options})
    held = Phone.on(portal, context)
    try:
        yield held
    finally:
        context.close()
    assert held.complaints == []
