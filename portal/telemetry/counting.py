"""What a batch changes in the state of its adapters: last heard, radio figures, counters, refusals, period."""

from meterwire.values_telegram import PORT
from portal.telemetry.arrivals import MICROSECONDS, AdapterRecord, Batch

SILENT_AFTER = 3  # periods
STARTING_PERIOD_S = 900.0  # until the real one is known
MIN_SILENCE_S = 60.0
GRACE_US = 300 * MICROSECONDS  # an hour is condensed ten minutes after its end at the earliest
HOUR_US = 3_600 * MICROSECONDS
RISING, FALLING = 0.5, 0.25  # how fast the period follows; too long a period is the smaller mistake
YOUNG = 8  # telegrams; what such an adapter sent while it was installed was closer together than it will be
MAX_STEP = 2.0  # the period follows by at most this factor per telegram, so that an outage does not pass for one


def count(batch: Batch) -> None:
    """Fill the third block of each AdapterRecord concerned and `batch.touched`. May be repeated after a conflict."""
    for record in batch.touched:
        record.settle()
    touched = batch.touched = []
    batch.late.clear()
    settled = late_before(batch.now_us)
    for arrival in batch.arrivals:
        adapter = arrival.adapter
        if adapter is None or arrival.known:
            continue
        if not adapter.touched:
            adapter.touched = True
            touched.append(adapter)
        if arrival.error is not None:
            adapter.refused += 1
            adapter.error, adapter.error_us = arrival.error, arrival.received_us
            continue
        adapter.telegrams += 1
        counter = arrival.counter
        if counter is not None:
            adapter.received += 1
            adapter.high = max(adapter.high, counter)
            if counter < adapter.low or adapter.low < 0:
                adapter.low = counter
            for _, _, measured, _ in arrival.readings or ():
                if measured < settled:
                    batch.late.add((measured - measured % HOUR_US, adapter.pk))
        if adapter.latest is None or arrival.received_us >= adapter.latest.received_us:
            adapter.latest = arrival
    for record in touched:
        if record.latest is not None:
            if record.last_us and (record.foreign or record.latest.telegram.fport == PORT):  # reports follow no period
                record.new_period_s = _period(record, (record.latest.received_us - record.last_us) / MICROSECONDS)
            patience = SILENT_AFTER * (record.new_period_s or STARTING_PERIOD_S)
            record.due_us = record.latest.received_us + round(max(patience, MIN_SILENCE_S) * MICROSECONDS)


def late_before(now_us: int) -> int:
    """What was measured before that moment may belong to an hour that is condensed already; microseconds."""
    begin = now_us - GRACE_US
    return begin - begin % HOUR_US


def _period(adapter: AdapterRecord, seconds: float) -> float | None:
    """The smoothed distance of telegrams after this batch, judged by counters so that losses do not show."""
    known = adapter.period_s
    before, now = adapter.stored_counter, adapter.high
    if (before < 0) != (now < 0):
        return known  # a report between values telegrams, or before the first one: it follows no period
    steps = now - before if now >= 0 else adapter.telegrams
    if seconds <= 0 or steps <= 0:
        return known
    seen = seconds / steps
    if known is None:
        return seen
    if known < seen and 0 <= now < YOUNG:
        return seen
    if seen > known * MAX_STEP:
        seen = known * MAX_STEP
    elif seen < known / MAX_STEP:
        seen = known / MAX_STEP
    return known + (RISING if seen > known else FALLING) * (seen - known)
