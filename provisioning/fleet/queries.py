"""What an actor may see of the fleet, and the unrestricted look-ups of the bridge."""

from collections.abc import Callable, Iterable, Mapping

from django.db.models import Count, F, Q, QuerySet

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import Action
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter, Concentrator, Meter, MeteringPoint, Site

# Best level (dBm) at which each of these concentrators heard the adapter lately; portal.telemetry knows it.
Heard = Callable[[Adapter, list[Concentrator]], Mapping[int, float]]


def visible_sites(actor: Actor, organisation: Organisation | None = None, *, archived: bool = False) -> QuerySet[Site]:
    """Sites by name. `archived` true: the archived ones instead of the others, here and below."""
    rows = Site.objects.filter(archived_at__isnull=not archived)
    return within_reach(rows, actor, organisation, "fleet.view", "pk")


def visible_metering_points(
    actor: Actor,
    organisation: Organisation | None = None,
    *,
    action: Action = "fleet.view",
    archived: bool = False,
) -> QuerySet[MeteringPoint]:
    """Metering points with their sites, by name; with action `readings.view` those whose readings may be seen."""
    rows = MeteringPoint.objects.filter(archived_at__isnull=not archived).select_related("site")
    return within_reach(rows, actor, organisation, action, "site_id")


def visible_meters(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Meter]:
    """Meters with their metering points, installed and removed ones, latest first."""
    rows = Meter.objects.select_related("metering_point")
    return within_reach(rows, actor, organisation, "fleet.view", "metering_point__site_id")


def visible_concentrators(
    actor: Actor, organisation: Organisation | None = None, *, archived: bool = False
) -> QuerySet[Concentrator]:
    """Concentrators with their sites, by name."""
    rows = Concentrator.objects.filter(archived_at__isnull=not archived).select_related("site")
    return within_reach(rows, actor, organisation, "fleet.view", "site_id")


def visible_adapters(
    actor: Actor,
    organisation: Organisation | None = None,
    *,
    action: Action = "fleet.view",
    archived: bool = False,
) -> QuerySet[Adapter]:
    """Adapters with site and concentrator, by DevEUI: page with `dev_eui__gt`, an index serves it per organisation."""
    rows = Adapter.objects.filter(archived_at__isnull=not archived).select_related("site", "concentrator")
    return within_reach(rows, actor, organisation, action, "site_id")


def sites_with_counts(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Site]:
    """Sites, each with `adapter_count`: its adapters that are not archived."""
    count = Count("adapters", filter=Q(adapters__archived_at=None))
    return visible_sites(actor, organisation).annotate(adapter_count=count)


def adapters_by_eui(dev_euis: Iterable[str]) -> dict[str, Adapter]:
    """For the bridge: adapters that are not archived, by DevEUI, of any organisation."""
    return {row.dev_eui: row for row in Adapter.objects.filter(dev_eui__in=list(dev_euis), archived_at=None)}


def concentrator_by_eui(eui: str) -> Concentrator | None:
    """For the bridge: the concentrator that is not archived, of any organisation."""
    return Concentrator.objects.filter(eui=eui, archived_at=None).select_related("organisation").first()


def concentrators_behind() -> QuerySet[Concentrator]:
    """For the bridge: online, with a certificate or an approved key, and not yet running the desired device table."""
    approved = Q(key_approved_at__isnull=False) & ~Q(public_key="")
    return Concentrator.objects.filter(
        approved | ~Q(certificate_key=""), archived_at=None, revoked_at=None, online=True
    ).exclude(running_revision=F("desired_revision"))


def broker_accounts() -> list[tuple[str, str]]:
    """(user name, mosquitto_passwd hash) of every concentrator that may connect, by EUI."""
    rows = Concentrator.objects.filter(archived_at=None, revoked_at=None).exclude(mqtt_password="")
    return list(rows.order_by("eui").values_list("eui", "mqtt_password"))


def revoked_concentrators() -> frozenset[str]:
    """EUIs of concentrators that were revoked as a whole and are still registered."""
    rows = Concentrator.objects.filter(archived_at=None, revoked_at__isnull=False)
    return frozenset(rows.values_list("eui", flat=True))


def pick_concentrator(site: Site, adapter: Adapter, heard: Heard | None = None) -> Concentrator | None:
    """The concentrator that should serve `adapter` at `site`: of several the one that heard it best lately, else the
    present one, else one that is online. Where the site has none, a neighbour's that serves it there already.
    """
    there = list(Concentrator.objects.filter(site=site, archived_at=None).order_by("-online", "pk"))
    if not there:
        present = adapter.concentrator
        return present if present is not None and (present.site_id is None or adapter.site_id == site.pk) else None
    if len(there) == 1:
        return there[0]
    levels = heard(adapter, there) if heard is not None else {}
    if known := [row for row in there if row.pk in levels]:
        return max(known, key=lambda row: levels[row.pk])
    return next((row for row in there if row.pk == adapter.concentrator_id), there[0])
