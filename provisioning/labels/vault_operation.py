"""What the vault process does for labels: open the owner tokens of given adapters of one organisation."""

from typing import Annotated, Final

import msgspec

from provisioning.keys.kek import KeyDamaged
from provisioning.keys.vault import Vault
from provisioning.keys.vault_operations import Operation
from provisioning.labels import tokens
from provisioning.labels.models import OwnerToken

OPEN_TOKENS: Final = "open_owner_tokens"
MAX_AT_ONCE: Final = 1_000

_Key = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class TokensOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens are asked for."""

    organisation: _Key
    adapters: Annotated[tuple[_Key, ...], msgspec.Meta(max_length=MAX_AT_ONCE)]


class OpenToken(msgspec.Struct, frozen=True):
    """The unused token `row` of an adapter; `token` None: its sealed copy does not open."""

    row: int
    adapter: int
    token: str | None

    def __repr__(self) -> str:
        return f"OpenToken(row={self.row}, adapter={self.adapter})"


def open_tokens(vault: Vault, asked: TokensOf) -> list[OpenToken]:
    """One for each of the adapters that has an unused token."""
    rows = OwnerToken.objects.filter(
        organisation_id=asked.organisation, adapter_id__in=asked.adapters, state=OwnerToken.State.NEW
    )
    return [OpenToken(row.pk, row.adapter_id, _open(vault, row)) for row in rows.select_related("adapter")]


def _open(vault: Vault, row: OwnerToken) -> str | None:
    place = tokens.place(row.organisation_id, row.adapter.dev_eui)
    try:
        return vault.open_waiting(bytes(row.sealed), place).decode("ascii")
    except (KeyDamaged, UnicodeDecodeError):
        return None


OPERATION: Final = Operation(TokensOf, open_tokens)
