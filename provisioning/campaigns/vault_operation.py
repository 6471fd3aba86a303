"""The file of an LMN hand-over, made in the vault process for a web worker, which holds no key."""

from typing import Final

import msgspec
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.campaigns.models import Delivery, LmnHandover
from provisioning.campaigns.services.beginning import private_place
from provisioning.campaigns.services.handover import make_file_here
from provisioning.errors import Invalid
from provisioning.keys import kek
from provisioning.keys.holdings import Holding
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_operations import Asker, Operation, RowId, actor_of, asker

LMN_FILE: Final = "lmn_file"


class LmnFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hand-over."""

    asker: Asker
    handover: RowId


def make_file(actor: Actor, handover: LmnHandover) -> str:
    """The file of `handover`: made here where this process holds the key-encryption key, else by the vault process.

    Do not call it inside a transaction. Raises Forbidden, Conflict, VaultAway.
    """
    if kek.held():
        return make_file_here(Vault.from_settings(), actor, handover)
    ask(LMN_FILE, LmnFile(asker(actor), handover.pk), int)
    handover.refresh_from_db()
    return handover.content


def _run(vault: Vault, asked: LmnFile) -> int:
    """The row holds the file, which may be longer than an answer."""
    row = LmnHandover.objects.select_related("organisation").filter(pk=asked.handover).first()
    if row is None:
        raise Invalid("handover", _("There is no such object."))
    make_file_here(vault, actor_of(asked.asker), row)
    return row.pk


OPERATION: Final = Operation(LmnFile, _run)
# Ephemeral keys of exchanges under way; they follow when the keys above them are replaced.
HOLDING: Final = Holding(
    name="exchanges",
    rows=lambda: Delivery.objects.exclude(private=b""),
    column="private",
    place=private_place,
    organisation=lambda row: int(row.organisation_id),
)
