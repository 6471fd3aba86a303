"""Which adapters can take part in a campaign, found in bulk: a fixed number of queries for any number of adapters."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from provisioning.campaigns.models import Campaign, Delivery, Partner
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState, Purpose

OPEN = (Delivery.State.PLANNED, Delivery.State.DELIVERING, Delivery.State.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An adapter of a campaign's scope; `obstacle` is a code of reasons.REASONS, empty for one that takes part."""

    adapter_id: int
    concentrator_id: int | None
    obstacle: str


def candidates(campaign: Campaign, adapters: QuerySet[Adapter], busy: bool = True) -> list[Candidate]:
    """Every adapter of `adapters`, by key. `busy`: one whose key another campaign is replacing cannot take part."""
    shared = _transport_keys(adapters)
    others = _busy(campaign, adapters) if busy else set()
    rows = adapters.order_by("pk").values_list(
        "pk", "kind", "archived_at", "revoked_at", "concentrator_id", "concentrator__eui", "concentrator__revoked_at"
    )
    found = []
    for pk, kind, archived, revoked, concentrator, eui, void in rows:
        if kind == Adapter.Kind.FOREIGN:
            obstacle = "foreign"
        elif archived:
            obstacle = "archived"
        elif revoked:
            obstacle = "revoked"
        elif concentrator is None:
            obstacle = "no_concentrator"
        elif void:
            obstacle = "concentrator_revoked"
        elif campaign.partner == Partner.PORTAL and (pk, "portal") not in shared:
            obstacle = "no_transport_key"
        elif campaign.partner == Partner.CONCENTRATOR and (pk, eui) not in shared:
            obstacle = "no_concentrator_transport_key"
        else:
            obstacle = "already_planned" if pk in others else ""
        found.append(Candidate(pk, concentrator, obstacle))
    return found


def waiting_keys(adapters: QuerySet[Adapter], purpose: str) -> dict[int, list[int]]:
    """By adapter the keys that are there already and wait for delivery, the newest of each partner."""
    rows = DeviceKey.objects.filter(
        adapter__in=adapters.order_by(), purpose=purpose, state__in=[KeyState.GENERATED, KeyState.IMPORTED]
    )
    newest: dict[tuple[int, str], int] = {}
    for pk, adapter, partner in rows.order_by("version").values_list("pk", "adapter_id", "partner"):
        newest[adapter, partner] = pk
    found: dict[int, list[int]] = {}
    for (adapter, _), pk in sorted(newest.items()):
        found.setdefault(adapter, []).append(pk)
    return found


def _transport_keys(adapters: QuerySet[Adapter]) -> set[tuple[int, str]]:
    rows = DeviceKey.objects.filter(adapter__in=adapters.order_by(), purpose=Purpose.TRANSPORT, state=KeyState.ACTIVE)
    return set(rows.values_list("adapter_id", "partner"))


def _busy(campaign: Campaign, adapters: QuerySet[Adapter]) -> set[int]:
    rows: Iterable[int] = (
        Delivery.objects.filter(
            adapter__in=adapters.order_by(),
            state__in=OPEN,
            campaign__purpose=campaign.purpose,
            campaign__partner=campaign.partner,
            campaign__state__in=[Campaign.State.RUNNING, Campaign.State.PAUSED],
        )
        .exclude(campaign_id=campaign.pk)
        .values_list("adapter_id", flat=True)
    )
    return set(rows)
