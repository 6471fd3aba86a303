"""Adapters: registering, moving, archiving. Their keys are handled by the keys app."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.ids import DevEUI, JoinEUI
from provisioning import changes, validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Invalid
from provisioning.fleet import guards
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import adapter_changed, devices_changed
from provisioning.fleet.models import Adapter, Concentrator, Site

MAX_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class NewAdapter:
    """What is known of an adapter before it is registered. EUIs as text in any usual notation."""

    dev_eui: str
    join_eui: str
    serial: str = ""
    location: str = ""
    kind: str = Adapter.Kind.METERSPAN
    activation: str = Adapter.Activation.OTAA
    dev_addr: str = ""
    lorawan: str = Adapter.LoRaWAN.V1_0_4


def create_adapter(
    actor: Actor,
    organisation: Organisation,
    *,
    dev_eui: str,
    join_eui: str,
    site: Site | None = None,
    concentrator: Concentrator | None = None,
    serial: str = "",
    location: str = "",
) -> Adapter:
    """Register one of our adapters. It has no keys yet: see keys.services.issue_root_key and issue_inner_key."""
    new = NewAdapter(dev_eui, join_eui, serial, location)
    return create_adapters(actor, organisation, [new], site=site, concentrator=concentrator)[0]


def create_adapters(
    actor: Actor,
    organisation: Organisation,
    new: Sequence[NewAdapter],
    *,
    site: Site | None = None,
    concentrator: Concentrator | None = None,
) -> list[Adapter]:
    """Register up to MAX_AT_ONCE devices of one site and concentrator, all or none, in the order given."""
    require_at(actor, organisation, site.pk if site else None, "fleet.edit")
    validation.same_organisation("site", site, organisation.pk)
    validation.same_organisation("concentrator", concentrator, organisation.pk)
    if not 1 <= len(new) <= MAX_AT_ONCE:
        raise Invalid("dev_eui", _("From 1 to {limit} adapters can be registered at once.").format(limit=MAX_AT_ONCE))
    rows = [_row(organisation, item, site, concentrator) for item in new]
    with audited(organisation):
        validation.present(site, concentrator)
        with validation.unique(_("A device with this DevEUI is registered already; archive it first, or check it.")):
            rows = Adapter.objects.bulk_create(rows, batch_size=500)
        devices_changed(concentrator.pk if concentrator else None, [row.dev_eui for row in rows])
        where = {"site": site and site.name, "concentrator": concentrator and concentrator.eui}
        if len(rows) == 1:
            record(organisation, actor, "adapter.created", rows[0], where)
        else:
            ends = {"count": len(rows), "first": rows[0].dev_eui, "last": rows[-1].dev_eui}
            record(organisation, actor, "adapter.created", None, {**where, **ends})
    return rows


def update_adapter(actor: Actor, adapter: Adapter, *, serial: str = "", location: str = "") -> Adapter:
    """Set serial number and location (free text, such as `cellar, left`)."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.install")
    serial, location = validation.text("serial", serial, 40), validation.text("location", location, 120)
    with audited(adapter.organisation):
        validation.present(adapter)
        if changed := changes.apply(adapter, serial=serial, location=location):
            record(adapter.organisation, actor, "adapter.updated", adapter, changed)
    return adapter


def move_adapter(actor: Actor, adapter: Adapter, *, site: Site | None, concentrator: Concentrator | None) -> Adapter:
    """Put an adapter at a site and under a concentrator (None: none). Both old and new concentrator are told."""
    for site_id in {adapter.site_id, site.pk if site else None}:
        require_at(actor, adapter.organisation_id, site_id, "fleet.edit")
    validation.same_organisation("site", site, adapter.organisation_id)
    validation.same_organisation("concentrator", concentrator, adapter.organisation_id)
    with audited(adapter.organisation):
        validation.present(adapter, site, concentrator)
        place(actor, adapter, site, concentrator)
    return adapter


def place(actor: Actor, adapter: Adapter, site: Site | None, concentrator: Concentrator | None) -> None:
    """The change of move_adapter inside the caller's transaction, for services that have asked for permission."""
    adapter.refresh_from_db(fields=["site", "concentrator"])
    old = adapter.concentrator_id
    changed = changes.apply(adapter, site=site, concentrator=concentrator)
    if "concentrator" in changed:
        devices_changed(old, [adapter.dev_eui])
        devices_changed(adapter.concentrator_id, [adapter.dev_eui])
    if changed:
        record(adapter.organisation, actor, "adapter.moved", adapter, changed)


def archive_adapter(actor: Actor, adapter: Adapter) -> None:
    """Put an adapter away: its concentrator forgets it, its frames are those of a stranger. History stays.

    Conflict while it is paired. A second time changes nothing.
    """
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        guards.refuse_if_used(adapter)
        now = timezone.now()
        if Adapter.objects.filter(pk=adapter.pk, archived_at=None).update(archived_at=now):
            adapter.refresh_from_db()
            adapter_changed(adapter)
            record(adapter.organisation, actor, "adapter.archived", adapter)


def _row(organisation: Organisation, new: NewAdapter, site: Site | None, concentrator: Concentrator | None) -> Adapter:
    return Adapter(
        organisation=organisation,
        site=site,
        concentrator=concentrator,
        dev_eui=validation.identifier("dev_eui", DevEUI.parse, new.dev_eui),
        join_eui=validation.identifier("join_eui", JoinEUI.parse, new.join_eui),
        serial=validation.text("serial", new.serial, 40),
        location=validation.text("location", new.location, 120),
        kind=validation.choice("kind", new.kind, Adapter.Kind.values),
        activation=validation.choice("activation", new.activation, Adapter.Activation.values),
        dev_addr=validation.hexadecimal("dev_addr", new.dev_addr, 8) if new.dev_addr else "",
        lorawan=validation.choice("lorawan", new.lorawan, Adapter.LoRaWAN.values),
    )
