"""Batches, their rows and the adapters that came with them, for people who may see them."""

from django.db.models import QuerySet

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.batches.models import Batch, BatchRow, Supplier
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter

_HERE = (BatchRow.State.IMPORTED, BatchRow.State.KNOWN)


def visible_batches(actor: Actor, organisation: Organisation) -> QuerySet[Batch]:
    """The batches that `actor` may import, newest first."""
    rows = Batch.objects.select_related("supplier", "created_by", "site")
    return within_reach(rows, actor, organisation, "batches.import", "site_id")


def suppliers(actor: Actor, organisation: Organisation) -> QuerySet[Supplier]:
    """The organisation's suppliers by name. Forbidden without batches.import."""
    require(actor, organisation, "batches.import")
    return Supplier.objects.filter(organisation=organisation).order_by("name")


def rows_of(batch: Batch, state: str = "", code: str = "") -> QuerySet[BatchRow]:
    """The rows in that state and with that error ("": all), without what is sealed."""
    rows = BatchRow.objects.filter(batch=batch).defer("sealed", "token_sealed", "token_digest")
    if state in BatchRow.State.values:
        rows = rows.filter(state=state)
    return rows.filter(codes__contains=f"|{code}|") if code else rows


def adapters_of(batch: Batch) -> QuerySet[Adapter]:
    """The adapters of a batch that are registered, by DevEUI; for printing their labels."""
    names = BatchRow.objects.filter(batch=batch, state__in=_HERE).values("dev_eui")
    return Adapter.objects.filter(organisation_id=batch.organisation_id, archived_at=None, dev_eui__in=names)
