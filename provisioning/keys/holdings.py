"""Sealed columns of other apps: what follows when a key-encryption key or a data key is replaced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet


@dataclass(frozen=True)
class Holding:
    """Rows that `Vault.seal_secret` or a WaitingSealer sealed into `column`.

    `place` gives what the row's secret is bound to; a tuple when the column holds several of equal length, one behind
    the other. `organisation` tells whose data key sealed it (None: the installation's).
    """

    name: str
    rows: Callable[[], QuerySet[Any]]
    column: str
    place: Callable[[Any], bytes | tuple[bytes, ...]]
    organisation: Callable[[Any], int | None]

    def pieces(self, row: Any) -> list[tuple[bytes, bytes]]:
        """The sealed secrets of a row, each with its place. ValueError when the column cannot hold that many."""
        sealed, places = bytes(getattr(row, self.column)), self.place(row)
        if isinstance(places, bytes):
            return [(sealed, places)]
        length, rest = divmod(len(sealed), len(places) or 1)
        if rest or not places:
            raise ValueError(f"{self.name}: {len(sealed)} bytes are not {len(places)} secrets of equal length")
        return [(sealed[at * length : (at + 1) * length], place) for at, place in enumerate(places)]


_HOLDINGS: dict[str, Holding] = {}


def register(holding: Holding) -> None:
    """Apps do so when they are ready. A column that is not registered stays under its old key."""
    _HOLDINGS[holding.name] = holding


def holdings() -> Iterator[Holding]:
    """In the order of their names."""
    return iter([_HOLDINGS[name] for name in sorted(_HOLDINGS)])
