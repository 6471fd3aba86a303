"""A key for somebody else: wrapped for a recipient's public key, so that nobody in between sees it."""

import json
from typing import Annotated, Any, Final

import msgspec
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.keys import kek
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.recipients import MAX_PEM, fingerprint, recipient, wrap_for
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_operations import Asker, Operation, RowId, actor_of, asker

REWRAP: Final = "rewrap_key"
REASON_CHARACTERS: Final = 200


class Rewrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key, for whom."""

    asker: Asker
    key: RowId
    recipient: Annotated[str, msgspec.Meta(max_length=MAX_PEM)]
    reason: Annotated[str, msgspec.Meta(max_length=4 * REASON_CHARACTERS)]


def rewrap(actor: Actor, key: DeviceKey, recipient_public_pem: str, reason: str) -> str:
    """The key as CMS in PEM, which `openssl cms -decrypt` opens with the recipient's private key; audited.

    In it a JSON object: dev_eui, purpose, partner, slot, version, tag_length, key (32 hex digits), check_value,
    not_before, not_after. Needs keys.reveal at the adapter's site. Where this process holds no key-encryption key the
    vault process does it; so do not call it inside a transaction. Raises Forbidden, Invalid, Conflict, VaultAway.
    """
    if kek.held():
        return rewrap_here(Vault.from_settings(), actor, key, recipient_public_pem, reason)
    validation.text("reason", reason, REASON_CHARACTERS, required=True)
    recipient(recipient_public_pem)
    return ask(REWRAP, Rewrap(asker(actor), key.pk, recipient_public_pem, reason), str)


def rewrap_here(vault: Vault, actor: Actor, key: DeviceKey, recipient_public_pem: str, reason: str) -> str:
    """The same in a process that holds a vault."""
    require_at(actor, key.organisation_id, key.adapter.site_id, "keys.reveal")
    reason = validation.text("reason", reason, REASON_CHARACTERS, required=True)
    public = recipient(recipient_public_pem)
    with audited(key.organisation):
        wrapped = wrap_for(public, json.dumps(content(vault, key), indent=2).encode() + b"\n")
        facts = {**about(key), "reason": reason, "recipient": fingerprint(public)}
        record(key.organisation, actor, "key.rewrapped", key, facts)
    return wrapped


def content(vault: Vault, key: DeviceKey) -> dict[str, Any]:
    """What a recipient is told about a key, its value among it. Conflict when it was destroyed or does not open."""
    return {
        **about(key),
        "tag_length": key.tag_length,
        "key": opened(vault, key),
        "not_before": None if key.not_before is None else key.not_before.isoformat(),
        "not_after": None if key.not_after is None else key.not_after.isoformat(),
    }


def opened(vault: Vault, key: DeviceKey) -> str:
    """32 hex digits. Reads the row again: what is asked for may have been destroyed since."""
    row = DeviceKey.objects.select_related("adapter").get(pk=key.pk)
    if row.state == KeyState.DESTROYED:
        raise Conflict(_("This key was destroyed; nobody can open it any more."))
    try:
        return vault.open(row).reveal().hex()
    except KeyDamaged as error:
        raise Conflict(str(error)) from None


def about(key: DeviceKey) -> dict[str, Any]:
    """What the audit and the recipient are told: which key it is."""
    return {
        "dev_eui": key.adapter.dev_eui,
        "purpose": key.purpose,
        "partner": key.partner,
        "slot": key.slot,
        "version": key.version,
        "check_value": key.check_value,
    }


def find(pk: int) -> DeviceKey:
    """The row that arguments name. Invalid when there is none."""
    key = DeviceKey.objects.select_related("organisation", "adapter").filter(pk=pk).first()
    if key is None:
        raise Invalid("key", _("There is no such object."))
    return key


def _run(vault: Vault, asked: Rewrap) -> str:
    return rewrap_here(vault, actor_of(asked.asker), find(asked.key), asked.recipient, asked.reason)


REWRAPPING: Final = Operation(Rewrap, _run)
