"""Opening sealed values for a page: who asks, and what for."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from portal.telemetry.sealed_asking import Purpose, open_all
from portal.web.access import Access
from provisioning.accounts.actors import Actor


@dataclass(frozen=True, slots=True)
class Opening:
    """Somebody's wish to see values, for one of the purposes."""

    actor: Actor
    purpose: str

    def values(
        self, adapter: int, registers: Collection[int], first: datetime, last: datetime
    ) -> dict[tuple[int, int], int]:
        """By (counter, register), what was measured from `first` to `last`, both included."""
        return open_all(self.actor, self.purpose, adapter=adapter, registers=registers, first=first, last=last)


def purposes(access: Access) -> list[tuple[str, str]]:
    """What the reader may open values for; empty for a role that may not."""
    return [(value, str(label)) for value, label in Purpose.choices] if access.may("readings.open") else []
