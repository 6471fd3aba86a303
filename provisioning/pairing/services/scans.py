"""What two raw scans name, decided on the server alone; nothing is looked up before both are understood."""

from typing import Literal

from django.utils.translation import gettext as _

from meterwire.ids import MeterId
from meterwire.scan import MESSAGES, Scan, classify, expecting
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.models import Adapter
from provisioning.labels.services import matches
from provisioning.pairing.services.answers import Refusal

Wanted = Literal["adapter", "meter"]


def adapter_by_scan(actor: Actor, organisation: Organisation, raw: str) -> Adapter:
    """For operators: the adapter of a scanned label or a typed DevEUI. Invalid, or Conflict when there is none."""
    require(actor, organisation, "pairing.end")
    scan = classify(raw)
    if wrong := said(scan, "adapter"):
        raise Invalid("adapter_scan", wrong)
    adapter = find_adapter(organisation, scan)
    if adapter is None:
        raise Conflict(unknown())
    token = scan.label.owner_token if scan.label is not None else None
    if token is not None and not matches(adapter, token):
        raise Invalid("adapter_scan", _("This label is not the adapter's present one; print a new one."))
    return adapter


def both(adapter_scan: str, meter_scan: str) -> tuple[Scan, MeterId]:
    """The adapter's scan and the meter's number. Refusal (400) with the scan's own code and the field."""
    adapter = _read("adapter_scan", adapter_scan, "adapter")
    meter = _read("meter_scan", meter_scan, "meter")
    assert meter.meter_id is not None
    return adapter, meter.meter_id


def find_adapter(organisation: Organisation, scan: Scan) -> Adapter | None:
    """The organisation's adapter; another organisation's is as unknown as one that nobody has, by the same query."""
    found = Adapter.objects.filter(organisation=organisation, dev_eui=str(scan.dev_eui), archived_at=None)
    return found.select_related("site", "concentrator", "organisation").first()


def said(scan: Scan, wanted: Wanted | None = None) -> str | None:
    """What to tell the person: None when the scan is what was `wanted`; without `wanted` always what it is."""
    if wanted is None:
        return _(MESSAGES[scan.code]) % scan.values
    sentence = expecting(scan, wanted)
    return said(scan) if sentence == scan.message else sentence and _(sentence)


def unknown() -> str:
    """The one answer for an adapter that nobody has and for one that another organisation has."""
    return _("This adapter is not registered in your organisation; check the label, or ask an operator to import it.")


def _read(field: str, raw: str, wanted: Wanted) -> Scan:
    scan = classify(raw)
    if wrong := said(scan, wanted):
        raise Refusal(400, scan.code, wrong, kept=False, field=field)
    return scan
