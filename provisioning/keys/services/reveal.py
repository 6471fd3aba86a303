"""The rare way in which a person sees a key: with a second person's approval, once, and in the audit without the value.

Wrapping it for a recipient (services.rewrap) is the better way and comes first.
"""

from typing import Annotated, Final

import msgspec

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.approvals.services import use
from provisioning.audit.services import audited, record
from provisioning.fleet.access import require_at
from provisioning.keys import kek
from provisioning.keys.models import DeviceKey
from provisioning.keys.services.rewrap import REASON_CHARACTERS, about, find, opened
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_operations import Asker, Operation, RowId, actor_of, asker

REVEAL: Final = "reveal_key"
DEED: Final = "key.reveal"


class Reveal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key."""

    asker: Asker
    key: RowId
    reason: Annotated[str, msgspec.Meta(max_length=4 * REASON_CHARACTERS)]


class RevealedKey(msgspec.Struct, frozen=True):
    """`value` (32 hex digits) is to be shown once and never kept."""

    value: str
    check_value: str

    def __repr__(self) -> str:
        return f"RevealedKey(check_value={self.check_value!r})"


def subject(key: DeviceKey) -> str:
    """What an approval for revealing this key is bound to; its deed is DEED."""
    return f"devicekey {key.pk}"


def reveal(actor: Actor, key: DeviceKey, reason: str) -> RevealedKey:
    """The key in clear, for a person with keys.reveal whose request (DEED, `subject(key)`) a second one has approved.

    The approval is spent. Where this process holds no key-encryption key the vault process does it; so do not call it
    inside a transaction. Raises Forbidden, Invalid, Conflict (no fresh approval, destroyed), VaultAway.
    """
    if kek.held():
        return reveal_here(Vault.from_settings(), actor, key, reason)
    validation.text("reason", reason, REASON_CHARACTERS, required=True)
    return ask(REVEAL, Reveal(asker(actor), key.pk, reason), RevealedKey)


def reveal_here(vault: Vault, actor: Actor, key: DeviceKey, reason: str) -> RevealedKey:
    """The same in a process that holds a vault."""
    require_at(actor, key.organisation_id, key.adapter.site_id, "keys.reveal")
    reason = validation.text("reason", reason, REASON_CHARACTERS, required=True)
    with audited(key.organisation):
        approval = use(actor, key.organisation, DEED, subject(key))
        value = opened(vault, key)
        facts = {**about(key), "reason": reason, "approved_by": approval.decided_by and approval.decided_by.email}
        record(key.organisation, actor, "key.revealed", key, facts)
    return RevealedKey(value, key.check_value)


def _run(vault: Vault, asked: Reveal) -> RevealedKey:
    return reveal_here(vault, actor_of(asked.asker), find(asked.key), asked.reason)


REVEALING: Final = Operation(Reveal, _run)
