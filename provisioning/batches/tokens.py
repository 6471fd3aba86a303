"""Owner tokens on their way from a supplier's file to the adapter's label."""

import base64
import secrets
from collections.abc import Sequence

from provisioning.accounts.actors import Actor
from provisioning.batches.models import Batch, BatchRow
from provisioning.fleet.models import Adapter
from provisioning.keys.waiting import WaitingSealer


def new_token() -> str:
    """A random one, as a label carries it."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=")


def seal_token(row: BatchRow, sealer: WaitingSealer, token: str) -> None:
    """Put the token's digest and its sealed copy into the row; the token itself is not kept."""


def adopt(actor: Actor, batch: Batch, made: Sequence[tuple[Adapter, BatchRow]]) -> int:
    """Hand the tokens over to the labels of the new adapters; returns how many."""
    return 0
