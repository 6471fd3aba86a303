"""Telegrams that an adapter sent again because they were asked for: their values are older than their reception.

A telegram tells no date. One that comes after its successor was heard was measured between its neighbours.
"""

from portal.telemetry.arrivals import MICROSECONDS, Arrival, Batch, microseconds
from portal.telemetry.dating import point_at
from portal.telemetry.models import Reading


def date_anew(batch: Batch) -> None:
    """In the batch's transaction: date the readings of telegrams that came again out of their order."""
    for arrival in batch.doubtful:
        if arrival.known or arrival.error is not None or not arrival.readings:
            continue
        at = _measured(arrival)
        adapter = arrival.adapter
        if at is not None and adapter is not None:
            arrival.readings = [
                (register, value, at, point_at(adapter, register, at)) for register, value, _, _ in arrival.readings
            ]


def _measured(arrival: Arrival) -> int | None:
    """None where the telegram came before its successor: it was late on the way, not sent again."""
    adapter, counter = arrival.adapter, arrival.counter
    if adapter is None or counter is None:
        return None
    rows = Reading.objects.filter(adapter=adapter.pk).values_list("counter", "measured_at")
    after = rows.filter(counter__gt=counter).order_by("counter", "register").first()
    sent = max(measured for _, _, measured, _ in arrival.readings or ())
    if after is None or sent <= microseconds(after[1]):
        return None
    told = rows.filter(counter=counter, recovered=True).order_by("register").first()
    if told is not None:
        return microseconds(told[1])
    end = microseconds(after[1])
    before = rows.filter(counter__lt=counter).order_by("-counter", "register").first()
    if before is None:
        return end - round((after[0] - counter) * (adapter.period_s or 0.0) * MICROSECONDS)
    begin = microseconds(before[1])
    return begin + (end - begin) * (counter - before[0]) // (after[0] - before[0])
