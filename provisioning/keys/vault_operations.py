"""What the vault does for others: named operations, each with bounded arguments that say which rows, never which bytes.

An operation reads the sealed rows itself, so that whoever may ask cannot have other secrets opened by handing them in.

One that gives a secret out or signs something is asked on somebody's behalf. Its arguments carry an `Asker`, made by
the web worker with `asker(actor)`; `run` loads that person or token anew (`actor_of`), checks the permission by itself
and writes the audit row by itself: the vault has the database. So the caller must not ask inside a transaction that
holds the organisation's audit chain: the vault would wait for it, and the caller for the vault. Daemons and commands
that act as System hold a Vault and call the service directly. Forbidden, Invalid and Conflict cross the socket as what
they are; everything else arrives as VaultRefused. A service that runs in both kinds of process reads

    def reveal(actor, key, reason):
        if kek.held(): return reveal_here(Vault.from_settings(), actor, key, reason)
        return ask(REVEAL, Reveal(asker(actor), key.pk, reason), Revealed)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.errors import FormatError
from provisioning.accounts.actors import Actor, System
from provisioning.accounts.models import ApiToken, User
from provisioning.errors import Forbidden
from provisioning.keys.vault import Vault

PING: Final = "ping"


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` is given the vault and decoded `arguments`; what it returns must encode as JSON."""

    arguments: Any
    run: Callable[[Vault, Any], Any]


RowId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Asker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On whose behalf the vault is asked: a person's row, or an API token's."""

    user: RowId | None = None
    token: RowId | None = None


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


_OPERATIONS: dict[str, Operation] = {PING: Operation(Nothing, lambda _vault, _arguments: "here")}


def register(name: str, operation: Operation) -> None:
    """Offer an operation; apps do so when they are ready."""
    _OPERATIONS[name] = operation


def asker(actor: Actor) -> Asker:
    """How a web worker names who acts. ValueError for the system, which does not ask but holds a vault."""
    if isinstance(actor, System):
        raise ValueError("the system does not ask the vault on its own behalf")
    return Asker(token=actor.pk) if isinstance(actor, ApiToken) else Asker(user=actor.pk)


def actor_of(asked: Asker) -> Actor:
    """Whom the arguments name, loaded anew. Forbidden when that person or token may act no more."""
    actor: User | ApiToken | None = None
    if asked.token is not None and asked.user is None:
        live = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        tokens = ApiToken.objects.select_related("user").filter(live, revoked_at=None, user__is_active=True)
        actor = tokens.filter(pk=asked.token).first()
    elif asked.user is not None and asked.token is None:
        actor = User.objects.filter(pk=asked.user, is_active=True).first()
    if actor is None:
        raise Forbidden(_("Whoever asked has no valid access any more; log in again."))
    return actor


def perform(vault: Vault, name: str, arguments: bytes) -> bytes:
    """The JSON answer. FormatError for a question that cannot be meant, else what `run` raises."""
    operation = _OPERATIONS.get(name)
    if operation is None:
        raise FormatError("the vault knows no such operation; does it run the same version?")
    try:
        asked = msgspec.json.decode(arguments, type=operation.arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FormatError(f"these are no arguments of the vault's operation {name}") from None
    return msgspec.json.encode(operation.run(vault, asked))
