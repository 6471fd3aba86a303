"""Sites, and who may work at them."""

from typing import Any, TypedDict, Unpack

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import changes, validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Membership, Organisation
from provisioning.accounts.permissions import require
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Site, SiteAccess


class Address(TypedDict, total=False):
    """Where a site is; `country` ISO 3166-1 (default DE), `time_zone` of the tz database (default Europe/Berlin)."""

    street: str
    postcode: str
    city: str
    country: str
    time_zone: str


def create_site(actor: Actor, organisation: Organisation, *, name: str, **address: Unpack[Address]) -> Site:
    """A new building. Its name is unique among the organisation's sites that are not archived."""
    require_at(actor, organisation, None, "fleet.edit")
    values = _values(name, address)
    with audited(organisation):
        with validation.unique(_("There is a site '{name}' already; choose another name.").format(name=values["name"])):
            site = Site.objects.create(organisation=organisation, **values)
        record(organisation, actor, "site.created", site)
    return site


def update_site(actor: Actor, site: Site, *, name: str, **address: Unpack[Address]) -> Site:
    """Set the name and those parts of the address that are given."""
    require_at(actor, site.organisation_id, site.pk, "fleet.edit")
    values = _values(name, address)
    with audited(site.organisation):
        validation.present(site)
        with validation.unique(_("There is a site '{name}' already; choose another name.").format(name=values["name"])):
            changed = changes.apply(site, **values)
        if changed:
            record(site.organisation, actor, "site.updated", site, changed)
    return site


def archive_site(actor: Actor, site: Site) -> None:
    """Put a site away. Conflict while anything is still there. A second time changes nothing."""
    require_at(actor, site.organisation_id, site.pk, "fleet.edit")
    with audited(site.organisation):
        for rows, reason in (
            (site.adapters, _("There are adapters at this site; move or archive them first.")),
            (site.metering_points, _("There are metering points at this site; archive them first.")),
            (site.concentrators, _("There are concentrators at this site; move or archive them first.")),
        ):
            if rows.filter(archived_at=None).exists():
                raise Conflict(reason)
        now = timezone.now()
        if Site.objects.filter(pk=site.pk, archived_at=None).update(archived_at=now):
            site.archived_at = now
            record(site.organisation, actor, "site.archived", site)


def grant_site(actor: Actor, membership: Membership, site: Site) -> None:
    """Let a member that is limited to sites work at this one too."""
    require(actor, membership.organisation_id, "accounts.manage")
    validation.same_organisation("site", site, membership.organisation_id)
    with audited(membership.organisation):
        if SiteAccess.objects.get_or_create(membership=membership, site=site)[1]:
            record(membership.organisation, actor, "site.granted", site, {"member": str(membership.user)})


def withdraw_site(actor: Actor, membership: Membership, site: Site) -> None:
    """Take a site from a member that is limited to sites."""
    require(actor, membership.organisation_id, "accounts.manage")
    validation.same_organisation("site", site, membership.organisation_id)
    with audited(membership.organisation):
        if SiteAccess.objects.filter(membership=membership, site=site).delete()[0]:
            record(membership.organisation, actor, "site.withdrawn", site, {"member": str(membership.user)})


def _values(name: str, address: Address) -> dict[str, Any]:
    values: dict[str, Any] = {**address, "name": validation.text("name", name, 120, required=True)}
    for field, limit in (("street", 120), ("postcode", 12), ("city", 80)):
        if field in values:
            values[field] = validation.text(field, values[field], limit)
    if "country" in values:
        values["country"] = validation.country("country", values["country"])
    if "time_zone" in values:
        values["time_zone"] = validation.time_zone("time_zone", values["time_zone"])
    return values
