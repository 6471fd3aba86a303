"""Second factors in a real browser, whose own virtual authenticator judges the portal's passkeys."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import WIDE, barriers, needs_axe
from tests.browser.conftest import DESKTOP, PHONE, Open, Portal, watched
from tests.browser.stage import PASSWORD
from tests.support.app_codes import shown_by_app

_numbers = count(1)


@pytest.fixture
def home(portal: Portal) -> Portal:
    """The portal under a name: a passkey belongs to a domain, never to a number."""
    return replace(portal, url=portal.url.replace("127.0.0.1", "localhost"))


@pytest.fixture
def open_at_home(home: Portal, chromium: Browser) -> Iterator[Open]:
    with watched(home, chromium) as opened:
        yield opened


def somebody(home: Portal, role: str) -> str:
    """The email of a new person with that role."""
    return str(home.stage("factors_stage.person", f"Person{next(_numbers)}", role)["email"])


def with_authenticator(page: Page) -> None:
    """From now on the browser has an authenticator built in, which knows its person."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def type_password(page: Page, home: Portal, email: str) -> None:
    page.goto(f"{home.url}/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def log_out(page: Page, home: Portal) -> None:
    page.goto(f"{home.url}/account/")
    page.get_by_role("button", name="Log out").click()
    page.get_by_text("You are logged out.").wait_for()


def set_up_passkey(page: Page, name: str = "laptop") -> None:
    page.get_by_role("link", name="Set up a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the passkey").click()
    page.get_by_text("The passkey is set up.").wait_for()


def set_up_app(page: Page, home: Portal) -> str:
    """The secret that the app was given."""
    page.goto(f"{home.url}/account/factors/app/")
    page.get_by_text("The app cannot scan?").click()
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows now").fill(shown_by_app(secret, datetime.now(UTC)))
    page.get_by_role("button", name="Set it up").click()
    page.get_by_text("The app is set up.").wait_for()
    return secret


def test_a_custodian_is_led_to_a_passkey_and_logs_in_with_it_alone_from_then_on(
    home: Portal, open_at_home: Open
) -> None:
    page = open_at_home("/login/")
    with_authenticator(page)
    type_password(page, home, somebody(home, "custodian"))
    expect(page.get_by_role("alert")).to_contain_text("Key custodians need a passkey")
    page.goto(f"{home.url}/adapters/")
    expect(page).to_have_url(f"{home.url}/account/factors/")
    set_up_passkey(page)
    page.goto(f"{home.url}/adapters/")
    expect(page.get_by_role("heading", name="Adapters", exact=True)).to_be_visible()
    log_out(page, home)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_passkey_is_the_second_step_after_the_password(home: Portal, open_at_home: Open) -> None:
    page = open_at_home("/login/")
    with_authenticator(page)
    email = somebody(home, "operator")
    type_password(page, home, email)
    page.goto(f"{home.url}/account/factors/")
    set_up_passkey(page)
    log_out(page, home)
    type_password(page, home, email)
    expect(page.get_by_role("button", name="Use the passkey")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_password_and_app_and_a_recovery_code_that_serves_once(home: Portal, open_at_home: Open) -> None:
    page = open_at_home("/login/", viewport=PHONE)
    email = somebody(home, "operator")
    type_password(page, home, email)
    set_up_app(page, home)
    page.get_by_role("button", name="Make ten codes").click()
    codes = page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text().split() == codes
    for code, heading in ((codes[0], "Overview"), (codes[0], "Second factor"), (codes[1], "Overview")):
        page.context.clear_cookies()
        type_password(page, home, email)
        page.get_by_label("Code of the app, or a recovery code").fill(code)
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("heading", name=heading)).to_be_visible()


def test_a_passkey_of_another_address_is_not_there(home: Portal, open_at_home: Open) -> None:
    page = open_at_home("/login/")
    with_authenticator(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
    expect(page.get_by_role("button", name="Use a passkey")).to_be_enabled()


def test_a_question_that_does_not_come_is_told_in_words_of_the_page(home: Portal, open_at_home: Open) -> None:
    page = open_at_home("/login/")
    with_authenticator(page)
    page.route("**/login/passkey/question/", lambda route: route.fulfill(body="<html>another page</html>"))
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-trouble]")).to_have_text("No passkey was used. Try again, or log in with the password.")


def test_an_address_that_can_have_no_passkeys_says_so(portal: Portal, window: Open) -> None:
    page = window("/login/", logged_in=False)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("Try again, or log in with the password.")
    plain = window("/login/", logged_in=False, java_script_enabled=False)
    expect(plain.get_by_role("button", name="Use a passkey")).to_be_disabled()


def test_a_custodian_approves_with_a_fresh_passkey(home: Portal, open_at_home: Open) -> None:
    page = open_at_home("/login/")
    with_authenticator(page)
    email = somebody(home, "custodian")
    type_password(page, home, email)
    set_up_passkey(page)
    asked = home.stage("factors_stage.ask", somebody(home, "custodian"))["approval"]
    page.goto(home.url)
    expect(page.get_by_role("link", name=re.compile("Approvals"))).to_contain_text("1")
    home.stage("factors_stage.age", email, 6)
    page.goto(f"{home.url}/approvals/")
    page.get_by_role("link", name="Look at it: Reveal the join key").click()
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    page.get_by_role("button", name="Use the passkey").click()
    expect(page).to_have_url(f"{home.url}/approvals/{asked}/")
    home.stage("factors_stage.age", email, 6)
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()
    page.get_by_role("button", name="Use the passkey").click()
    expect(page.get_by_text("decide once more")).to_be_visible()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Approved. Who asked may use it within one hour.")).to_be_visible()


@needs_axe
def test_no_barrier_nothing_sideways_and_nothing_that_the_policy_forbids(home: Portal, open_at_home: Open) -> None:
    page = open_at_home("/login/")
    with_authenticator(page)
    email = somebody(home, "custodian")
    type_password(page, home, email)
    looked_at(page, "to be set up")
    set_up_passkey(page)
    set_up_app(page, home)
    asked = home.stage("factors_stage.ask", email)["approval"]
    other = home.stage("factors_stage.ask", somebody(home, "custodian"))["approval"]
    pages = ["/account/factors/", "/account/factors/passkey/", "/account/factors/codes/", "/approvals/"]
    pages += [f"/approvals/{asked}/", f"/approvals/{other}/", "/account/factors/verify/"]
    for path in pages:
        page.goto(home.url + path)
        looked_at(page, path)
        page.context.add_cookies([{"name": "django_language", "value": "de", "url": home.url}])
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        page.reload()
        assert page.evaluate(WIDE) == [], f"{path} in German"
        page.context.add_cookies([{"name": "django_language", "value": "en", "url": home.url}])
    page.goto(f"{home.url}/account/factors/codes/")
    page.get_by_role("button", name="Make ten codes").click()
    looked_at(page, "codes")
    page.goto(f"{home.url}/account/factors/")
    page.get_by_role("link", name="Remove laptop").click()
    looked_at(page, "remove")
    page.context.clear_cookies()
    page.goto(f"{home.url}/login/")
    looked_at(page, "login")
    type_password(page, home, email)
    page.get_by_role("heading", name="Second factor").wait_for()
    looked_at(page, "second step")


def looked_at(page: Page, name: str) -> None:
    """On a desk and on a phone, by day and by night."""
    page.locator("#main").wait_for()
    for viewport, scheme in ((DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate(WIDE) == [], name
        assert barriers(page) == [], f"{name} {scheme}"
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
