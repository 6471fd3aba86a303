"""Every address, asked by everybody: generated from the URL configuration, so that no new page is forgotten."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from portal.web import urls
from provisioning.accounts.models import Role, User
from provisioning.accounts.permissions import allows
from tests.portal_web.world import World, body

Browse = Callable[[User | None], Client]

OPEN = {"login", "language"}  # for strangers too
OWN = {"logout", "organisations", "choose", "live"}  # for whoever is logged in
POST_ONLY = {"logout", "language", "choose", "concentrator-approve", "audit-verify"}
PATTERNS: dict[str, URLPattern] = {str(p.name): p for p in urls.urlpatterns}
GUARDED = {name: p for name, p in PATTERNS.items() if name not in OPEN | OWN}
ALSO = {"foreign-new": "keys.import"}  # asked for inside the view


def address(name: str, world: World) -> str:
    """The address of a page that shows something of the home organisation."""
    rows: dict[str, Any] = {
        "site": world.site,
        "site-edit": world.site,
        "concentrator": world.concentrator,
        "concentrator-approve": world.concentrator,
        "concentrator-password": world.concentrator,
        "token-revoke": world.token,
        "pairing-end": world.pairing,
        "choose": world.cast.organisation,
    }
    if "<int:pk>" not in str(PATTERNS[name].pattern):
        return reverse(name)
    url = reverse(name, args=[rows.get(name, world.adapter).pk])
    return f"{url}?group=energy" if name == "adapter-series" else url


def ask(client: Client, name: str, url: str) -> Any:
    return client.post(url) if name in POST_ONLY else client.get(url)


def test_every_page_stands_behind_the_guard() -> None:
    for name, pattern in GUARDED.items():
        assert hasattr(pattern.callback, "action"), f"{name} is not decorated with page(...)"


@pytest.mark.parametrize("name", GUARDED)
def test_a_stranger_is_sent_to_the_login(name: str, world: World, browse: Browse) -> None:
    url = address(name, world)
    if name in {"concentrator-approve", "audit-verify"}:
        answer = browse(None).post(url)
    else:
        answer = browse(None).get(url)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(reverse("login") + "?next=/")


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("name", GUARDED)
def test_the_matrix_decides_who_may_see_a_page(name: str, role: str, world: World, browse: Browse) -> None:
    world.readings([1000, 2000])
    client = browse(world.cast.home.people[role])
    answer = ask(client, name, address(name, world))
    allowed = allows(role, PATTERNS[name].callback.action)
    if name in ALSO:
        allowed = allowed and allows(role, ALSO[name])  # type: ignore[arg-type]
    if name == "token-revoke" and role != Role.ADMINISTRATOR:
        assert answer.status_code in (403, 404), "somebody else's token"
    elif allowed:
        assert answer.status_code in (200, 302), f"{role} gets {answer.status_code}"
    else:
        assert answer.status_code == 403


@pytest.mark.parametrize("name", GUARDED)
def test_another_organisation_sees_nothing_of_this_one(name: str, world: World, browse: Browse) -> None:
    world.readings([1000, 2000])
    for person in world.cast.away.people.values():
        answer = ask(browse(person), name, address(name, world))
        if "<int:pk>" in str(PATTERNS[name].pattern):
            assert answer.status_code in (403, 404), f"{person} gets {answer.status_code}"
        content = body(answer)
        assert world.mark.encode() not in content
        assert world.adapter.dev_eui.upper().encode() not in content.upper()


@pytest.mark.parametrize("name", GUARDED)
def test_a_member_limited_to_another_site_sees_nothing_of_this_one(name: str, world: World, browse: Browse) -> None:
    elsewhere = world.cast.site("Elsewhere 1")
    member = world.cast.home.member(Role.OPERATOR)
    member.all_sites = False
    member.save()
    member.site_access.create(site=elsewhere)
    if name in {"site-new", "audit", "audit-verify", "tokens", "token-revoke", "account"}:
        pytest.skip("no page about a place")
    answer = ask(browse(world.cast.operator), name, address(name, world))
    if "<int:pk>" in str(PATTERNS[name].pattern):
        assert answer.status_code in (403, 404)
    content = body(answer)
    assert world.adapter.dev_eui.upper().encode() not in content.upper()
    assert f"{world.mark} 7".encode() not in content


@pytest.mark.parametrize("name", sorted(POST_ONLY))
def test_what_changes_something_is_not_done_by_following_a_link(name: str, world: World, browse: Browse) -> None:
    assert browse(world.cast.owner).get(address(name, world)).status_code == 405


@pytest.mark.parametrize("name", [n for n in PATTERNS if n not in {"live", "readings-export"}])
def test_a_form_without_its_token_is_refused(name: str, world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.cast.owner)
    answer = client.post(address(name, world), {"name": "x"})
    assert answer.status_code in (403, 405)


def test_somebody_without_an_organisation_is_told_so(browse: Browse) -> None:
    user = User.objects.create_user("lonely@example.org")
    answer = browse(user).get(reverse("overview"))
    assert answer.status_code == 403
    assert "You belong to no organisation yet" in answer.content.decode()


def test_a_blocked_account_is_sent_to_the_login(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    User.objects.filter(pk=world.cast.operator.pk).update(is_active=False)
    assert client.get(reverse("overview")).status_code == 302
