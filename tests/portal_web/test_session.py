"""Login, logout, language, appearance, and the organisation to work in."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from portal.web import throttle
from provisioning.accounts.models import Role, User
from provisioning.accounts.services import add_member
from tests.cast import STAGE, Cast

Browse = Callable[[User | None], Client]
PASSWORD = "a long and quiet password"


@pytest.fixture
def erika(cast: Cast) -> User:
    member = add_member(STAGE, cast.organisation, "Erika@Example.org", Role.OPERATOR, password=PASSWORD)
    return member.user


def log_in(client: Client, email: str = "erika@example.org", password: str = PASSWORD, **more: str) -> object:
    return client.post(reverse("login"), {"email": email, "password": password, **more})


@pytest.mark.parametrize("email", ["erika@example.org", "ERIKA@example.ORG"])
def test_the_case_of_the_email_does_not_matter(email: str, erika: User, browse: Browse) -> None:
    answer = log_in(browse(None), email)
    assert answer.status_code == 302  # type: ignore[attr-defined]
    assert answer.headers["Location"] == "/"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("email", "password"), [("erika@example.org", "wrong"), ("nobody@example.org", PASSWORD)])
def test_a_wrong_password_and_an_unknown_email_look_alike(
    email: str, password: str, erika: User, browse: Browse
) -> None:
    answer = log_in(browse(None), email, password)
    assert "Email and password do not fit together" in answer.content.decode()  # type: ignore[attr-defined]


def test_guessing_is_slowed_down_per_account(erika: User, browse: Browse) -> None:
    client = browse(None)
    for _ in range(throttle.MAX_PER_ACCOUNT):
        log_in(client, password="wrong")
    answer = log_in(client)
    assert answer.status_code == 429  # type: ignore[attr-defined]
    assert "Wait five minutes" in answer.content.decode()  # type: ignore[attr-defined]


def test_guessing_is_slowed_down_per_address(erika: User, browse: Browse) -> None:
    client = browse(None)
    for number in range(throttle.MAX_PER_ADDRESS):
        log_in(client, f"somebody{number}@example.org")
    assert log_in(client).status_code == 429  # type: ignore[attr-defined]


def test_a_success_forgets_the_failures_of_the_account(erika: User, browse: Browse) -> None:
    for _ in range(3):
        client = browse(None)
        for _ in range(throttle.MAX_PER_ACCOUNT - 1):
            log_in(client, password="wrong")
        assert log_in(client).status_code == 302  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example", ""]
)
def test_the_login_leads_to_no_other_site(target: str, erika: User, browse: Browse) -> None:
    answer = log_in(browse(None), next=target)
    assert answer.headers["Location"] == "/"  # type: ignore[attr-defined]


def test_the_login_leads_on_to_where_one_wanted_to_go(erika: User, browse: Browse) -> None:
    client = browse(None)
    sent = client.get("/adapters/?state=silent").headers["Location"]
    assert client.get(sent).context["next"] == "/adapters/?state=silent"
    assert log_in(client, next="/adapters/?state=silent").headers["Location"] == "/adapters/?state=silent"  # type: ignore[attr-defined]


def test_logging_out_ends_the_session(erika: User, browse: Browse) -> None:
    client = browse(erika)
    client.post(reverse("logout"))
    assert client.get("/").status_code == 302


def test_the_language_is_kept_for_the_account_and_for_the_browser(erika: User, browse: Browse) -> None:
    client = browse(erika)
    client.post(reverse("language"), {"language": "de", "next": "/account/"})
    erika.refresh_from_db()
    assert erika.language == "de"
    page = client.get("/account/").content.decode()
    assert '<html lang="de"' in page
    assert "Sprache und Aussehen" in page
    fresh = browse(None)
    assert 'lang="de"' in fresh.get(log_in(fresh).headers["Location"]).content.decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", ["fr", "", "de\r\nX: y", "../../etc"])
def test_a_language_that_is_not_offered_changes_nothing(code: str, browse: Browse) -> None:
    answer = browse(None).post(reverse("language"), {"language": code})
    assert "django_language" not in answer.cookies


def test_theme_and_password_are_changed_on_the_account_page(erika: User, browse: Browse) -> None:
    client = browse(erika)
    client.post(reverse("account"), {"form": "preferences", "language": "en", "theme": "dark"})
    assert 'data-theme="dark"' in client.get("/").content.decode()
    new = "another quite long password"
    data = {"form": "password", "old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post(reverse("account"), data).status_code == 302
    assert client.get("/").status_code == 200, "this session goes on"
    assert log_in(browse(None), password=new).status_code == 302  # type: ignore[attr-defined]


def test_a_weak_password_is_refused_with_the_reason(erika: User, browse: Browse) -> None:
    data = {"form": "password", "old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert "too short" in browse(erika).post(reverse("account"), data).content.decode()


def test_one_changes_between_one_s_organisations_and_to_no_other(erika: User, cast: Cast, browse: Browse) -> None:
    client = browse(erika)
    other = cast.away.organisation
    assert client.post(reverse("choose", args=[other.pk])).status_code == 404
    add_member(STAGE, other, erika.email, Role.VIEWER)
    assert "Change organisation" in client.get("/").content.decode()
    client.post(reverse("choose", args=[other.pk]))
    assert client.get("/").context["shell"].organisation == other
    assert other.name in client.get(reverse("organisations")).content.decode()


@pytest.mark.parametrize(("url", "status"), [("/nowhere", 404), ("/adapters/99999999/", 404), ("/adapters/x/", 404)])
def test_an_error_page_says_what_to_do(url: str, status: int, erika: User, browse: Browse) -> None:
    answer = browse(erika).get(url)
    assert answer.status_code == status
    assert "There is nothing here" in answer.content.decode()
    assert "To the overview" in answer.content.decode()


def test_a_forbidden_page_says_whom_to_ask(cast: Cast, browse: Browse) -> None:
    answer = browse(cast.viewer).get(reverse("audit"))
    assert answer.status_code == 403
    assert "Ask an administrator" in answer.content.decode()
