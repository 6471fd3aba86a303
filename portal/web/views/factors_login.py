"""Logging in beyond the password: the second step, and a passkey alone."""

from typing import Any, NamedTuple

from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from meterwire.errors import AuthenticationError
from portal.web import ceremony, second_factor, throttle
from portal.web.arriving import safe, with_language
from provisioning.accounts import passkeys
from provisioning.accounts.factors import Kind, kinds_of
from provisioning.accounts.models import User

SESSION_KEY = "half_logged_in"
WITHIN_S = 600
BACKEND = "django.contrib.auth.backends.ModelBackend"
TOO_MANY = 429


class Step(NamedTuple):
    """Somebody whose password was right, and where they want to go."""

    user: User
    target: str


def begin_second_step(request: HttpRequest, user: User, target: str) -> HttpResponse:
    """Remember, for ten minutes, that the password of `user` was right, and ask for the second factor."""
    kept = {"user": user.pk, "hash": user.get_session_auth_hash(), "next": target, "at": timezone.now().timestamp()}
    request.session[SESSION_KEY] = kept
    return redirect("login-factor")


def enter(request: HttpRequest, user: User, kind: Kind, target: str) -> HttpResponse:
    """Log `user` in, who has shown `kind`."""
    request.session.pop(SESSION_KEY, None)
    auth.login(request, user, backend=BACKEND)
    second_factor.mark(request.session, kind)
    return with_language(redirect(target), user.language)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def login_factor(request: HttpRequest) -> HttpResponse:
    """The second step: a passkey, a code of the app, or a recovery code."""
    step = _step(request)
    if step is None:
        messages.warning(request, _("Begin again: email and password come first, and hold for ten minutes."))
        return redirect("login")
    context: dict[str, Any] = {"kinds": kinds_of(step.user), "email": step.user.email}
    status = 200
    if request.method == "POST":
        try:
            return enter(request, step.user, ceremony.prove(request, step.user), step.target)
        except AuthenticationError as error:
            context["error"] = str(error)
            status = TOO_MANY if isinstance(error, throttle.TooMany) else 200
    if Kind.PASSKEY in context["kinds"]:
        context["question"] = ceremony.question(request, step.user)
    return render(request, "account/login_factor.html", context, status=status)


@never_cache
@require_POST
def passkey_question(request: HttpRequest) -> JsonResponse:
    """A challenge for any passkey; made on demand, so that looking at the login page leaves no session behind."""
    if throttle.hurried(request):
        return JsonResponse({"message": _("Too many attempts. Wait five minutes, then try again.")}, status=TOO_MANY)
    return JsonResponse(ceremony.question(request, None))


@never_cache
@sensitive_post_parameters()
@require_POST
def login_passkey(request: HttpRequest) -> HttpResponse:
    """Log in with a passkey alone: it knows whose it is, and it has verified its person itself."""
    try:
        user = passkeys.claimed_user(request.POST.get("credential", ""))
        kind = ceremony.prove(request, user)
    except AuthenticationError as error:
        messages.error(request, str(error), extra_tags="bad")
        return redirect("login")
    return enter(request, user, kind, safe(request, request.POST.get("next")))


def _step(request: HttpRequest) -> Step | None:
    kept = request.session.get(SESSION_KEY)
    if kept is None or timezone.now().timestamp() - kept["at"] > WITHIN_S:
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    if user is None or not constant_time_compare(kept["hash"], user.get_session_auth_hash()):
        return None
    return Step(user, kept["next"])
