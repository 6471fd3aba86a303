"""Showing the second factor once more, before something that must not happen in a session left open."""

from typing import Any

from django.contrib import auth, messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from meterwire.errors import AuthenticationError
from portal.web import ceremony, second_factor, throttle
from portal.web.access import PageRequest, page
from portal.web.arriving import safe
from provisioning.accounts import factors
from provisioning.accounts.factors import Kind
from provisioning.accounts.models import User
from provisioning.accounts.passkeys import WrongFactor


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
def factor_verify(request: PageRequest) -> HttpResponse:
    """Ask for what counts, then lead back to the page where it was needed."""
    user = request.access.user
    changing = request.GET.get("for") == "factors"
    accepted = factors.for_changes(user) if changing else second_factor.needed(request)
    unsent = bool(request.GET.get("unsent"))
    context: dict[str, Any] = {"kinds": accepted & (factors.kinds_of(user) | {Kind.PASSWORD}), "unsent": unsent}
    status = 200
    if request.method == "POST":
        try:
            kind = _password(request, user) if Kind.PASSWORD in accepted else ceremony.prove(request, user)
        except AuthenticationError as error:
            context["error"] = str(error)
            status = 429 if isinstance(error, throttle.TooMany) else 200
        else:
            second_factor.mark(request.session, kind)
            if unsent:
                messages.warning(request, _("It is you. Nothing was sent yet: decide once more."), extra_tags="warn")
            return redirect(safe(request, request.GET.get("next")))
    if Kind.PASSKEY in accepted:
        context["question"] = ceremony.question(request, user)
        context["hint"] = Kind.RECOVERY not in accepted
    return render(request, "account/verify.html", context, status=status)


def _password(request: PageRequest, user: User) -> Kind:
    account = f"factor:{user.pk}"
    throttle.check(request, account)
    if auth.authenticate(request, username=user.email, password=request.POST.get("password", "")[:128]) != user:
        throttle.failed(request, account)
        raise WrongFactor(_("The password does not fit. Capital and small letters matter."))
    throttle.succeeded(request, account)
    return Kind.PASSWORD
