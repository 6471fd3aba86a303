"""Who asks the API, and in which organisation a request creates things."""

from django.utils.translation import gettext as _
from rest_framework.request import Request

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import ApiToken, Organisation
from provisioning.accounts.session import current_organisation
from provisioning.errors import Forbidden


def actor_of(request: Request) -> Actor:
    """The token that the request came with, else the logged-in user."""
    return request.auth if isinstance(request.auth, ApiToken) else request.user  # type: ignore[return-value]


def organisation_of(request: Request) -> Organisation:
    """A token's organisation, else the one that the session works in. Forbidden for a user without any."""
    actor = actor_of(request)
    if isinstance(actor, ApiToken):
        return actor.organisation
    organisation = current_organisation(request.session, actor)
    if organisation is None:
        raise Forbidden(_("You belong to no organisation; ask an administrator to add you."))
    return organisation
