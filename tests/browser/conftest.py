"""A portal served by uvicorn on a database of its own, and a headless Chromium that looks at it."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.backstage import ROOT, Backstage
from tests.browser.install_stage import EMAIL as INSTALLER
from tests.browser.stage import EMAIL, PASSWORD
from tests.support.migrated import migrated_sqlite
from tests.support.processes import Service, free_port, redis

if TYPE_CHECKING:
    from tests.browser.cellar import Stage

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
INSECURE_HOST = "portal.cellar.example"  # a name that resolves to this machine and is no secure context without TLS
ARGUMENTS += [f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1"]
START_DEADLINE_S = 30
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "MSPAN_SECRET_KEY": "only-for-tests-" + "x" * 50,
    "MSPAN_TLS": "0",
    "MSPAN_ALLOW_FILE_KEK": "1",
}
expect.set_options(timeout=20_000)  # how long to wait before a failure is one; the machine may be busy with other tests
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass
class Portal:
    """A running portal: its address, the keys of what was seeded, and a way to let something happen."""

    url: str
    cache: Service
    environment: dict[str, str]
    stage: Backstage  # has what the web workers have: no key
    rows: dict[str, Any] = field(default_factory=dict)

    def pages(self) -> dict[str, str]:
        """Every page that a person can look at."""
        rows = self.rows
        return {
            "overview": "/",
            "incidents": "/incidents/",
            "sites": "/sites/",
            "site": f"/sites/{rows['site']}/",
            "site form": f"/sites/{rows['site']}/edit/",
            "adapters": "/adapters/",
            "no adapters": "/adapters/?q=nothing",
            "adapter": f"/adapters/{rows['adapter']}/",
            "refused adapter": f"/adapters/{rows['refused']}/",
            "silent adapter": f"/adapters/{rows['silent']}/",
            "pair": f"/adapters/{rows['adapter']}/pair/",
            "unpair": f"/pairings/{rows['pairing']}/end/",
            "archive": f"/adapters/{rows['adapter']}/archive/",
            "new adapter": "/adapters/new/",
            "labels": "/labels/",
            "no labels": "/labels/?q=nothing",
            "label": f"/labels/{rows['adapter']}/",
            "new label": f"/labels/{rows['adapter']}/new/",
            "concentrators": "/concentrators/",
            "concentrator": f"/concentrators/{rows['concentrator']}/",
            "key to approve": f"/concentrators/{rows['waiting']}/",
            "password": f"/concentrators/{rows['concentrator']}/password/",
            "new concentrator": "/concentrators/new/",
            "readings": "/readings/",
            "audit": "/audit/",
            "tokens": "/tokens/",
            "revoke": f"/tokens/{rows['token']}/revoke/",
            "account": "/account/",
            "organisations": "/organisations/",
            "not found": "/nowhere/",
        }


@pytest.fixture(scope="package")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with serving(tmp_path_factory.mktemp("portal"), "stage.seed") as started:
        yield started


@contextmanager
def serving(folder: Path, seed: str, *arguments: object) -> Iterator[Portal]:
    """A portal that writes everything into `folder`, on a database that `seed`, a function of a stage, fills."""
    cache = redis()
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MSPAN_")},
        **SETTINGS,
        "MSPAN_ALLOWED_HOSTS": f"127.0.0.1,localhost,{INSECURE_HOST}",
        "MSPAN_DATA_DIR": str(folder),
        "MSPAN_DATABASE_URL": f"sqlite:///{folder / 'portal.sqlite3'}",
        "MSPAN_REDIS_URL": f"redis://127.0.0.1:{cache.port}/0",
    }
    migrated_sqlite(folder / "portal.sqlite3")
    with closing(Backstage({**environment, "MSPAN_KEK_FILE": str(folder / "kek")})) as holder:
        holder("backstage.make_kek", str(folder / "kek"))
        rows = holder(seed, *arguments)
    # From here on nobody holds the key: web workers have only what they seal with.
    environment["MSPAN_KEK_PUBLIC_FILE"] = str(folder / "kek.pub")
    environment["MSPAN_VAULT_SOCKET"] = str(folder / "vault")
    started = Portal(f"http://127.0.0.1:{port}", cache, environment, Backstage(environment), rows)
    command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "uvicorn.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--timeout-graceful-shutdown", "1"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            _wait(started.url, server, folder / "uvicorn.log")
            yield started
        finally:
            started.stage.close()
            server.terminate()
            server.wait(10)
            cache.stop()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium: apt-get install chromium")
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else ARGUMENTS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def stage(portal: Portal) -> "Stage":
    """The cellar of the installers' tests."""
    from tests.browser.cellar import Stage

    return Stage(portal)


@pytest.fixture(scope="package")
def session(portal: Portal, chromium: Browser) -> dict[str, Any]:
    """The cookies of a person who has logged in once."""
    return logged_in(chromium, portal)


@pytest.fixture(scope="package")
def installer(portal: Portal, stage: "Stage", chromium: Browser) -> dict[str, Any]:
    """The cookies of the installer of the cellar, who stays logged in."""
    return logged_in(chromium, portal, INSTALLER)


Open = Callable[..., Page]


@pytest.fixture
def window(portal: Portal, chromium: Browser, session: dict[str, Any]) -> Iterator[Open]:
    """Opens a logged-in page (`logged_in=False`: a fresh one); whatever the browser complained about fails the test."""
    with watched(portal, chromium, session) as opened:
        yield opened


@contextmanager
def watched(portal: Portal, chromium: Browser, session: dict[str, Any] | None = None) -> Iterator[Open]:
    """Opens pages and closes them again; complains of what the browser complained about."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "status of 404" not in message.text:
            complaints.append(f"{message.type}: {message.text}")

    def opened(
        path: str = "/", logged_in: bool = True, before: Callable[[Page], None] | None = None, **options: Any
    ) -> Page:
        options = {"viewport": DESKTOP, "locale": "en-GB", "storage_state": session if logged_in else None, **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        if before is not None:
            before(page)
        page.goto(portal.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def log_in(page: Page, portal: Portal, email: str = EMAIL) -> None:
    """By the form, as a person does."""
    page.goto(f"{portal.url}/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def logged_in(browser: Browser, portal: Portal, email: str = EMAIL) -> dict[str, Any]:
    """The cookies of that person, for pages of any browser."""
    context = browser.new_context()
    log_in(context.new_page(), portal, email)
    state: dict[str, Any] = dict(context.storage_state())
    context.close()
    return state


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = monotonic() + START_DEADLINE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/login/", timeout=2).close()
        except OSError:
            if server.poll() is not None or monotonic() > deadline:
                raise RuntimeError(f"the portal did not start:\n{log.read_text()[-2000:]}") from None
            sleep(0.05)
        else:
            return
