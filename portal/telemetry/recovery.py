"""Readings whose telegram was lost and whose value the next telegram told: its previous value (meterwire.previous).

Such a reading has the lost telegram's counter and is `recovered`. It overwrites nothing, and goes when the lost
telegram comes after all.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

from meterwire.errors import ValueOutOfRange
from meterwire.previous import earlier
from meterwire.registers import PREVIOUS
from meterwire.values_telegram import Value
from portal.telemetry.arrivals import MICROSECONDS, Arrival, Batch, microseconds, moment
from portal.telemetry.counting import late_before
from portal.telemetry.dating import point_at
from portal.telemetry.models import DayRollup, HourRollup, LateHour, Reading
from portal.telemetry.rollups import day_of, hour_of
from portal.telemetry.store import Store
from provisioning.slots.models import Assignment

log = logging.getLogger(__name__)

_Slot = tuple[int, bool]  # period in seconds, and whether the adapter has said that it runs this slot


def make_way(batch: Batch, store: Store) -> None:
    """In the batch's transaction: what was recovered of telegrams that now come themselves goes."""
    late = {
        (arrival.adapter.pk, arrival.counter): arrival
        for arrival in batch.doubtful
        if arrival.readings and arrival.adapter is not None and arrival.counter is not None and _counts(arrival)
    }
    if not late:
        return
    for adapter, counter in store.recovered(late):
        hours = {_hour(measured) for _, _, measured, _ in late[adapter, counter].readings or ()}
        rows = Reading.objects.filter(adapter=adapter, counter=counter, recovered=True)
        for row in list(rows):
            _condense_anew(row, hours)
        rows.delete()


def recover(batch: Batch) -> None:
    """In the batch's transaction: make readings of what telegrams after a gap tell of the lost one before them."""
    telling = [arrival for arrival in batch.arrivals if arrival.gap and _counts(arrival) and _carries(arrival)]
    if not telling:
        return
    slots = _slots({arrival.adapter.pk for arrival in telling if arrival.adapter is not None})
    rows = [row for arrival in telling for row in _rows(arrival, slots)]
    Reading.objects.bulk_create(rows, ignore_conflicts=True)
    settled = moment(late_before(batch.now_us))
    hours = {(hour_of(row.measured_at), row.adapter_id) for row in rows if row.measured_at < settled}
    _condense(hours)


def _counts(arrival: Arrival) -> bool:
    return arrival.error is None and not arrival.known and arrival.counter is not None


def _carries(arrival: Arrival) -> bool:
    return arrival.opener is not None and any(register & 31 == PREVIOUS for register, _ in arrival.values or ())


def _rows(arrival: Arrival, slots: Mapping[int, _Slot]) -> list[Reading]:
    """Of an input whose lost telegram cannot be dated there is none."""
    adapter, counter = arrival.adapter, arrival.counter
    if adapter is None or not counter:
        return []
    values = [Value(register, value) for register, value in arrival.values or () if value is not None]
    try:
        told = earlier(values)
    except ValueOutOfRange:  # its text tells values, which may be none for the log
        log.warning("a previous value cannot be true", extra={"adapter": adapter.dev_eui, "counter": counter})
        return []
    measured = {register: us for register, _, us, _ in arrival.readings or ()}
    rows = []
    for value in told:
        before = _before(arrival, value.register, measured[value.register], slots.get(adapter.pk))
        if before is None:
            continue
        rows.append(
            Reading(
                adapter_id=adapter.pk,
                counter=counter - 1,
                register=value.register,
                # Where values rest in telegrams, the value of this one rests in the telegram that told it.
                value=value.value if arrival.key is None else None,
                measured_at=moment(before),
                metering_point_id=point_at(adapter, value.register, before),
                recovered=True,
            )
        )
    return rows


def _before(arrival: Arrival, register: int, us: int, slot: _Slot | None) -> int | None:
    """When the value before was measured: a period earlier. The period is the slot's where the adapter runs it, else
    what the telegrams around the gap or those of late tell; None where nothing does.
    """
    assert arrival.adapter is not None
    assert arrival.counter is not None
    if slot is not None and slot[1]:
        return us - slot[0] * MICROSECONDS
    rows = Reading.objects.filter(adapter=arrival.adapter.pk, register=register, counter=arrival.counter - 2)
    last = rows.values_list("measured_at", flat=True).first()
    if last is not None and microseconds(last) < us:
        return (microseconds(last) + us) // 2
    period_s = arrival.adapter.period_s or (None if slot is None else slot[0])
    return None if period_s is None else us - round(period_s * MICROSECONDS)


def _slots(adapters: Iterable[int]) -> dict[int, _Slot]:
    rows = Assignment.objects.filter(pk__in=adapters, concentrator__isnull=False)
    columns = rows.values_list("pk", "period_s", "version", "echoed_version")
    return {pk: (period_s, version == echoed) for pk, period_s, version, echoed in columns}


def _condense_anew(row: Reading, hours: set[datetime]) -> None:
    """The hour that held the recovered reading, which may hold none now; the true one may belong to another."""
    hour = hour_of(row.measured_at)
    if hour not in hours:
        HourRollup.objects.filter(adapter=row.adapter_id, register=row.register, start=hour).delete()
        DayRollup.objects.filter(adapter=row.adapter_id, register=row.register, start=day_of(hour)).delete()
    _condense({(start, row.adapter_id) for start in {hour, *hours}})


def _condense(hours: set[tuple[datetime, int]]) -> None:
    rows = [LateHour(start=start, adapter_id=adapter) for start, adapter in sorted(hours)]
    LateHour.objects.bulk_create(rows, ignore_conflicts=True)


def _hour(us: int) -> datetime:
    return hour_of(moment(us))
