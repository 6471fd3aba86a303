"""Who asks: the membership a request acts under, and the guard in front of every page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from time import time
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django_htmx.middleware import HtmxDetails

from portal.web.shelf import Shown, watched
from provisioning.accounts.models import Membership, Organisation, User
from provisioning.accounts.permissions import Action, allows
from provisioning.accounts.session import SESSION_KEY
from provisioning.errors import Forbidden
from provisioning.fleet.models import SiteAccess

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Access:
    """A user at work in one organisation."""

    user: User
    membership: Membership
    several: bool
    roles: frozenset[str] = frozenset()  # in whichever organisation
    at: float = field(default_factory=time)  # s since 1970: what is not kept is no older

    @property
    def organisation(self) -> Organisation:
        return self.membership.organisation

    def may(self, action: Action) -> bool:
        """Whether the role allows `action`."""
        return allows(self.membership.role, action)

    def require(self, action: Action) -> None:
        """Raise PermissionDenied unless the role allows `action`."""
        if not self.may(action):
            raise PermissionDenied(action)


class PageRequest(HttpRequest):
    """A request that has passed `page`."""

    user: User
    access: Access
    htmx: HtmxDetails


def access_of(request: HttpRequest) -> Access | None:
    """The access of a request, looked up once; None for strangers and for people without an organisation."""
    if not hasattr(request, "access"):
        request.access = _look_up(request)  # type: ignore[attr-defined]
    found: Access | None = request.access  # type: ignore[attr-defined]
    return found


def reach_of(access: Access) -> tuple[int, frozenset[int] | None]:
    """The organisation, and the sites that the membership is limited to (None: all of them)."""
    if access.membership.all_sites:
        return access.organisation.pk, None
    sites = SiteAccess.objects.filter(membership=access.membership).values_list("site_id", flat=True)
    return access.organisation.pk, frozenset(sites)


def page(
    action: Action,
) -> Callable[
    [Callable[Concatenate[PageRequest, P], HttpResponseBase]], Callable[Concatenate[HttpRequest, P], HttpResponseBase]
]:
    """Guard a view: strangers go to the login, people without the right get a 403 that says so."""

    def guard(
        view: Callable[Concatenate[PageRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_login(request)
            access = access_of(request)
            if access is None:
                return render(request, "account/nowhere.html", status=403)
            access.require(action)
            try:
                with watched() as shown:
                    return _dated(view(request, *args, **kwargs), shown)  # type: ignore[arg-type]
            except Forbidden as error:
                raise PermissionDenied(str(error)) from error

        guarded.action = action  # type: ignore[attr-defined]
        return guarded

    return guard


def _dated(answer: HttpResponseBase, shown: Shown) -> HttpResponseBase:
    """Tell the page how old its facts are (s) and when newer ones can be had: it asks again if it has heard of news."""
    if (told := shown.age()) is not None:
        answer["X-Facts-Age"], answer["X-Facts-Again"] = (f"{seconds:.2f}" for seconds in told)
    return answer


def _to_login(request: HttpRequest) -> HttpResponse:
    if getattr(request, "htmx", False):
        # A part of a page must not turn into a login form: let the browser load the login as a page.
        answer = HttpResponse(status=401)
        answer["HX-Redirect"] = redirect("login").url
        return answer
    return redirect_to_login(request.get_full_path())


def _look_up(request: HttpRequest) -> Access | None:
    user = request.user
    if not user.is_authenticated or not user.is_active:
        return None
    memberships = list(
        Membership.objects.filter(user_id=user.pk)
        .select_related("organisation")
        .order_by("organisation__name", "organisation_id")
    )
    if not memberships:
        return None
    chosen = request.session.get(SESSION_KEY)
    own = next((m for m in memberships if m.organisation_id == chosen), memberships[0])
    return Access(user, own, several=len(memberships) > 1, roles=frozenset(m.role for m in memberships))
