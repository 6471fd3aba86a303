"""The dry run: every row against its fellows and against what is registered. Nothing is registered by it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.rows import Error, RowReader, add_errors
from provisioning.batches.services.judge import judge
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at

CHUNK = 1000
CHECKABLE = (Batch.State.UPLOADED, Batch.State.CHECKED, Batch.State.FAILED)
_OPEN = (BatchRow.State.NEW, BatchRow.State.KNOWN, BatchRow.State.BAD)
_JUDGED = ("state", "errors", "codes")
T = TypeVar("T")


def check(actor: Actor, batch: Batch) -> Batch:
    """Judge all rows anew and count them; the batch is CHECKED. Conflict when it is being imported, or over."""
    require_at(actor, batch.organisation_id, batch.site_id, "batches.import")
    with transaction.atomic():
        batch = Batch.objects.select_for_update().get(pk=batch.pk)
        if batch.state not in CHECKABLE:
            raise Conflict(_("This batch is {state}; it cannot be checked now.").format(state=_state(batch)))
        rejudge(batch)
        count(batch)
        batch.state, batch.checked_at, batch.failure = Batch.State.CHECKED, timezone.now(), ""
        batch.save(update_fields=["state", "checked_at", "failure", "total", "new", "known", "bad", "error_counts"])
    return batch


def rejudge(batch: Batch) -> None:
    """Hold all rows that are sound in themselves against what is registered."""
    rows = BatchRow.objects.filter(batch=batch, flawed=False, state__in=_OPEN).order_by("line")
    rows = rows.defer("sealed", "token_sealed", "token_digest")
    for chunk in chunks(rows.iterator(CHUNK), CHUNK):
        changed = judge(batch.organisation_id, chunk, batch.columns)
        BatchRow.objects.bulk_update(changed, _JUDGED, batch_size=250)


def mark_repeats(batch: Batch, reader: RowReader) -> None:
    """Make rows bad that share a DevEUI, a key or a token with another row."""
    for chunk in chunks(reader.repeats(), CHUNK):
        errors: dict[int, list[Error]] = {}
        for line, error in chunk:
            errors.setdefault(line, []).append(error)
        rows = list(BatchRow.objects.filter(batch=batch, line__in=errors))
        for row in rows:
            add_errors(row, errors[row.line])
        BatchRow.objects.bulk_update(rows, (*_JUDGED, "flawed", "sealed", "token_sealed"), batch_size=250)


def count(batch: Batch) -> None:
    """Fill in the numbers of the batch; does not save it."""
    states: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for state, found in BatchRow.objects.filter(batch=batch).values_list("state", "codes").iterator(5000):
        states[state] += 1
        codes.update(code for code in found.split("|") if code)
    batch.total = states.total()
    batch.new, batch.known, batch.bad = states["new"], states["known"], states["bad"]
    batch.imported = states["imported"]
    batch.error_counts = dict(sorted(codes.items()))


def chunks(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """The items in lists of `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _state(batch: Batch) -> str:
    return str(Batch.State(batch.state).label).lower()
