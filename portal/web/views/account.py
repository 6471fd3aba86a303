"""A person's own things: language, theme, password, and tokens for programs."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import activate, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from portal.web.access import PageRequest, page
from portal.web.arriving import with_language
from portal.web.forms import refuse
from portal.web.second_factor import ask_again, fresh, needed
from portal.web.words import role_name
from provisioning.accounts.models import ApiToken, Role, User
from provisioning.accounts.permissions import MATRIX
from provisioning.accounts.queries import own_tokens, tokens
from provisioning.accounts.services import create_token, revoke_token, set_preferences
from provisioning.errors import Conflict, Invalid

LIFETIMES = [
    (30, gettext_lazy("30 days")),
    (90, gettext_lazy("90 days")),
    (365, gettext_lazy("1 year")),
    (0, gettext_lazy("no end")),
]


class PreferencesForm(forms.Form):
    """Language and theme."""

    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        choices=[("", gettext_lazy("As the browser")), ("en", "English"), ("de", "Deutsch")],
        required=False,
    )
    theme = forms.ChoiceField(
        label=gettext_lazy("Appearance"),
        choices=[
            ("auto", gettext_lazy("As the device")),
            ("light", gettext_lazy("Light")),
            ("dark", gettext_lazy("Dark")),
        ],
    )


class TokenForm(forms.Form):
    """A token to be made."""

    name = forms.CharField(
        label=gettext_lazy("What is it for?"),
        max_length=80,
        help_text=gettext_lazy("The name of the program, so that you know later which one to revoke."),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("It may do at most what this role may"),
        help_text=gettext_lazy("Never more than your own role."),
    )
    write = forms.BooleanField(label=gettext_lazy("It may also change things"), required=False)
    lifetime = forms.TypedChoiceField(label=gettext_lazy("Valid for"), choices=LIFETIMES, coerce=int, initial=90)

    def __init__(self, own_role: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reach = {role: {action for action, roles in MATRIX.items() if role in roles} for role in Role}
        narrower = [role for role in Role if reach[role] <= reach[Role(own_role)]]
        self.fields["role"].choices = [(role.value, role_name(role)) for role in narrower]  # type: ignore[attr-defined]
        self.fields["role"].initial = Role.VIEWER if Role.VIEWER in narrower else own_role


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
def account(request: PageRequest) -> HttpResponse:
    """Language, theme and password."""
    user: User = request.access.user
    changing = request.POST.get("form") == "password"
    preferences = PreferencesForm(
        None if changing else request.POST or None, initial={"language": user.language, "theme": user.theme}
    )
    password = PasswordChangeForm(user, request.POST if changing else None)
    password.fields["old_password"].widget.attrs.pop("autofocus", None)  # the page is not only about the password
    if changing and password.is_valid():
        password.save()
        update_session_auth_hash(request, user)
        messages.success(request, _("Your password is changed. Other sessions of yours have ended."))
        return redirect("account")
    if not changing and request.method == "POST" and preferences.is_valid():
        language = preferences.cleaned_data["language"]
        set_preferences(user, language=language, theme=preferences.cleaned_data["theme"])
        if language:
            activate(language)
        messages.success(request, _("Saved."))
        return with_language(redirect("account"), language)
    return render(request, "account/account.html", {"preferences": preferences, "password": password})


@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
def token_list(request: PageRequest) -> HttpResponseBase:
    """One's tokens, a form for a new one, and once the text of the one just made."""
    access = request.access
    form = TokenForm(access.membership.role, request.POST or None)
    made = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if data["role"] == Role.CUSTODIAN and not fresh(request, needed(request)):
            return ask_again(request)
        try:
            made = create_token(
                access.user,
                access.organisation,
                data["name"],
                role=data["role"],
                read_only=not data["write"],
                expires_at=timezone.now() + timedelta(days=data["lifetime"]) if data["lifetime"] else None,
            )
            form = TokenForm(access.membership.role)
        except (Invalid, Conflict) as error:
            refuse(form, error)
    rows = own_tokens(access.user, access.organisation)
    others = (
        tokens(access.user, access.organisation).exclude(user=access.user)
        if access.may("accounts.view")
        else ApiToken.objects.none()
    )
    context = {"form": form, "made": made, "tokens": rows[:100], "others": others[:100], "now": timezone.now()}
    answer = render(request, "tokens/list.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@page("token.own")
def token_revoke(request: PageRequest, pk: int) -> HttpResponse:
    """Ask, then revoke."""
    access = request.access
    mine = own_tokens(access.user, access.organisation)
    seen = tokens(access.user, access.organisation) if access.may("accounts.view") else mine
    token = get_object_or_404(seen, pk=pk, revoked_at=None)
    if token.user_id != access.user.pk:
        access.require("accounts.manage")
    if request.method == "POST":
        revoke_token(access.user, token)
        messages.success(request, _("{name} is revoked; it is refused from now on.").format(name=token.name))
        return redirect("tokens")
    return render(request, "tokens/revoke.html", {"token": token})
