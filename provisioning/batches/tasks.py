"""Work on batches that nobody waits for: the import, going on after a worker died, and forgetting old keys."""

from datetime import timedelta
from typing import Any, Final

from celery import Task, shared_task
from django.db import OperationalError
from django.utils import timezone

from provisioning.accounts.actors import System
from provisioning.audit.services import audited
from provisioning.batches.models import Batch
from provisioning.batches.services import give_up, run, stalled
from provisioning.errors import Conflict

KEPT: Final = timedelta(days=14)  # that long a batch nobody imports keeps its sealed keys
HOUSEKEEPING: Final = System("batches")
_LIMIT_S: Final = 1800


@shared_task(
    bind=True,
    time_limit=_LIMIT_S,
    autoretry_for=(OperationalError,),
    retry_backoff=5,
    max_retries=5,
)
def import_batch(self: "Task[Any, Any]", batch_id: int) -> str:
    """Import a started batch; its progress is told as the task's state. Returns how the batch ended."""
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None:
        return "gone"

    def told(done: int) -> None:
        if self.request.id and not self.request.is_eager:
            self.update_state(state="PROGRESS", meta={"done": done})

    return run(batch, told).state


@shared_task
def go_on() -> int:
    """Queue the imports whose worker died; returns how many."""
    found = stalled(timezone.now())
    for batch in found:
        Batch.objects.filter(pk=batch.pk).update(heartbeat_at=timezone.now())
        import_batch.apply_async((batch.pk,), task_id=batch.task_id or None)
    return len(found)


@shared_task
def forget_keys() -> int:
    """Give up batches that nobody has imported for a long time, with their keys; returns how many."""
    old = Batch.objects.filter(
        state__in=[Batch.State.UPLOADED, Batch.State.CHECKED, Batch.State.FAILED],
        created_at__lt=timezone.now() - KEPT,
    )
    count = 0
    for batch in old.select_related("organisation"):
        with audited(batch.organisation):
            try:
                give_up(HOUSEKEEPING, batch)
            except Conflict:
                continue
            count += 1
    return count
