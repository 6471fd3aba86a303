"""Deeds with keys over the API: only in a session in which the person has just shown a second factor."""

from datetime import timedelta
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.request import Request

from portal.api.actors import actor_of, organisation_of
from provisioning.accounts import factors
from provisioning.accounts.models import ApiToken
from provisioning.accounts.permissions import Action, membership_of, require
from provisioning.errors import Forbidden

FRESH: Final = timedelta(minutes=5)
SHOWN: Final = "factor"  # where the login pages note in the session what was shown when


def require_in_person(request: Request, action: Action) -> None:
    """Forbidden unless the person may do `action` and has shown what counts for it within FRESH."""
    actor = actor_of(request)
    organisation = organisation_of(request)
    require(actor, organisation, action)
    if isinstance(actor, ApiToken):
        return  # those that may not act for a person were refused above
    member = membership_of(actor, organisation)
    kept, now = request.session.get(SHOWN, {}), timezone.now().timestamp()
    accepted = factors.for_keys(request.user, frozenset({member.role}) if member else frozenset())
    if not any(0 <= now - kept.get(kind.value, 0) <= FRESH.total_seconds() for kind in accepted):
        raise Forbidden(_("Show your second factor again in the portal, then repeat this within five minutes."))
