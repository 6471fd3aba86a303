"""A person's second factors: what there is, setting up a passkey or an app, recovery codes, removing."""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from meterwire.errors import MeterspanError
from portal.web import ceremony, figures, second_factor
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_for_factors
from provisioning.accounts import factor_changes, factors
from provisioning.accounts.factors import Kind
from provisioning.errors import Conflict
from provisioning.labels.render.svg import qr_svg

APP_SESSION_KEY = "app_secret"


class PasskeyForm(forms.Form):
    """A name for the new passkey; the browser fills in the rest."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=factor_changes.MAX_NAME,
        help_text=gettext_lazy("Where it is kept, so that you know later which one to remove: “laptop”, “blue key”."),
    )


class AppForm(forms.Form):
    """The first code that the app shows."""

    code = forms.CharField(
        label=gettext_lazy("Code that the app shows now"),
        max_length=20,
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "one-time-code", "class": "id"}),
    )


@require_safe
@page("token.own")
def factor_list(request: PageRequest) -> HttpResponse:
    """Which factors there are, and which one is still missing."""
    user, roles = request.access.user, request.access.roles
    context = {
        "factors": factors.factors_of(user),
        "kinds": factors.kinds_of(user),
        "left": factors.codes_left(user),
        "missing": factors.missing(user, roles),
        "custodian": "custodian" in roles,
    }
    return render(request, "account/factors.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
@fresh_for_factors
def passkey_new(request: PageRequest) -> HttpResponse:
    """Make a passkey and keep it."""
    user = request.access.user
    form = PasskeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            party, state = second_factor.party_of(request), ceremony.state_of(request)
            response = request.POST.get("credential", "")
            factor_changes.add_passkey(user, party, state, response, form.cleaned_data["name"])
        except MeterspanError as error:
            refuse(form, error)
        else:
            return _added(request, Kind.PASSKEY, _("The passkey is set up."))
    return render(request, "account/passkey.html", {"form": form, "creation": ceremony.creation(request, user)})


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
@fresh_for_factors
def app_new(request: PageRequest) -> HttpResponse:
    """Show the secret to the app, and have it prove that it knows it."""
    user = request.access.user
    adapter = get_adapter()
    form = AppForm(request.POST or None)
    sealed = request.session.get(APP_SESSION_KEY) if request.method == "POST" else None
    secret = adapter.decrypt(sealed) if sealed else factor_changes.new_app_secret()
    if request.method == "POST" and sealed and form.is_valid():
        try:
            factor_changes.add_app(user, secret, form.cleaned_data["code"], timezone.now())
        except MeterspanError as error:
            refuse(form, error)
        else:
            del request.session[APP_SESSION_KEY]
            return _added(request, Kind.APP, _("The app is set up."))
    if not sealed:
        request.session[APP_SESSION_KEY] = adapter.encrypt(secret)
    code = qr_svg(adapter.build_totp_url(user, secret), _("Secret for the authenticator app"))
    return render(request, "account/app.html", {"form": form, "secret": figures.fours(secret), "code": code})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
@fresh_for_factors
def recovery_codes(request: PageRequest) -> HttpResponse:
    """Explain, then make new codes and show them this once."""
    user = request.access.user
    context: dict[str, Any] = {"left": factors.codes_left(user)}
    if request.method == "POST":
        try:
            context["codes"] = factor_changes.renew_codes(user)
        except Conflict as error:
            messages.error(request, str(error), extra_tags="bad")
            return redirect("account-factors")
    return render(request, "account/codes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
@fresh_for_factors
def factor_remove(request: PageRequest, pk: int) -> HttpResponse:
    """Ask, then remove."""
    user = request.access.user
    rows = Authenticator.objects.filter(user_id=user.pk).exclude(type=Authenticator.Type.RECOVERY_CODES)
    factor = get_object_or_404(rows, pk=pk)
    if request.method == "POST":
        try:
            factor_changes.remove(user, factor, request.access.roles)
        except Conflict as error:
            messages.error(request, str(error), extra_tags="bad")
        else:
            messages.success(request, _("It is removed; nobody logs in with it any more."), extra_tags="ok")
        return redirect("account-factors")
    return render(request, "account/factor_remove.html", {"factor": factor, "last": len(factors.factors_of(user)) == 1})


def _added(request: PageRequest, kind: Kind, sentence: str) -> HttpResponse:
    second_factor.mark(request.session, kind)
    messages.success(request, sentence, extra_tags="ok")
    return redirect("account-factors" if factors.codes_left(request.access.user) else "factor-codes")
