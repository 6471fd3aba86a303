"""One passkey ceremony in a session: its challenge is handed out with a page, answered once, and ends after a while."""

import json
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.errors import AuthenticationError
from portal.web import throttle
from portal.web.second_factor import party_of
from provisioning.accounts import passkeys, proofs
from provisioning.accounts.factors import Kind
from provisioning.accounts.models import User
from provisioning.accounts.passkeys import State, WrongFactor

SESSION_KEY = "passkey"
ANSWER_WITHIN_S = 600


def creation(request: HttpRequest, user: User) -> dict[str, Any]:
    """What the browser needs to make a passkey for `user`."""
    options, state = passkeys.begin_registration(user, party_of(request))
    _keep(request, state)
    return options


def question(request: HttpRequest, user: User | None) -> dict[str, Any]:
    """What the browser needs to use a passkey of `user`, or (None) of whoever it belongs to."""
    options, state = passkeys.begin_authentication(user, party_of(request))
    _keep(request, state)
    return options


def state_of(request: HttpRequest) -> State:
    """The challenge that was handed out last, for one answer. WrongFactor when there is none, or it is too old."""
    kept = request.session.pop(SESSION_KEY, None)
    if kept is None or timezone.now().timestamp() - kept["at"] > ANSWER_WITHIN_S:
        raise WrongFactor(_("That took too long, or another window asked meanwhile. Try again."))
    state: State = kept["state"]
    return state


def prove(request: HttpRequest, user: User) -> Kind:
    """Check what was sent: the answer of a passkey (`credential`) or else a typed `code`. WrongFactor, TooMany.

    Failures are counted apart from those of the password, so that a right password forgives none of them. Wrong codes
    count for the person; a passkey cannot be guessed, so wrong ones only for where they come from: no stranger can
    close somebody's account by naming it.
    """
    account = throttle.place_of(request) if request.POST.get("credential") else f"factor:{user.pk}"
    throttle.check(request, account)
    try:
        kind = _shown(request, user)
    except AuthenticationError:  # a code that is wrong, or a factor that cannot be opened: no further guess is free
        throttle.failed(request, account)
        raise
    throttle.succeeded(request, account)
    return kind


def _shown(request: HttpRequest, user: User) -> Kind:
    now = timezone.now()
    credential = request.POST.get("credential", "")
    if credential:
        return proofs.use_passkey(user, party_of(request), state_of(request), credential, now)
    return proofs.use_code(user, request.POST.get("code", ""), now)


def _keep(request: HttpRequest, state: State) -> None:
    plain = json.loads(json.dumps(dict(state)))
    request.session[SESSION_KEY] = {"state": plain, "at": timezone.now().timestamp()}
