"""Owner tokens on their way from a supplier's file to the adapter's label."""

from collections.abc import Iterable

from provisioning.accounts.actors import Actor
from provisioning.batches.models import Batch, BatchRow
from provisioning.fleet.models import Adapter
from provisioning.keys.waiting import WaitingSealer
from provisioning.labels import tokens
from provisioning.labels.services import Adopted, adopt_tokens


def seal_token(row: BatchRow, sealer: WaitingSealer, token: str) -> None:
    """Put the token's digest and its sealed copy into the row; the token itself is not kept."""
    row.token_pepper = tokens.current_pepper()
    row.token_digest = tokens.digest(row.dev_eui, token, row.token_pepper)
    row.token_sealed = tokens.seal(sealer, row.batch.organisation_id, row.dev_eui, token)


def adopt(actor: Actor, batch: Batch, lines: Iterable[int]) -> int:
    """Hand the tokens of these imported rows over to the labels of their adapters; returns how many.

    Locks the organisation's chain until the caller's transaction ends.
    """
    rows = {
        row.dev_eui: row
        for row in BatchRow.objects.filter(batch=batch, line__in=lines, state=BatchRow.State.IMPORTED)
        .exclude(token_sealed=b"")
        .only("dev_eui", "token_digest", "token_pepper", "token_sealed")
    }
    adapters = Adapter.objects.filter(organisation_id=batch.organisation_id, archived_at=None, dev_eui__in=rows)
    adopted = []
    for adapter in adapters:
        row = rows[adapter.dev_eui]
        assert row.token_pepper is not None
        adopted.append((adapter, Adopted(row.token_digest, row.token_pepper, bytes(row.token_sealed))))
    if not adopted:
        return 0
    made = adopt_tokens(actor, batch.organisation, adopted)
    BatchRow.objects.filter(pk__in=[row.pk for row in rows.values()]).update(token_digest="", token_sealed=b"")
    return made
