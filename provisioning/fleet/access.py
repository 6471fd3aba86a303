"""Reach: memberships can be limited to sites, so permission is asked for a place, not only for an organisation."""

from typing import TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor, System, user_of
from provisioning.accounts.models import ApiToken, Membership, Organisation
from provisioning.accounts.permissions import Action, grants, membership_of
from provisioning.errors import Forbidden
from provisioning.fleet.models import SiteAccess

Row = TypeVar("Row", bound=Model)


def require_at(actor: Actor, organisation: Organisation | int, site_id: int | None, action: Action) -> None:
    """Raise Forbidden unless `actor` may do `action` at that site; None: at no site yet, or at all of them."""
    if isinstance(actor, System):
        return
    membership = membership_of(actor, organisation)
    if not grants(actor, membership, action):
        raise Forbidden(_("Your role does not allow this here; ask an administrator of the organisation for it."))
    assert membership is not None
    if membership.all_sites:
        return
    if site_id is None or not SiteAccess.objects.filter(membership=membership, site_id=site_id).exists():
        raise Forbidden(_("Your work is limited to other sites; ask an administrator to add this one."))


def within_reach(
    rows: QuerySet[Row], actor: Actor, organisation: Organisation | None, action: Action, site: str
) -> QuerySet[Row]:
    """The rows that `actor` may do `action` on, in `organisation` or (None) in all of the actor's.

    `site` is the lookup from a row to its site's key, such as `site_id` or `metering_point__site_id`.
    """
    if isinstance(actor, System):
        return rows if organisation is None else rows.filter(organisation=organisation)
    reach = _reach(_memberships(actor, organisation, action), site)
    return rows.none() if reach is None else rows.filter(reach)


def _memberships(actor: Actor, organisation: Organisation | None, action: Action) -> list[Membership]:
    user = user_of(actor)
    if user is None or not user.is_authenticated or not user.is_active:
        return []
    if organisation is not None or isinstance(actor, ApiToken):
        found = membership_of(actor, organisation or actor.organisation_id)  # type: ignore[union-attr]
        own = [] if found is None else [found]
    else:
        own = list(Membership.objects.filter(user_id=user.pk))
    return [membership for membership in own if grants(actor, membership, action)]


def _reach(memberships: list[Membership], site: str) -> Q | None:
    """One condition for all memberships; plain equality for the usual single one, so that indexes serve it."""
    whole = [membership.organisation_id for membership in memberships if membership.all_sites]
    limited = [membership.pk for membership in memberships if not membership.all_sites]
    parts = []
    if whole:
        parts.append(Q(organisation_id=whole[0]) if len(whole) == 1 else Q(organisation_id__in=whole))
    if limited:
        sites = SiteAccess.objects.filter(membership_id__in=limited).values_list("site_id", flat=True)
        parts.append(Q(**{f"{site}__in": list(sites)}))
    if not parts:
        return None
    condition = parts[0]
    for part in parts[1:]:
        condition |= part
    return condition
