"""Keys and owner tokens that wait in batches follow when the key-encryption key is replaced."""

from typing import Final

from provisioning.batches.models import BatchRow
from provisioning.batches.rows import PARTNER
from provisioning.keys.context import waiting_context
from provisioning.keys.holdings import Holding
from provisioning.labels import tokens


def _places(row: BatchRow) -> tuple[bytes, ...]:
    organisation_id = row.batch.organisation_id
    return tuple(
        waiting_context(organisation_id, row.dev_eui, key["version"], key["purpose"], PARTNER) for key in row.keys
    )


KEYS: Final = Holding(
    "waiting keys",
    rows=lambda: BatchRow.objects.exclude(sealed=b"").select_related("batch"),
    column="sealed",
    place=_places,
    organisation=lambda row: row.batch.organisation_id,
)
TOKENS: Final = Holding(
    "waiting owner tokens",
    rows=lambda: BatchRow.objects.exclude(token_sealed=b"").select_related("batch"),
    column="token_sealed",
    place=lambda row: tokens.place(row.batch.organisation_id, row.dev_eui),
    organisation=lambda row: row.batch.organisation_id,
)
