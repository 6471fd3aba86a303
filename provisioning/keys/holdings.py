"""Sealed columns of other apps: what follows when a key-encryption key or a data key is replaced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet


@dataclass(frozen=True)
class Holding:
    """Rows that `Vault.seal_secret` or a WaitingSealer sealed into `column`.

    `place` gives what the row's secret is bound to, `organisation` whose data key sealed it (None: the installation's).
    """

    name: str
    rows: Callable[[], QuerySet[Any]]
    column: str
    place: Callable[[Any], bytes]
    organisation: Callable[[Any], int | None]


_HOLDINGS: dict[str, Holding] = {}


def register(holding: Holding) -> None:
    """Apps do so when they are ready. A column that is not registered stays under its old key."""
    _HOLDINGS[holding.name] = holding


def holdings() -> Iterator[Holding]:
    """In the order of their names."""
    return iter([_HOLDINGS[name] for name in sorted(_HOLDINGS)])
