"""The import itself: by chunks that stand for themselves, or all in one transaction. Run again, it goes on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db import OperationalError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from meterwire.errors import MeterspanError
from provisioning import validation
from provisioning.accounts.actors import Actor, System, name_of, user_of
from provisioning.audit.services import audited, record
from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.services.checking import count, rejudge
from provisioning.batches.services.commit import Imported, register
from provisioning.batches.services.judge import judge
from provisioning.batches.services.slotting import give_slots
from provisioning.batches.tokens import adopt
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at

CHUNK: Final = 500
# How long a worker may say nothing before another one goes on: a transaction for all rows tells nothing until its end.
LEASE: Final = {Batch.Mode.SKIP_BAD_ROWS: timedelta(minutes=2), Batch.Mode.ALL_OR_NOTHING: timedelta(minutes=10)}
COMMAND: Final = System("import_adapters")
ATTEMPTS: Final = 3

Told = Callable[[int], object]


def start(actor: Actor, batch: Batch, mode: str = "") -> Batch:
    """Release a checked batch for import; `mode` empty keeps its own. Then call `run`, here or in a worker.

    Conflict when it is not checked, brings nothing new, or has bad rows and all or nothing is wanted.
    """
    require_at(actor, batch.organisation_id, batch.site_id, "batches.import")
    mode = validation.choice("mode", mode or batch.mode, Batch.Mode.values)
    with audited(batch.organisation):
        batch.refresh_from_db()
        if batch.state not in (Batch.State.CHECKED, Batch.State.FAILED):
            raise Conflict(_("This batch waits for no import any more; look at it again."))
        if not batch.new:
            raise Conflict(_("There is nothing new in this batch."))
        if batch.bad and mode == Batch.Mode.ALL_OR_NOTHING:
            bad = ngettext("{n} row is bad", "{n} rows are bad", batch.bad).format(n=batch.bad)
            raise Conflict(_("{bad}. Correct the file and upload it again, or skip bad rows.").format(bad=bad))
        now = timezone.now()
        fields = {"mode": mode, "state": Batch.State.IMPORTING, "started_by": user_of(actor), "failure": ""}
        moved = Batch.objects.filter(pk=batch.pk, state=batch.state).update(**fields, started_at=now, heartbeat_at=now)
        if not moved:
            raise Conflict(_("Somebody else was quicker; look at the batch again."))
        record(batch.organisation, actor, "batch.started", batch, {"mode": mode, "rows": batch.new})
    batch.refresh_from_db()
    return batch


def run(batch: Batch, told: Told | None = None) -> Batch:
    """Import a batch that was started, as the person who started it; after a crash it goes on where it was.

    `told` is called with the number of rows done. What fails is written into the batch, which is FAILED then.
    """
    batch = Batch.objects.select_related("organisation", "started_by").get(pk=batch.pk)
    if batch.state != Batch.State.IMPORTING:
        return batch
    actor = batch.started_by or COMMAND
    work = _all_rows if batch.mode == Batch.Mode.ALL_OR_NOTHING else _by_chunks
    try:
        require_at(actor, batch.organisation_id, batch.site_id, "batches.import")
        work(actor, batch, told or (lambda done: None))
    except MeterspanError as error:
        _fail(batch, str(error))
    batch.refresh_from_db()
    return batch


def cancel(actor: Actor, batch: Batch) -> Batch:
    """Give a batch up: what is registered stays, the keys of all other rows are forgotten."""
    require_at(actor, batch.organisation_id, batch.site_id, "batches.import")
    with audited(batch.organisation):
        give_up(actor, batch)
    batch.refresh_from_db()
    return batch


def give_up(actor: Actor, batch: Batch) -> None:
    """The same without asking; the caller holds the chain."""
    now = timezone.now()
    rows = Batch.objects.filter(pk=batch.pk).exclude(state__in=[Batch.State.DONE, Batch.State.CANCELLED])
    if not rows.update(state=Batch.State.CANCELLED, finished_at=now):
        raise Conflict(_("This batch is over already."))
    left = BatchRow.objects.filter(batch=batch).exclude(state=BatchRow.State.IMPORTED)
    forgotten = left.update(sealed=b"", token_sealed=b"")
    record(batch.organisation, actor, "batch.cancelled", batch, {"forgotten": forgotten})


def stalled(now: datetime) -> list[Batch]:
    """Batches whose worker has said nothing for longer than it may."""
    rows = Batch.objects.filter(state=Batch.State.IMPORTING, heartbeat_at__lt=now - min(LEASE.values()))
    return [batch for batch in rows if is_stalled(batch, now)]


def is_stalled(batch: Batch, now: datetime) -> bool:
    """Whether another worker may go on with it."""
    beat = batch.heartbeat_at
    return batch.state == Batch.State.IMPORTING and (beat is None or beat < now - LEASE[Batch.Mode(batch.mode)])


def _by_chunks(actor: Actor, batch: Batch, told: Told) -> None:
    done, attempts = batch.imported, 0
    while True:
        try:
            with audited(batch.organisation):
                _still_wanted(batch)
                rows = _next(batch, 0)
                imported = _register_new(actor, batch, rows) if rows else None
                if imported:
                    record(batch.organisation, actor, "batch.imported", batch, imported.as_data())
                    done += imported.adapters
                    Batch.objects.filter(pk=batch.pk).update(imported=F("imported") + imported.adapters)
                Batch.objects.filter(pk=batch.pk).update(heartbeat_at=timezone.now())
        except (Conflict, OperationalError):
            attempts += 1
            if attempts >= ATTEMPTS or not _wanted(batch):
                raise
            continue
        if not rows:
            _give_and_finish(actor, batch, told)
            return
        attempts = 0
        told(done)


def _register_new(actor: Actor, batch: Batch, rows: list[BatchRow]) -> Imported | None:
    """What is still new of these rows; what somebody registered meanwhile is judged again."""
    judged = judge(batch.organisation_id, rows, batch.columns)
    BatchRow.objects.bulk_update(judged, ("state", "errors", "codes"))
    new = [row for row in rows if row.state == BatchRow.State.NEW]
    if not new:
        return None
    made = register(batch, new, _taken())
    adopt(actor, batch, [row.line for row in new])
    return made


def _all_rows(actor: Actor, batch: Batch, told: Told) -> None:
    """The organisation's chain is locked last and briefly, so that its other work goes on meanwhile."""
    with transaction.atomic():
        parts: list[Imported] = []
        line = 0
        while rows := _next(batch, line):
            _still_wanted(batch)
            if judge(batch.organisation_id, rows, batch.columns):
                raise Conflict(_taken())
            parts.append(register(batch, rows, _taken()))
            line = rows[-1].line
            told(sum(part.adapters for part in parts))
        with audited(batch.organisation):
            _still_wanted(batch)
            for part in parts:
                adopt(actor, batch, range(part.first, part.last + 1))
                record(batch.organisation, actor, "batch.imported", batch, part.as_data())
            if parts:
                brought = sum(part.adapters for part in parts)
                Batch.objects.filter(pk=batch.pk).update(imported=brought, heartbeat_at=timezone.now())
    _give_and_finish(actor, batch, told)


def _give_and_finish(actor: Actor, batch: Batch, told: Told) -> None:
    """Slots come in transactions of their own: the organisation's other work does not wait for 30,000 of them."""
    given = give_slots(COMMAND, batch, told, lambda: _still_wanted(batch))
    with audited(batch.organisation):
        _still_wanted(batch)
        if given:
            record(batch.organisation, actor, "batch.slots_given", batch, {"slots": given})
        _finish(actor, batch)


def _next(batch: Batch, after: int) -> list[BatchRow]:
    rows = BatchRow.objects.filter(batch=batch, state=BatchRow.State.NEW, line__gt=after)
    return list(rows.order_by("line")[:CHUNK])


def _finish(actor: Actor, batch: Batch) -> None:
    bad = BatchRow.objects.filter(batch=batch, state=BatchRow.State.BAD)
    bad.update(state=BatchRow.State.SKIPPED, sealed=b"", token_sealed=b"")
    known = BatchRow.objects.filter(batch=batch, state=BatchRow.State.KNOWN)
    known.update(sealed=b"", token_sealed=b"")
    count(batch)
    now = timezone.now()
    skipped = BatchRow.objects.filter(batch=batch, state=BatchRow.State.SKIPPED).count()
    batch.bad = skipped
    moved = Batch.objects.filter(pk=batch.pk, state=Batch.State.IMPORTING).update(
        state=Batch.State.DONE,
        new=batch.new,
        known=batch.known,
        bad=batch.bad,
        imported=batch.imported,
        error_counts=batch.error_counts,
        finished_at=now,
        heartbeat_at=now,
    )
    if not moved:
        raise Conflict(_gone())
    data = {"imported": batch.imported, "known": batch.known, "skipped": skipped, "by": name_of(actor)}
    record(batch.organisation, actor, "batch.finished", batch, data)


def _fail(batch: Batch, reason: str) -> None:
    with transaction.atomic():
        moved = Batch.objects.filter(pk=batch.pk, state=Batch.State.IMPORTING).update(
            state=Batch.State.FAILED, failure=reason[:300], finished_at=timezone.now()
        )
        if moved:
            rejudge(batch)
            count(batch)
            batch.save(update_fields=["total", "new", "known", "bad", "imported", "error_counts"])


def _wanted(batch: Batch) -> bool:
    return Batch.objects.filter(pk=batch.pk, state=Batch.State.IMPORTING).exists()


def _still_wanted(batch: Batch) -> None:
    if not _wanted(batch):
        raise Conflict(_gone())


def _gone() -> str:
    return _("This batch was cancelled or finished by somebody else.")


def _taken() -> str:
    return _("Something in this batch was registered by somebody else meanwhile; check it again.")
