"""Owner tokens follow when the key-encryption key is replaced."""

from typing import Final

from provisioning.keys.holdings import Holding
from provisioning.labels import tokens
from provisioning.labels.models import OwnerToken

HOLDING: Final = Holding(
    "owner tokens",
    rows=lambda: OwnerToken.objects.exclude(sealed=b"").select_related("adapter"),
    column="sealed",
    place=lambda row: tokens.place(row.organisation_id, row.adapter.dev_eui),
    organisation=lambda row: row.organisation_id,
)
