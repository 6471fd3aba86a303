"""Coming and going: login by password, logout, language, and which organisation to work in."""

from django import forms
from django.conf import settings
from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import check_for_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.web import throttle
from portal.web.access import access_of
from portal.web.arriving import safe, with_language
from portal.web.views.factors_login import begin_second_step, enter
from provisioning.accounts.factors import Kind, kinds_of
from provisioning.accounts.models import User
from provisioning.accounts.queries import organisations_of
from provisioning.accounts.services import set_preferences
from provisioning.accounts.session import choose_organisation


class LoginForm(forms.Form):
    """Who, and proof of it."""

    email = forms.EmailField(
        label=gettext_lazy("Email"),
        max_length=254,
        widget=forms.EmailInput({"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=128,
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """The login page."""
    target = safe(request, request.GET.get("next") or request.POST.get("next"))
    if request.user.is_authenticated:
        return redirect(target)
    form = LoginForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email, password = form.cleaned_data["email"], form.cleaned_data["password"]
        if throttle.blocked(request, email):
            form.add_error(None, _("Too many attempts. Wait five minutes, then try again."))
            return render(request, "account/login.html", {"form": form, "next": target}, status=429)
        user = auth.authenticate(request, username=email, password=password)
        if user is not None:
            throttle.succeeded(request, email)
            if kinds_of(user):
                return begin_second_step(request, user, target)
            return enter(request, user, Kind.PASSWORD, target)
        throttle.failed(request, email)
        form.add_error(
            None, _("Email and password do not fit together. Capital and small letters matter in the password.")
        )
    return render(request, "account/login.html", {"form": form, "next": target})


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    auth.logout(request)
    messages.success(request, _("You are logged out."))
    return redirect("login")


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Another language, for this browser and, when logged in, for the account."""
    code = request.POST.get("language", "")
    answer = redirect(safe(request, request.POST.get("next")))
    if code not in dict(settings.LANGUAGES) or not check_for_language(code):
        return answer
    if isinstance(request.user, User):
        set_preferences(request.user, language=code)
    return with_language(answer, code)


@require_GET
def organisations(request: HttpRequest) -> HttpResponseBase:
    """The organisations to choose from."""
    if not isinstance(request.user, User):
        return redirect("login")
    rows = organisations_of(request.user)
    return render(request, "account/organisations.html", {"organisations": rows, "access": access_of(request)})


@require_POST
def choose(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Work in another organisation from now on."""
    if not isinstance(request.user, User):
        return redirect("login")
    organisation = get_object_or_404(organisations_of(request.user), pk=pk)
    choose_organisation(request.session, request.user, organisation)
    messages.success(request, _("You now work in {name}.").format(name=organisation.name))
    return redirect("overview")
