"""What the vault does for others: named operations, each with bounded arguments that say which rows, never which bytes.

An operation reads the sealed rows itself, so that whoever may ask cannot have other secrets opened by handing them in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from meterwire.errors import FormatError
from provisioning.keys.vault import Vault

PING: Final = "ping"


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` is given the vault and decoded `arguments`; what it returns must encode as JSON."""

    arguments: Any
    run: Callable[[Vault, Any], Any]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


_OPERATIONS: dict[str, Operation] = {PING: Operation(Nothing, lambda _vault, _arguments: "here")}


def register(name: str, operation: Operation) -> None:
    """Offer an operation; apps do so when they are ready."""
    _OPERATIONS[name] = operation


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
