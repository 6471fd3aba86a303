"""Which adapters have a label, and what state its token is in; the token itself never comes out here."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_adapters
from provisioning.labels.models import OwnerToken

_CURRENT = OwnerToken.objects.exclude(state=OwnerToken.State.REPLACED).defer("sealed")


def current_token(adapter: Adapter) -> OwnerToken | None:
    """The token of the adapter's present label: the unused one, else the one that was used last."""
    return current_tokens([adapter.pk]).get(adapter.pk)


def current_tokens(adapter_ids: Iterable[int]) -> dict[int, OwnerToken]:
    """The same for many adapters, by adapter."""
    rows = _CURRENT.filter(adapter_id__in=list(adapter_ids)).order_by("pk")
    return {row.adapter_id: row for row in rows}  # a newer label only comes after the older one ended


def printable_adapters(actor: Actor, organisation: Organisation) -> QuerySet[Adapter]:
    """Adapters whose labels `actor` may print, by DevEUI."""
    return visible_adapters(actor, organisation, action="labels.print")


def without_label(rows: QuerySet[Adapter]) -> QuerySet[Adapter]:
    """Those of the rows that have no label yet."""
    return rows.filter(~Exists(_CURRENT.filter(adapter=OuterRef("pk"))))


def unprinted(rows: QuerySet[Adapter]) -> QuerySet[Adapter]:
    """Those of the rows without a label, or with an unused one that was never printed here."""
    done = _CURRENT.filter(adapter=OuterRef("pk")).exclude(state=OwnerToken.State.NEW, printed_at=None)
    return rows.filter(~Exists(done))
