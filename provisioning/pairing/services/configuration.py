"""What an adapter should run (port 33): wanted by its pairings and by what an operator set, numbered by version."""

import json
from collections.abc import Iterable, Mapping

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.config_records import MeterIdentity, PreviousRecord, Record, Registers, Reporting, SlotRecord
from meterwire.errors import MeterspanError
from meterwire.ids import MeterId
from meterwire.registers import REGISTERS
from meterwire.slots import Kind
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Meter
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.services.slots import settle_slot
from provisioning.slots.models import Assignment

MAX_VERSION = 0xFFFF
MIN_PERIOD_S, MAX_PERIOD_S = 60, 86_400
MAX_REGISTERS = 8  # of one input; more do not fit into a telegram of the slowest data rate


def desired_configuration(adapter: Adapter) -> tuple[Record, ...]:
    """All records: the registered identity of each paired input, what an operator set, and the slot."""
    if adapter.kind != Adapter.Kind.METERSPAN:
        return ()
    return _records(adapter, Configuration.objects.filter(adapter=adapter).first())


def refresh_configuration(adapter: Adapter, slot: Assignment | None = None) -> Configuration:
    """Raise the version when what is wanted has changed. Belongs inside the transaction of the change.

    `slot` is the adapter's, where the caller has it at hand.
    """
    row = Configuration.objects.filter(adapter=adapter).first() or Configuration(adapter=adapter)
    records = wire(_records(adapter, row, slot)) if adapter.kind == Adapter.Kind.METERSPAN else ""
    made = row._state.adding
    if row.records != records:
        row.version = row.version % MAX_VERSION + 1
        row.records, row.changed_at, row.sent_at = records, timezone.now(), None
    elif not made:
        return row
    row.save(force_insert=made, update_fields=None if made else ["version", "records", "changed_at", "sent_at"])
    return row


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


def wire(records: Iterable[Record]) -> str:
    """Type, length and value of each record, hex, as Configuration keeps them."""
    encoded = ((item.type, item.encode()) for item in records)
    return b"".join(bytes((kind, len(value))) + value for kind, value in encoded).hex()


def _octets(meter: Meter | None) -> bytes:
    assert meter is not None
    return bytes.fromhex(meter.server_id) if meter.server_id else MeterId.parse(meter.meter_id).server_id()


def _records(adapter: Adapter, row: Configuration | None, slot: Assignment | None = None) -> tuple[Record, ...]:
    held = Pairing.objects.filter(adapter=adapter, to_at=None, meter__isnull=False).order_by("input")
    named = [MeterIdentity(pairing.input, _octets(pairing.meter)) for pairing in held.select_related("meter")]
    return (
        *named,
        *(() if row is None else _reporting(row)),
        *_slot(slot or Assignment.objects.filter(adapter=adapter).first()),
    )


def _slot(row: Assignment | None) -> Iterable[Record]:
    """Without a slot the adapter sends at jittered times."""
    if row is not None and (slot := row.slot) is not None:
        yield SlotRecord(slot)
        if row.size >= Kind.VALUES_PREVIOUS:
            yield PreviousRecord(True)


def _reporting(row: Configuration) -> Iterable[Record]:
    if row.period_s is not None:
        yield Reporting(row.period_s)
    for input, indexes in json.loads(row.registers or "{}").items():
        yield Registers(int(input), tuple(indexes))


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
