"""Deeds with keys over the API: only in a session in which the person has just shown a second factor."""

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.request import Request

from portal.api.actors import actor_of, organisation_of
from provisioning.accounts import factors
from provisioning.accounts.actors import user_of
from provisioning.accounts.freshness import is_fresh
from provisioning.accounts.models import ApiToken
from provisioning.accounts.permissions import Action, membership_of, require
from provisioning.errors import Forbidden


def require_in_person(request: Request, action: Action) -> None:
    """Forbidden unless the person may do `action` and has shown what counts for it in the last five minutes."""
    actor = actor_of(request)
    organisation = organisation_of(request)
    require(actor, organisation, action)
    if isinstance(actor, ApiToken):
        return  # those that may not act for a person were refused above
    member, user = membership_of(actor, organisation), user_of(actor)
    if user is None or member is None:
        raise Forbidden(_("Log in as a person; a program cannot show a second factor."))
    if not is_fresh(request.session, factors.for_keys(user, frozenset({member.role})), timezone.now()):
        raise Forbidden(_("Show your second factor again in the portal, then repeat this within five minutes."))
