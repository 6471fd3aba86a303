"""Turns the pipeline's notes into events."""

import secrets

from meterwire.messages import ulid
from portal.telemetry.arrivals import MICROSECONDS, Batch, moment
from portal.telemetry.models import AdapterEvent


def write_notes(batch: Batch) -> None:
    """In the batch's transaction. A note on a telegram that is `known` was stored with it."""
    AdapterEvent.objects.bulk_create(
        AdapterEvent(
            id=ulid(batch.now_us / MICROSECONDS, secrets.token_bytes(10)),
            organisation_id=note.arrival.source.organisation,
            concentrator_id=note.arrival.source.pk,
            adapter_id=None if note.arrival.adapter is None else note.arrival.adapter.pk,
            dev_eui=note.arrival.telegram.dev_eui[:16],
            kind=note.kind,
            reason=note.reason,
            detail=note.detail,
            at=moment(note.arrival.received_us),
        )
        for note in batch.notes
        if not note.arrival.known
    )
