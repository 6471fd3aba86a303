"""Configurations that are to be put together anew, for many adapters and bit by bit: another plan, another firmware."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.db import InterfaceError, OperationalError

from meterwire.config_records import BeaconRecord, OpenTimeRecord, PreviousRecord, SlotRecord
from meterwire.errors import MeterspanError
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration
from provisioning.pairing.services.configuration import refresh_configuration, refresh_many
from provisioning.pairing.services.slots import SLOWEST, period_of, settle_slot, without_slot
from provisioning.pairing.services.telegram_size import telegram_sizes
from provisioning.slots import services as slots
from provisioning.slots.models import SlotPlan

log = logging.getLogger(__name__)

SLOT_RECORDS: Final = frozenset(one.type for one in (SlotRecord, BeaconRecord, PreviousRecord, OpenTimeRecord))
_WITH: Final = ("organisation", "configuration", "concentrator__slot_plan")


def renew_later(plan: SlotPlan, **_: Any) -> None:
    """All adapters with a slot at the plan's concentrator have to be told of it; receives `plan_changed`."""
    Configuration.objects.filter(adapter__slot__concentrator=plan.pk).update(stale=True)


def renew_next(limit: int) -> int:
    """Put the next stale configurations together anew, in one transaction; returns how many are left.

    One that cannot be put together stays as it is: it must not keep all others from theirs.
    """
    stale = Configuration.objects.filter(stale=True)
    rows = list(stale.select_related("adapter__organisation").order_by("adapter__organisation", "pk")[:limit])
    if not rows:
        return 0
    organisation = rows[0].adapter.organisation
    adapters = [row.adapter for row in rows if row.adapter.organisation_id == organisation.pk]
    if not _renewed(organisation, adapters):
        for adapter in adapters:
            if not _renewed(organisation, [adapter]):
                Configuration.objects.filter(pk=adapter.pk).update(stale=False)
    return stale.count()


def give_missing(
    actor: Actor, after: int, limit: int, rates: Callable[[Sequence[Adapter]], Mapping[int, int]]
) -> int:  # fmt: skip
    """Slots for the next adapters behind the one with key `after` that should have one and have none.

    `rates` tells their first data rates. Returns the last one's key, 0 when there are no more.
    """
    behind = without_slot().filter(pk__gt=after)
    rows = list(behind.select_related(*_WITH)[:limit])
    known = rates(rows) if rows else {}
    groups: dict[tuple[int | None, int], list[Adapter]] = {}
    for row in rows:
        groups.setdefault((row.concentrator_id, period_of(row)), []).append(row)
    for (concentrator, period_s), adapters in groups.items():
        try:
            with audited(adapters[0].organisation):  # what was read before may be over
                still = without_slot().filter(pk__in=[adapter.pk for adapter in adapters]).select_related(*_WITH)
                some = [row for row in still if (row.concentrator_id, period_of(row)) == (concentrator, period_s)]
                give_slots(actor, some, period_s, lambda adapter: known.get(adapter.pk, SLOWEST))
        except MeterspanError as error:  # the other groups get theirs
            log.warning("slots could not be given: %s", error, extra={"first": adapters[0].dev_eui})
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("slots could not be given", extra={"first": adapters[0].dev_eui})
    return rows[-1].pk if len(rows) == limit else 0


def give_slots(
    actor: Actor, adapters: Sequence[Adapter], period_s: int, rate: Callable[[Adapter], int], *,
    or_overlap: bool = True,
) -> int:  # fmt: skip
    """Slots with `period_s` and configurations for adapters of one concentrator; returns how many got one.

    Nothing where the concentrator's plan says that pairings get none; without `or_overlap`, none over others.
    """
    if not adapters or adapters[0].concentrator is None:
        return 0
    organisation = adapters[0].organisation
    with audited(organisation):
        plan = slots.plan_of(adapters[0].concentrator)
        if not plan.by_pairing:
            return 0
        sizes, given = telegram_sizes(adapters, previous=plan.previous), 0
        for size in sorted(set(sizes.values())):
            alike = [adapter for adapter in adapters if sizes[adapter.pk] == size]
            rates = {one.pk: max(rate(one), slots.slowest_rate(period_s, size)) for one in alike}
            given += slots.assign_many(
                actor,
                organisation,
                alike,
                period_s=period_s,
                size=size,
                data_rate=lambda one: rates[one.pk],  # noqa: B023
                or_overlap=or_overlap,
            )
        refresh_many(adapters)
    return given


def follow_refusal(actor: Actor, row: Configuration) -> bool:
    """Leave out the records of slots that the adapter's firmware refused, and ask again when it has another one.

    True when what is wanted of it has changed. An adapter that does not know slots gives its own back: it sends at
    jittered times, and would keep others from a time that it does not use.
    """
    firmware, refused = row.reported.get("firmware", ""), row.reported.get("refused_record")
    if row.unknown_from is not None and firmware != row.unknown_for:
        return _decide(actor, row, None, "")
    if row.reported.get("refused") != row.version or refused not in SLOT_RECORDS or not row.knows(refused):
        return False
    return _decide(actor, row, refused, firmware)


def _renewed(organisation: Organisation, adapters: Sequence[Adapter]) -> bool:
    try:
        with audited(organisation):
            refresh_many(adapters)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("configurations could not be renewed", extra={"count": len(adapters), "first": str(adapters[0])})
        return False
    return True


def _decide(actor: Actor, row: Configuration, unknown_from: int | None, firmware: str) -> bool:
    adapter = row.adapter
    with audited(adapter.organisation):
        same = Configuration.objects.filter(pk=row.pk, version=row.version, unknown_from=row.unknown_from)
        if not same.update(unknown_from=unknown_from, unknown_for=firmware):
            return False
        if SlotRecord.type in (unknown_from, row.unknown_from):
            adapter.refresh_from_db(fields=["concentrator", "archived_at"])
            settle_slot(actor, adapter)
        refresh_configuration(adapter)
        said = {"record": None if unknown_from is None else f"0x{unknown_from:02x}", "firmware": firmware}
        action = "configuration.tried_again" if unknown_from is None else "configuration.record_left_out"
        record(adapter.organisation, actor, action, adapter, said)
    return True
