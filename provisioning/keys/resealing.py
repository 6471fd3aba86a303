"""Stored history that still needs a key: apps above say how much of it there is, and seal it anew for storage.

An inner key is destroyed only when nothing stored under it is left, so that no history is lost with it.
"""

from typing import Protocol

from provisioning.keys.models import DeviceKey
from provisioning.keys.vault import Vault


class Resealer(Protocol):
    """Knows one kind of stored rows that are sealed under inner keys."""

    def waiting(self, key: DeviceKey) -> int:
        """How many stored rows only `key` opens. 0 for a key of another purpose."""

    def reseal(self, vault: Vault, key: DeviceKey, storage_key: DeviceKey, limit: int) -> int:
        """Seal at most `limit` of those rows under `storage_key` instead; returns how many. Runs in a transaction.

        A row that does not open under `key` must no longer count as waiting, or the key would be kept for ever.
        """


_resealers: list[Resealer] = []


def register(resealer: Resealer) -> None:
    """Apps above call it when they are loaded."""
    if resealer not in _resealers:
        _resealers.append(resealer)


def resealers() -> tuple[Resealer, ...]:
    """All that were registered, in their order."""
    return tuple(_resealers)


def waiting(key: DeviceKey) -> int:
    """How many stored rows of all kinds only `key` opens."""
    return sum(resealer.waiting(key) for resealer in _resealers)
