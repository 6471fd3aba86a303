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

OPEN = {
    "login",
    "login-factor",
    "login-passkey",
    "login-question",
    "language",
    "install-worker",
    "install-manifest",
}  # for strangers too
SCRIPTS = {"install-session", "install-sites"}  # asked by scripts, who need a status and no login page
OWN = {"logout", "organisations", "choose", "live"}  # for whoever is logged in
POST_ONLY = {
    "logout",
    "language",
    "choose",
    "concentrator-approve",
    "audit-verify",
    "batch-columns",
    "batch-check",
    "batch-import",
    "batch-cancel",
    "pairing-unblock",
    "archive-restore",
    "label-file",
    "adapter-series-open",
    "login-passkey",
    "login-question",
    "approval-withdraw",
    "campaign-pause",
    "campaign-resume",
    "campaign-retry",
    "delivery-retry",
    "handover-file",
    "handover-acknowledge",
    "handover-withdraw",
}
PATTERNS: dict[str, URLPattern] = {str(p.name): p for p in urls.urlpatterns}
GUARDED = {name: p for name, p in PATTERNS.items() if name not in OPEN | OWN}
PERSONAL = {"factor-remove", "approval-withdraw"}  # the operator's own
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
        "choose": world.cast.organisation,
        "approval": world.approval,
        "approval-withdraw": world.approval,
        "concentrator-certificates": world.concentrator,
        "concentrator-slots": world.concentrator,
        "concentrator-slot-map": world.concentrator,
        "concentrator-slot-plan": world.concentrator,
        "concentrator-revoke": world.concentrator,
        "enrolment-password": world.concentrator,
        "certificate-revoke": world.certificate,
        "enrolment": world.enrolment,
        "manufacturer-remove": world.manufacturer,
    }
    if "<int:pk>" not in str(PATTERNS[name].pattern):
        return reverse(name)
    if name.startswith("batch"):
        rows[name] = world.batch
    if name.startswith("pairing"):
        rows[name] = world.blocked if name == "pairing-unblock" else world.pairing
    if name == "factor-remove":
        rows[name] = world.factor  # from then on the operator's password alone is too little for deeds with keys
    if name == "key" or name.startswith("key-"):
        rows[name] = world.key
    if name.startswith(("campaign", "schedule")):
        rows[name] = world.campaign if name.startswith("campaign") else world.schedule
    if name == "delivery-retry":
        rows[name] = world.campaign.deliveries.get(adapter=world.adapter)
    if name.startswith("handover"):
        rows[name] = world.handover
    if name == "archive-restore":
        return reverse(name, args=["adapters", world.archived.pk])
    url = reverse(name, args=[rows.get(name, world.adapter).pk])
    return f"{url}?group=energy" if name.startswith("adapter-series") else url


def ask(client: Client, name: str, url: str) -> Any:
    return client.post(url) if name in POST_ONLY else client.get(url)


def test_every_page_stands_behind_the_guard() -> None:
    for name, pattern in GUARDED.items():
        assert hasattr(pattern.callback, "action"), f"{name} is not decorated with page(...)"


def test_a_stranger_is_sent_to_the_login(world: World, browse: Browse) -> None:
    for name in GUARDED:
        answer = ask(browse(None), name, address(name, world))
        if name in SCRIPTS:
            assert answer.status_code == 401, name
            continue
        assert answer.status_code == 302, name
        assert answer.headers["Location"].startswith(reverse("login") + "?next=/"), name


@pytest.mark.parametrize("role", Role.values)
def test_the_matrix_decides_who_may_see_a_page(role: str, world: World, browse: Browse) -> None:
    world.readings([1000, 2000])
    client = browse(world.cast.home.people[role])
    for name, pattern in GUARDED.items():
        answer = ask(client, name, address(name, world))
        wanted = {pattern.callback.action, ALSO.get(name, pattern.callback.action)}
        if name == "token-revoke" and role != Role.ADMINISTRATOR:
            assert answer.status_code in (403, 404), "somebody else's token"
        elif name in PERSONAL and role != Role.OPERATOR:
            assert answer.status_code in (403, 404), f"{name}: not of {role}"
        elif all(allows(role, action) for action in wanted):
            assert answer.status_code in (200, 302), f"{name}: {role} gets {answer.status_code}"
        else:
            assert answer.status_code == 403, name


@pytest.mark.parametrize("role", Role.values)
def test_another_organisation_sees_nothing_of_this_one(role: str, world: World, browse: Browse) -> None:
    world.readings([1000, 2000])
    client = browse(world.cast.away.people[role])
    for name in GUARDED:
        answer = ask(client, name, address(name, world))
        if "<int:pk>" in str(PATTERNS[name].pattern):
            assert answer.status_code in (403, 404), f"{name}: {role} gets {answer.status_code}"
        content = body(answer)
        assert world.mark.encode() not in content, name
        assert world.adapter.dev_eui.upper().encode() not in content.upper(), name


def test_a_member_limited_to_another_site_sees_nothing_of_this_one(world: World, browse: Browse) -> None:
    elsewhere = world.cast.site("Elsewhere 1")
    member = world.cast.home.member(Role.OPERATOR)
    member.all_sites = False
    member.save()
    member.site_access.create(site=elsewhere)
    for name in set(GUARDED) - {"token-revoke", "factor-remove", "approval-withdraw"}:
        answer = ask(browse(world.cast.operator), name, address(name, world))
        if "<int:pk>" in str(PATTERNS[name].pattern):
            assert answer.status_code in (403, 404), name
        content = body(answer)
        assert world.adapter.dev_eui.upper().encode() not in content.upper(), name
        assert f"{world.mark} 7".encode() not in content, name


def test_what_changes_something_is_not_done_by_following_a_link(world: World, browse: Browse) -> None:
    for name in POST_ONLY:
        assert browse(world.cast.owner).get(address(name, world)).status_code == 405, name


def test_a_form_without_its_token_is_refused(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.cast.owner)
    for name in set(PATTERNS) - {"live"}:
        assert client.post(address(name, world), {"name": "x"}).status_code in (403, 405), name


def test_somebody_without_an_organisation_is_told_so(browse: Browse) -> None:
    user = User.objects.create_user("lonely@example.org")
    answer = browse(user).get(reverse("overview"))
    assert answer.status_code == 403
    assert "You belong to no organisation yet" in answer.content.decode()


def test_a_blocked_account_is_sent_to_the_login(world: World, browse: Browse) -> None:
    client = browse(world.cast.operator)
    User.objects.filter(pk=world.cast.operator.pk).update(is_active=False)
    assert client.get(reverse("overview")).status_code == 302
