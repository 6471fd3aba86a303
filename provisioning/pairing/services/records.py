"""The records that adapters should run (port 33), put together from what is stored, for many with few queries."""

import json
from collections.abc import Iterable, Mapping, Sequence

from meterwire.config_records import MeterIdentity, PreviousRecord, Record, Registers, Reporting, SlotRecord
from meterwire.ids import MeterId
from provisioning.fleet.models import Adapter, Meter
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.services.telegram_size import telegram_sizes
from provisioning.slots.closed_time import beacon, open_now
from provisioning.slots.models import Assignment, SlotPlan


def records_of(
    adapters: Sequence[Adapter], rows: Mapping[int, Configuration], slots: Mapping[int, Assignment] | None = None
) -> dict[int, tuple[Record, ...]]:
    """By adapter: the registered identity of each paired input, what an operator set (`rows`), its slot and plan.

    `slots` are the adapters' where the caller has them at hand. A foreign device has none. What an adapter's firmware
    does not know is left out.
    """
    ours = [adapter.pk for adapter in adapters if adapter.kind == Adapter.Kind.METERSPAN]
    held = Pairing.objects.filter(adapter__in=ours, to_at=None, meter__isnull=False)
    named: dict[int, list[MeterIdentity]] = {}
    for pairing in held.select_related("meter").order_by("input"):
        named.setdefault(pairing.adapter_id, []).append(MeterIdentity(pairing.input, _octets(pairing.meter)))
    if slots is None:
        given = Assignment.objects.filter(adapter__in=ours, concentrator__isnull=False)
        slots = given.select_related("concentrator__slot_plan").in_bulk()
    previous = _with_previous([one for one in adapters if one.pk in slots], slots)
    return {pk: (*named.get(pk, ()), *_wanted(rows.get(pk), slots.get(pk), pk in previous)) for pk in ours}


def wire(records: Iterable[Record]) -> str:
    """Type, length and value of each record, hex, as Configuration keeps them."""
    encoded = ((item.type, item.encode()) for item in records)
    return b"".join(bytes((kind, len(value))) + value for kind, value in encoded).hex()


def _octets(meter: Meter | None) -> bytes:
    assert meter is not None
    return bytes.fromhex(meter.server_id) if meter.server_id else MeterId.parse(meter.meter_id).server_id()


def _wanted(row: Configuration | None, slot: Assignment | None, previous: bool) -> Iterable[Record]:
    if row is not None:
        yield from _reporting(row)
    yield from (record for record in _slot(slot, previous) if row is None or row.knows(record.type))


def _slot(row: Assignment | None, previous: bool) -> Iterable[Record]:
    """Without a slot the adapter sends at jittered times, and needs to know nothing of the others'."""
    if row is None or (slot := row.slot) is None:
        return
    yield SlotRecord(slot)
    plan = _plan(row)
    if (heard := beacon(plan)) is not None:
        yield heard
    if previous:
        yield PreviousRecord(True)
    if (free := open_now(plan)) is not None:
        yield free


def _with_previous(adapters: Sequence[Adapter], slots: Mapping[int, Assignment]) -> set[int]:
    """Whose plan wants previous values and whose slot has room for them: it may have been given before that plan."""
    wanted = [one for one in adapters if _plan(slots[one.pk]).previous]
    sizes = telegram_sizes(wanted, previous=True) if wanted else {}
    return {pk for pk, size in sizes.items() if size <= slots[pk].size}


def _plan(slot: Assignment) -> SlotPlan:
    return getattr(slot.concentrator, "slot_plan", None) or SlotPlan()


def _reporting(row: Configuration) -> Iterable[Record]:
    if row.period_s is not None:
        yield Reporting(row.period_s)
    for input, indexes in json.loads(row.registers or "{}").items():
        yield Registers(int(input), tuple(indexes))
