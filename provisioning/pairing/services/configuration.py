"""What an adapter should run (port 33): wanted by its pairings and by what an operator set, numbered by version."""

import json
from collections.abc import Iterable, Mapping, Sequence

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.config_records import Record, Registers
from meterwire.errors import MeterspanError
from meterwire.registers import REGISTERS
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration
from provisioning.pairing.services.records import records_of, wire
from provisioning.pairing.services.slots import settle_slot
from provisioning.slots.models import Assignment

MAX_VERSION = 0xFFFF
MIN_PERIOD_S, MAX_PERIOD_S = 60, 86_400
MAX_REGISTERS = 8  # of one input; more do not fit into a telegram of the slowest data rate
_NUMBERED = ["version", "records"]
_RENEWED = [*_NUMBERED, "changed_at", "sent_at"]


def desired_configuration(adapter: Adapter) -> tuple[Record, ...]:
    """All records: the registered identity of each paired input, what an operator set, the slot and its plan."""
    return records_of([adapter], Configuration.objects.in_bulk([adapter.pk])).get(adapter.pk, ())


def refresh_configuration(adapter: Adapter, slot: Assignment | None = None) -> Configuration:
    """Raise the version when what is wanted has changed. Belongs inside the transaction of the change.

    `slot` is the adapter's, where the caller has it at hand.
    """
    row = Configuration.objects.filter(adapter=adapter).first() or Configuration(adapter=adapter)
    slots = None if slot is None else {adapter.pk: slot}
    made = row._state.adding
    if _renew(row, records_of([adapter], {adapter.pk: row}, slots).get(adapter.pk, ())):
        row.save(force_insert=made, update_fields=None if made else _RENEWED)
    elif made:
        row.save(force_insert=True)
    return row


def refresh_many(adapters: Sequence[Adapter]) -> int:
    """The same for many with few statements; returns how many have changed. None of them is stale then."""
    ours = [adapter for adapter in adapters if adapter.kind == Adapter.Kind.METERSPAN]
    known = Configuration.objects.select_for_update().filter(adapter__in=ours).order_by("pk")
    rows = {row.pk: row for row in known}
    new = {adapter.pk: Configuration(adapter=adapter) for adapter in ours if adapter.pk not in rows}
    every = rows | new
    changed = [pk for pk, records in records_of(ours, every).items() if _renew(every[pk], records)]
    Configuration.objects.bulk_create(new.values(), batch_size=1000)
    Configuration.objects.bulk_update([rows[pk] for pk in changed if pk in rows], _NUMBERED, batch_size=250)
    Configuration.objects.filter(adapter__in=changed).update(changed_at=timezone.now(), sent_at=None)
    Configuration.objects.filter(adapter__in=adapters, stale=True).update(stale=False)
    return len(changed)


def set_periods(periods: Mapping[int, int]) -> None:
    """Seconds between telegrams by adapter, in the transaction of a service that has checked them."""
    rows = [Configuration(adapter_id=pk, period_s=period_s) for pk, period_s in periods.items()]
    Configuration.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["adapter"], update_fields=["period_s"], batch_size=1000
    )


def set_reporting(
    actor: Actor, adapter: Adapter, *, period_s: int | None, registers: Mapping[int, Iterable[int]] | None = None
) -> Configuration:
    """How often the adapter sends (None: as it was set up), and which registers of which input (missing: its own)."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    if period_s is not None and not MIN_PERIOD_S <= period_s <= MAX_PERIOD_S:
        raise Invalid("period_s", _("The period is from one minute to one day."))
    wanted = _checked(registers or {})
    with audited(adapter.organisation):
        row, _made = Configuration.objects.get_or_create(adapter=adapter)
        text = json.dumps(wanted, sort_keys=True) if wanted else ""
        before = {"period_s": row.period_s, "registers": row.registers}
        Configuration.objects.filter(adapter=adapter).update(period_s=period_s, registers=text)
        settle_slot(actor, adapter)
        row = refresh_configuration(adapter)
        after = {"period_s": period_s, "registers": text}
        changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        if changed:
            record(adapter.organisation, actor, "adapter.reporting_set", adapter, {**changed, "version": row.version})
    return row


def _renew(row: Configuration, records: Iterable[Record]) -> bool:
    """Write other records into `row`, unsaved, under the next version; False when they are the same."""
    text = wire(records)
    if row.records == text:
        return False
    row.version = row.version % MAX_VERSION + 1
    row.records, row.changed_at, row.sent_at = text, timezone.now(), None
    return True


def _checked(registers: Mapping[int, Iterable[int]]) -> dict[str, list[int]]:
    wanted = {}
    for input, indexes in registers.items():
        chosen = list(indexes)
        known = all(isinstance(index, int) and index in REGISTERS for index in chosen)
        if not known or not 1 <= len(chosen) <= MAX_REGISTERS or len(set(chosen)) != len(chosen):
            message = _("Choose 1 to {limit} different registers of the dictionary for an input.")
            raise Invalid("registers", message.format(limit=MAX_REGISTERS))
        try:
            Registers(input, tuple(chosen)).encode()
        except MeterspanError as error:
            raise Invalid("registers", str(error)) from None
        wanted[str(input)] = chosen
    return wanted
