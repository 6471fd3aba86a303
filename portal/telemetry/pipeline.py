"""The telegram's way into the database: a list of named steps over a batch.

A step looks at the arrivals that no earlier one refused, and refuses by setting `error`: the telegram is then
stored with that code and without readings. All that a batch writes is one transaction; receipts and live events
follow its commit.
"""

from collections.abc import Callable

from django.db import IntegrityError, transaction

from portal.telemetry import counting, opening, recovery, repeats, replay, reports, sealed
from portal.telemetry.arrivals import Batch
from portal.telemetry.dating import pair_and_date, read_times
from portal.telemetry.directory import Directory
from portal.telemetry.store import Store

Step = Callable[["Pipeline", Batch], None]
CONFLICT_ATTEMPTS = 5


class Pipeline:
    """Runs batches, one at a time, in the thread that owns the database connection."""

    def __init__(self, directory: Directory, store: Store) -> None:
        self.directory, self.store = directory, store

    def run(self, batch: Batch) -> None:
        """Store the batch; every arrival is then committed, refused with `error`, or `known` from before.

        Raises what the database raised, and then has changed nothing.
        """
        try:
            for step in READ:
                step(self, batch)
            self._write(batch)
            self.directory.settle(batch)
        except BaseException:
            self.directory.forget({arrival.telegram.dev_eui for arrival in batch.arrivals})
            raise

    def _write(self, batch: Batch) -> None:
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                with transaction.atomic():
                    for step in WRITE:
                        step(self, batch)
            except IntegrityError:
                if attempt == CONFLICT_ATTEMPTS:
                    raise
                # Another bridge was quicker, or an id came twice: now look every single telegram up.
                for arrival in batch.arrivals:
                    arrival.fresh = False
            else:
                return


def find_adapter(pipeline: Pipeline, batch: Batch) -> None:
    """By DevEUI, within the concentrator's organisation. Refuses `unknown_adapter`, `adapter_revoked`."""
    adapters = pipeline.directory.adapters({arrival.telegram.dev_eui for arrival in batch.arrivals})
    for arrival in batch.arrivals:
        adapter = adapters.get(arrival.telegram.dev_eui)
        if adapter is None or adapter.organisation != arrival.source.organisation:
            arrival.error = arrival.error or "unknown_adapter"
        else:
            arrival.adapter = adapter
            if adapter.revoked:
                arrival.error = arrival.error or "adapter_revoked"


def find_key(_: Pipeline, batch: Batch) -> None:
    """The opener of the telegram's key slot. Refuses `unknown_key_slot`, `no_valid_key`, `foreign_port`."""
    opening.find_keys(batch.arrivals)


def read_registration(_: Pipeline, batch: Batch) -> None:
    """What an adapter reports about itself and its meters. Refuses `format`."""
    reports.read(batch)


def open_or_keep_sealed(_: Pipeline, batch: Batch) -> None:
    """The values, proven by their tag, and the full counter. Refuses `tag_mismatch`, `format` and its kinds."""
    opening.open_values(batch.arrivals)


def advance_counter(_: Pipeline, batch: Batch) -> None:
    """Mark as fresh what counts higher than anything known of its adapter."""
    replay.advance(batch.arrivals)


def keep_values_sealed(pipeline: Pipeline, batch: Batch) -> None:
    """Of organisations that want no clear value stored: the telegram keeps the values, the readings lose them."""
    sealed.keep(batch.arrivals, pipeline.directory)


def drop_known(pipeline: Pipeline, batch: Batch) -> None:
    """Duplicates are `known`; the same counter with other bytes is refused, `replay_other_bytes`, and noted."""
    replay.drop_known(batch, pipeline.store)


def date_anew(_: Pipeline, batch: Batch) -> None:
    """What was sent again on demand was measured between its neighbours, not when it came."""
    repeats.date_anew(batch)


def last_seen(_: Pipeline, batch: Batch) -> None:
    """Add up what the batch changes in the state of its adapters, refusals and their diagnosis included."""
    counting.count(batch)


def make_way(pipeline: Pipeline, batch: Batch) -> None:
    """What was recovered of telegrams that now come themselves goes."""
    recovery.make_way(batch, pipeline.store)


def store(pipeline: Pipeline, batch: Batch) -> None:
    """Telegrams, readings, states and notes, in the step's transaction."""
    pipeline.store.write(batch)


def recover(_: Pipeline, batch: Batch) -> None:
    """Readings of lost telegrams, out of the previous values that the next ones carry."""
    recovery.recover(batch)


def keep_reports(_: Pipeline, batch: Batch) -> None:
    """What the adapters run and which meters they read, as reported and as proven by sealed hashes."""
    reports.keep(batch)


READ: tuple[Step, ...] = (
    read_times,
    find_adapter,
    find_key,
    read_registration,
    open_or_keep_sealed,
    advance_counter,
    pair_and_date,
    keep_values_sealed,
)
WRITE: tuple[Step, ...] = (drop_known, date_anew, last_seen, make_way, store, recover, keep_reports)
