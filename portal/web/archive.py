"""What was archived, by kind, and until when each can be restored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.web import figures
from portal.web.access import Access
from portal.web.keyset import Order, Page, paged
from provisioning.accounts.permissions import Action
from provisioning.fleet.queries import (
    visible_adapters,
    visible_concentrators,
    visible_metering_points,
    visible_sites,
)
from provisioning.fleet.services import (
    restore_adapter,
    restore_concentrator,
    restore_metering_point,
    restore_site,
)
from provisioning.fleet.services.restore import RESTORE_DAYS

LATEST = Order(("-archived_at", "-pk"))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing that can be archived and restored."""

    name: str | Promise
    rows: Callable[..., QuerySet[Any]]
    restore: Callable[[Any, Any], Any]
    action: Action
    page: str
    then: str | Promise


KINDS = {
    "adapters": Kind(
        _("Adapters"), visible_adapters, restore_adapter, "fleet.edit", "adapter",
        _("The adapter is back. Its concentrator is told; it joins when it asks next."),
    ),
    "metering-points": Kind(
        _("Metering points"), visible_metering_points, restore_metering_point, "fleet.edit", "",
        _("The metering point is back, with all its readings."),
    ),
    "sites": Kind(
        _("Sites"), visible_sites, restore_site, "fleet.edit", "site",
        _("The site is back; what was archived at it is restored one by one."),
    ),
    "concentrators": Kind(
        _("Concentrators"), visible_concentrators, restore_concentrator, "concentrator.manage", "concentrator",
        _("The concentrator is back. Make it a new password; the old one ended when it was archived."),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One archived thing; `until` is the end of its time."""

    pk: int
    name: str
    note: str
    url: str
    archived_at: datetime
    until: datetime
    restorable: bool


def lines(access: Access, kind: Kind, query: QueryDict, now: datetime) -> tuple[Page[Any], list[Line]]:
    """One page, what was archived last first."""
    found = paged(kind.rows(access.user, access.organisation, archived=True), LATEST, query)
    return found, [_line(kind, row, now) for row in found.rows]


def until(archived_at: datetime) -> datetime:
    """When it can no longer be restored."""
    return archived_at + timedelta(days=RESTORE_DAYS)


def _line(kind: Kind, row: Any, now: datetime) -> Line:
    site = getattr(row, "site", None)
    eui = getattr(row, "dev_eui", "") or getattr(row, "eui", "")
    notes = [
        site.name if site else "",
        getattr(row, "serial", ""),
        getattr(row, "melo_id", ""),
        getattr(row, "city", ""),
    ]
    named = getattr(row, "name", "")
    if named and eui:
        notes.insert(0, figures.eui(eui))
    end = until(row.archived_at)
    return Line(
        row.pk,
        named or figures.eui(eui),
        " · ".join(note for note in notes if note),
        reverse("adapter", args=[row.pk]) if kind.page == "adapter" else "",
        row.archived_at,
        end,
        now < end,
    )
