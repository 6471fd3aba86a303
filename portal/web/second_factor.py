"""Who has proved what in this session, and how recently; who is led to setting up a second factor first."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode, urlsplit

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from portal.web.access import PageRequest, access_of
from provisioning.accounts import factors, freshness
from provisioning.accounts.factors import Kind
from provisioning.accounts.passkeys import Party

P = ParamSpec("P")
View = Callable[Concatenate[PageRequest, P], HttpResponseBase]

# What somebody reaches who still has to set up a second factor, or to show it.
_REACHABLE = {
    "account-factors",
    "factor-passkey-new",
    "factor-app-new",
    "factor-codes",
    "factor-verify",
    "logout",
    "language",
    "login",
}


def mark(session: SessionBase, kind: Kind) -> None:
    """Note that the person behind `session` has just shown `kind`."""
    freshness.mark(session, kind, timezone.now())


def fresh(request: HttpRequest, accepted: frozenset[Kind]) -> bool:
    """Whether one of `accepted` was shown in this session in the last five minutes."""
    return freshness.is_fresh(request.session, accepted, timezone.now())


def needed(request: PageRequest) -> frozenset[Kind]:
    """What counts before a deed with keys: a custodian's passkey; otherwise what the person has."""
    return factors.for_keys(request.access.user, request.access.roles)


def ask_again(request: HttpRequest, purpose: str = "") -> HttpResponseBase:
    """Lead to showing the second factor, and from there back to the page, never to a deed."""
    query = {"next": _way_back(request), "for": purpose, "unsent": "" if request.method in {"GET", "HEAD"} else "1"}
    where = f"{reverse('factor-verify')}?{urlencode({name: value for name, value in query.items() if value})}"
    return _lead(request, where, _("Show your second factor again: load the page anew."))


def fresh_factor(view: View[P]) -> View[P]:
    """Under `@page(...)`: asks for the second factor when it is older than five minutes, then goes on where one was.

    What was about to be sent is not sent: the page comes back, and the person decides again.
    """
    return _guarded(view, needed, "")


def fresh_for_factors(view: View[P]) -> View[P]:
    """Like `fresh_factor`, for changing factors: a recovery code serves whoever has lost the passkey."""
    return _guarded(view, lambda request: factors.for_changes(request.access.user), "factors")


def party_of(request: HttpRequest) -> Party:
    """This portal under the name that the browser uses."""
    host = request.get_host()
    domain = urlsplit(f"//{host}").hostname or host
    return Party(domain, f"{request.scheme}://{host}")


class Demand(MiddlewareMixin):
    """Leads those who must have a second factor to setting one up, before any other page, script or call."""

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponseBase | None:
        """None, or the way to what is missing; `request.led` then tells the frame that nothing else is open."""
        access = access_of(request) if request.user.is_authenticated else None
        if access is None or not factors.demanded(access.roles):
            return None
        if factors.missing(access.user, access.roles):
            where, sentence = reverse("account-factors"), _("Set up a second factor first: open your account.")
        elif freshness.shown(request.session) <= {Kind.PASSWORD}:
            where = f"{reverse('factor-verify')}?{urlencode({'next': _way_back(request)})}"
            sentence = _("Show your second factor first: open your account.")
        else:
            return None
        request.led = True  # type: ignore[attr-defined]
        match = request.resolver_match
        return None if match is not None and match.url_name in _REACHABLE else _lead(request, where, sentence)


def _guarded(view: View[P], accepted: Callable[[PageRequest], frozenset[Kind]], purpose: str) -> View[P]:
    @wraps(view)
    def asked(request: PageRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if fresh(request, accepted(request)):
            return view(request, *args, **kwargs)
        return ask_again(request, purpose)

    return asked


def _way_back(request: HttpRequest) -> str:
    """The page to return to; for something that was about to be sent, the page it was sent from."""
    if request.method in {"GET", "HEAD"} and not request.headers.get("HX-Request"):
        return request.get_full_path()
    came_from = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure()):
        page = urlsplit(came_from)
        return f"{page.path}?{page.query}" if page.query else page.path
    return request.path


def _lead(request: HttpRequest, where: str, sentence: str) -> HttpResponseBase:
    if request.headers.get("HX-Request"):
        answer = HttpResponse(status=401)
        answer["HX-Redirect"] = where
        return answer
    if request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", "text/html"):
        return JsonResponse({"code": "second_factor", "message": sentence}, status=403)
    return redirect(where)
