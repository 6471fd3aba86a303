"""Renews configurations bit by bit after a plan or a firmware has changed, and gives slots to those who lack one.

What is to be done stands in the database: a bridge that is started anew goes on where the last one was.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from django.db import InterfaceError, OperationalError

from meterwire.slots import MAX_DATA_RATE
from portal.telemetry.commissioning import heard_levels
from portal.telemetry.models import AdapterStatus
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import first_rate, follow_refusal, give_missing, renew_next

log = logging.getLogger(__name__)

AT_ONCE: Final = 200  # short enough that nobody who pairs meanwhile waits for long
LOOK_S: Final = 30.0
ACTOR: Final = System("slots")


class Renewals:
    """`advance` runs in a database thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._looked_at = float("-inf")
        self._left = self._after = 0

    def advance(self, adapters: Collection[int]) -> None:
        """`adapters` have reported something; what else is to be done is looked up now and then."""
        reported = Configuration.objects.filter(pk__in=adapters) if adapters else Configuration.objects.none()
        for row in reported.select_related("adapter__organisation"):
            _follow(row)
        if not (self._left or self._after) and self._monotonic() - self._looked_at < LOOK_S:
            return
        self._looked_at = self._monotonic()
        self._left = renew_next(AT_ONCE)
        if self._left:
            log.info("configurations are renewed", extra={"left": self._left})
        self._after = give_missing(ACTOR, self._after, AT_ONCE, rates_of)


def rates_of(adapters: Sequence[Adapter]) -> Mapping[int, int]:
    """By adapter: the data rate at which its concentrator heard it last, else that for the level at which it joined."""
    known = AdapterStatus.objects.filter(adapter__in=adapters, dr__isnull=False)
    running = {row.adapter_id: row for row in known}
    rates = {}
    for adapter in adapters:
        assert adapter.concentrator is not None
        row = running.get(adapter.pk)
        if row is not None and row.dr is not None and row.concentrator_id == adapter.concentrator_id:
            rates[adapter.pk] = min(max(row.dr, 0), MAX_DATA_RATE)
        else:
            rates[adapter.pk] = first_rate(heard_levels(adapter, [adapter.concentrator]).get(adapter.concentrator.pk))
    return rates


def _follow(row: Configuration) -> None:
    """One that cannot be followed must not stop the others."""
    try:
        follow_refusal(ACTOR, row)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("a refused configuration could not be followed", extra={"adapter": row.pk})
