"""Time slots for the adapters of a batch, so that they have them before anybody has hung them up."""

import logging
from collections.abc import Callable
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from meterwire.errors import MeterspanError
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited
from provisioning.batches.models import Batch, BatchRow
from provisioning.fleet.models import Adapter
from provisioning.pairing import services as pairing

log = logging.getLogger(__name__)

CHUNK: Final = 1000


def give_slots(actor: Actor, batch: Batch, told: Callable[[int], object], check: Callable[[], None]) -> int:
    """Slots at the batch's concentrator for its imported adapters, and the periods that their rows name.

    A transaction for each CHUNK; who has a slot keeps it, so a second run goes on after the first. Whom no slot can be
    given now, as there is no free room, gets one when it is paired: nobody who sends is disturbed for what lies in a
    box. `told` hears how many rows are done, `check` may raise before each chunk.
    Returns how many slots were given.
    """
    rows = BatchRow.objects.filter(batch=batch, state=BatchRow.State.IMPORTED)
    if batch.concentrator_id is None:
        rows = rows.filter(values__has_key="period_s")  # their slot comes with their concentrator
    line = given = done = 0
    while chunk := list(rows.filter(line__gt=line).order_by("line").only("line", "dev_eui", "values")[:CHUNK]):
        check()
        try:
            with audited(batch.organisation):
                given += _give(actor, batch, {row.dev_eui: row.values for row in chunk})
        except MeterspanError as error:
            log.warning("imported adapters got no slots: %s", error, extra={"batch": batch.pk, "line": chunk[0].line})
        Batch.objects.filter(pk=batch.pk).update(heartbeat_at=timezone.now())
        line, done = chunk[-1].line, done + len(chunk)
        told(done)
    return given


def _give(actor: Actor, batch: Batch, values: dict[str, dict[str, Any]]) -> int:
    free = Q(slot=None) | Q(slot__concentrator=None)
    found = Adapter.objects.filter(
        free, organisation=batch.organisation_id, dev_eui__in=values, archived_at=None, kind=Adapter.Kind.METERSPAN
    )
    adapters = list(found.select_related("organisation", "concentrator__slot_plan").order_by("pk"))
    named = {row.pk: values[row.dev_eui]["period_s"] for row in adapters if "period_s" in values[row.dev_eui]}
    pairing.set_periods(named)
    rates = {row.pk: values[row.dev_eui].get("data_rate", pairing.SLOWEST) for row in adapters}
    by_period: dict[int, list[Adapter]] = {}
    for row in adapters:
        if row.concentrator_id == batch.concentrator_id and row.concentrator_id is not None:
            by_period.setdefault(named.get(row.pk, pairing.USUAL_PERIOD_S), []).append(row)
    # Short periods first: the others fit in between, and need not be told afterwards that the open minute has ended.
    given = sum(
        pairing.give_slots(actor, some, period_s, lambda row: rates[row.pk], or_overlap=False)
        for period_s, some in sorted(by_period.items())
    )
    pairing.refresh_many([row for row in adapters if row.pk in named])
    return given
