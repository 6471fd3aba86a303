"""Asks the vault: this process itself where it holds the key-encryption key, else the vault process."""

import socket
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from meterwire.errors import MeterspanError
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.keys import kek, vault_operations
from provisioning.keys.vault import Vault
from provisioning.keys.vault_server import MAX_ANSWER, Answer, Question

TIMEOUT_S: Final = 10.0
T = TypeVar("T")

_answers = msgspec.json.Decoder(Answer)


class VaultAway(MeterspanError):
    """The vault process does not answer; nothing was done."""

    code = "vault_away"
    temporary = True


class VaultRefused(MeterspanError):
    """The vault answered that it does not do this."""

    code = "vault_refused"


def ask(operation: str, arguments: msgspec.Struct, kind: type[T]) -> T:
    """What the operation answers, as `kind`. Raises VaultAway or VaultRefused; Forbidden, Invalid and Conflict as the
    operation raises them; in a process that holds the key-encryption key, whatever the operation raises."""
    body = msgspec.json.encode(arguments)
    if kek.held():
        return msgspec.json.decode(vault_operations.perform(Vault.from_settings(), operation, body), type=kind)
    answer = _exchange(Question(operation, msgspec.Raw(body), get_language() or ""))
    if answer.error:
        raise _refusal(answer)
    try:
        return msgspec.json.decode(answer.result, type=kind)
    except msgspec.DecodeError:
        raise VaultRefused(_("The vault answered something else; does it run the same version?")) from None


def answers() -> bool:
    """Whether this process or the vault process can open secrets just now."""
    try:
        return bool(ask(vault_operations.PING, vault_operations.Nothing(), str))
    except MeterspanError:
        return False


def _refusal(answer: Answer) -> MeterspanError:
    if answer.code == Invalid.code:
        return Invalid(answer.field, answer.error)
    if answer.code in (Forbidden.code, Conflict.code):
        return (Forbidden if answer.code == Forbidden.code else Conflict)(answer.error)
    if answer.code == kek.KekAway.code:
        return VaultAway(answer.error)
    return VaultRefused(_("The vault refused: {reason}.").format(reason=answer.error.rstrip(".")))


def _exchange(question: Question) -> Answer:
    if not settings.VAULT_SOCKET:
        raise VaultAway(_("This process opens no secret and knows no vault; set MSPAN_VAULT_SOCKET."))
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(Path(settings.VAULT_SOCKET)))
            connection.sendall(msgspec.json.encode(question) + b"\n")
            return _answers.decode(_line(connection))
    except (OSError, msgspec.DecodeError):
        raise VaultAway(
            _("The vault does not answer; start it (manage.py run_vault), and look at its log and its socket's rights.")
        ) from None


def _line(connection: socket.socket) -> Any:
    with connection.makefile("rb") as stream:
        return stream.readline(MAX_ANSWER)
