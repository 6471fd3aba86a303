"""Takes back what was archived, within RESTORE_DAYS: the row with its history, where its place is still free."""

from datetime import timedelta
from typing import TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.permissions import Action
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import adapter_changed
from provisioning.fleet.models import Adapter, Concentrator, MeteringPoint, Site

RESTORE_DAYS = 30
Row = TypeVar("Row", Adapter, Concentrator, MeteringPoint, Site)


def restore_adapter(actor: Actor, adapter: Adapter) -> Adapter:
    """Back into stock or to its site. Conflict when its DevEUI is registered again, or its site is archived."""
    _restore(actor, adapter, adapter.site_id, "fleet.edit", adapter.site)
    return adapter


def restore_metering_point(actor: Actor, point: MeteringPoint) -> MeteringPoint:
    """Conflict when its name at the site or its MeLo-ID is in use again, or its site is archived."""
    _restore(actor, point, point.site_id, "fleet.edit", point.site)
    return point


def restore_site(actor: Actor, site: Site) -> Site:
    """Without what was archived at it. Conflict when its name is in use again."""
    _restore(actor, site, site.pk, "fleet.edit")
    return site


def restore_concentrator(actor: Actor, concentrator: Concentrator) -> Concentrator:
    """It may connect again after reset_password: its account at the broker ended when it was archived."""
    _restore(actor, concentrator, concentrator.site_id, "concentrator.manage", concentrator.site)
    return concentrator


def _restore(actor: Actor, row: Row, site_id: int | None, action: Action, site: Site | None = None) -> None:
    require_at(actor, row.organisation_id, site_id, action)
    kind = type(row)
    noun = "metering_point" if kind is MeteringPoint else kind.__name__.lower()
    with audited(row.organisation):
        validation.present(site)
        row.refresh_from_db()
        if row.archived_at is None:
            raise Conflict(_("{row} is not archived; look again.").format(row=row))
        if row.archived_at < timezone.now() - timedelta(days=RESTORE_DAYS):
            message = _("{row} was archived more than {days} days ago; register it anew.")
            raise Conflict(message.format(row=row, days=RESTORE_DAYS))
        archived_at = row.archived_at
        with validation.unique(_("Its name or number is in use again; archive the other one first.")):
            kind._default_manager.filter(pk=row.pk).update(archived_at=None)
        row.archived_at = None
        if isinstance(row, Adapter):
            _back_under_its_concentrator(row)
        record(row.organisation, actor, f"{noun}.restored", row, {"archived_at": archived_at})


def _back_under_its_concentrator(adapter: Adapter) -> None:
    if adapter.concentrator is not None and adapter.concentrator.archived_at is not None:
        adapter.concentrator = None
        adapter.save(update_fields=["concentrator"])
    adapter_changed(adapter)
