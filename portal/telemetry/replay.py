"""Every counter once (design 5.8): same bytes are a duplicate, other bytes a security event, late ones are welcome."""

from collections.abc import Iterable

from portal.telemetry.arrivals import Arrival, Batch, Note
from portal.telemetry.store import Key, Store

REPLAY = "replay_other_bytes"


def advance(arrivals: Iterable[Arrival]) -> None:
    """Mark as fresh what counts higher than all that is known of its adapter, and let the adapter count on.

    Telegrams without an inner counter (foreign devices, other ports) count by (epoch, fcnt).
    """
    for arrival in arrivals:
        adapter = arrival.adapter
        if adapter is None or arrival.error is not None:
            continue
        counter = arrival.counter
        if counter is not None:
            last = adapter.last_counter
            if counter != last + 1:
                arrival.gap = True
            if counter > last:
                adapter.last_counter, arrival.fresh = counter, True
            continue
        telegram = arrival.telegram
        if (telegram.epoch, telegram.fcnt) > (adapter.epoch, adapter.fcnt):
            adapter.epoch, adapter.fcnt, arrival.fresh = telegram.epoch, telegram.fcnt, True


def drop_known(batch: Batch, store: Store) -> None:
    """Tell duplicates and replays from telegrams that are only late. Asks the database about what is not fresh."""
    doubtful = batch.doubtful = [arrival for arrival in batch.arrivals if not arrival.fresh]
    if not doubtful:
        return
    ids = store.known_ids([arrival.telegram.id for arrival in doubtful])
    payloads = store.known_payloads({key for arrival in doubtful if (key := _key(arrival)) is not None})
    for arrival in batch.arrivals:
        key, telegram = _key(arrival), arrival.telegram
        if not arrival.fresh:
            if telegram.id in ids:
                arrival.known = True
                continue
            held = payloads.get(key) if key is not None else None
            if held is not None:
                if held == arrival.stored:
                    arrival.known = True
                    continue
                _refuse(arrival, batch)
                key = None
        ids.add(telegram.id)
        if key is not None:
            payloads[key] = arrival.stored


def _key(arrival: Arrival) -> Key | None:
    """What an accepted telegram may exist once for: adapter, then counter or (epoch, fcnt)."""
    adapter, telegram = arrival.adapter, arrival.telegram
    if adapter is None or arrival.error is not None:
        return None
    if arrival.counter is not None:
        return adapter.pk, arrival.counter, -1
    return adapter.pk, telegram.epoch, telegram.fcnt


def _refuse(arrival: Arrival, batch: Batch) -> None:
    arrival.error, arrival.readings, arrival.key = REPLAY, None, None
    detail = {"counter": arrival.counter, "fcnt": arrival.telegram.fcnt, "telegram": arrival.telegram.id}
    batch.notes.append(Note(arrival, "security", REPLAY, detail))
