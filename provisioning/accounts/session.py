"""Which of their organisations a logged-in user works in at the moment; kept in the session."""

from django.contrib.sessions.backends.base import SessionBase
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.queries import organisations_of
from provisioning.errors import Forbidden

SESSION_KEY = "organisation"


def current_organisation(session: SessionBase, user: Actor) -> Organisation | None:
    """The chosen organisation, else the first by name; None for a user without any. Membership is checked each time."""
    own = organisations_of(user)
    chosen = session.get(SESSION_KEY)
    found = own.filter(pk=chosen).first() if isinstance(chosen, int) else None
    return found or own.first()


def choose_organisation(session: SessionBase, user: Actor, organisation: Organisation) -> None:
    """Work in `organisation` from now on. Forbidden for one that the user does not belong to."""
    if not organisations_of(user).filter(pk=organisation.pk).exists():
        raise Forbidden(_("You do not belong to this organisation; ask one of its administrators to add you."))
    session[SESSION_KEY] = organisation.pk
