"""What an actor may see of organisations, members and tokens."""

from django.db.models import QuerySet

from provisioning.accounts.actors import Actor, System, user_of
from provisioning.accounts.models import ApiToken, Membership, Organisation
from provisioning.accounts.permissions import require


def organisations_of(actor: Actor) -> QuerySet[Organisation]:
    """The organisations that `actor` belongs to (a token: its only one; the system: all), by name."""
    if isinstance(actor, System):
        return Organisation.objects.all()
    user = user_of(actor)
    if user is None or not user.is_authenticated or not user.is_active:
        return Organisation.objects.none()
    found = Organisation.objects.filter(memberships__user_id=user.pk)
    return found.filter(pk=actor.organisation_id) if isinstance(actor, ApiToken) else found


def members(actor: Actor, organisation: Organisation) -> QuerySet[Membership]:
    """Who belongs to `organisation`, with their users. Forbidden without accounts.view."""
    require(actor, organisation, "accounts.view")
    return Membership.objects.filter(organisation=organisation).select_related("user").order_by("user__email")


def tokens(actor: Actor, organisation: Organisation) -> QuerySet[ApiToken]:
    """All tokens of `organisation`, newest first. Forbidden without accounts.view."""
    require(actor, organisation, "accounts.view")
    return ApiToken.objects.filter(organisation=organisation).select_related("user")


def own_tokens(actor: Actor, organisation: Organisation) -> QuerySet[ApiToken]:
    """The actor's own tokens in `organisation`, newest first."""
    user = user_of(actor)
    if user is None or not user.is_authenticated:
        return ApiToken.objects.none()
    return ApiToken.objects.filter(organisation=organisation, user_id=user.pk)
