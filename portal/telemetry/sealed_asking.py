"""Asks the vault for values that are stored sealed: for whom, what for, of what, from when to when."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated, Final

import msgspec
from django.db import models
from django.utils.translation import gettext_lazy as _

from meterwire.errors import LimitExceeded
from portal.telemetry.models import Reading, Telegram
from provisioning.accounts.actors import Actor
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_operations import Asker, RowId, asker

OPEN_VALUES: Final = "open_values"
MAX_DAYS: Final = 400  # in one opening
MAX_VALUES: Final = 20_000  # in one opening; the answer says where to go on
MAX_REGISTERS: Final = 64
MAX_OPENINGS: Final = 20  # one after the other
TICK: Final = timedelta(microseconds=1)  # an opening ends before its end

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Register = Annotated[int, msgspec.Meta(ge=1, le=255)]


class Purpose(models.TextChoices):
    """What values are opened for; the audit keeps it."""

    BILLING = "billing", _("Billing")
    CUSTOMER = "customer", _("The customer asked")
    FAULT = "fault", _("Looking for a fault")
    GRID = "grid", _("Grid operation")


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values measured from `start` to before `end`, of an adapter or a metering point; `registers` empty: all."""

    asker: Asker
    purpose: Annotated[str, msgspec.Meta(max_length=20)]
    start: _Moment
    end: _Moment
    adapter: RowId | None = None
    metering_point: RowId | None = None
    registers: Annotated[tuple[_Register, ...], msgspec.Meta(max_length=MAX_REGISTERS)] = ()


class Run(msgspec.Struct, frozen=True, array_like=True):
    """Opened values of one register of one adapter; `values` run parallel to the inner `counters`."""

    adapter: int
    register: int
    counters: list[int]
    values: list[int]

    def __repr__(self) -> str:
        return f"Run({self.adapter}, {self.register}, {len(self.counters)} values hidden)"


class Opened(msgspec.Struct, frozen=True):
    """`closed`: so many values stay sealed, for nobody here has their key or it was destroyed.

    `until`: there were too many; all measured before that moment are here, ask again from it on.
    """

    runs: list[Run]
    closed: int = 0
    until: datetime | None = None

    def values(self) -> dict[tuple[int, int, int], int]:
        """By (adapter, counter, register), as readings are told apart."""
        return {
            (run.adapter, counter, run.register): value
            for run in self.runs
            for counter, value in zip(run.counters, run.values, strict=True)
        }


def open_values(  # what an audit has to know
    actor: Actor,
    purpose: str,
    *,
    start: datetime,
    end: datetime,
    adapter: int | None = None,
    metering_point: int | None = None,
    registers: Collection[int] = (),
) -> Opened:
    """The sealed values of one adapter or metering point, one opening in the audit. Not inside a transaction.

    Forbidden without readings.open there; Invalid for `purpose`, `range` or both of adapter and metering point;
    VaultAway when the vault does not answer.
    """
    wanted = Wanted(asker(actor), purpose[:20], start, end, adapter, metering_point, tuple(registers))
    return ask(OPEN_VALUES, wanted, Opened)


def unseal(rows: Iterable[Reading], actor: Actor, purpose: str) -> None:
    """Give sealed rows their values, unsaved; neighbours of one register in one opening. As `open_values`."""
    for (adapter, register), run in groupby((row for row in rows if row.value is None), _series):
        waiting = {row.counter: row for row in run}
        start, end = (choose(row.measured_at for row in waiting.values()) for choose in (min, max))
        values = open_all(actor, purpose, adapter=adapter, registers=[register], first=start, last=end)
        for counter, row in waiting.items():
            row.value = values.get((counter, register))


def open_all(
    actor: Actor, purpose: str, *, adapter: int, registers: Collection[int], first: datetime, last: datetime
) -> dict[tuple[int, int], int]:
    """By (counter, register), what was measured from `first` to `last`, both included, in as many openings as it takes.

    LimitExceeded for more than MAX_OPENINGS. Else as `open_values`.
    """
    found: dict[tuple[int, int], int] = {}
    start = first
    for _opening in range(MAX_OPENINGS):
        end = min(last + TICK, start + timedelta(days=MAX_DAYS))
        opened = open_values(actor, purpose, start=start, end=end, adapter=adapter, registers=registers)
        found |= {(counter, register): value for (_adapter, counter, register), value in opened.values().items()}
        if opened.until is None and end > last:
            return found
        start = opened.until or end
    raise LimitExceeded(f"more than {MAX_OPENINGS * MAX_VALUES} values; choose a shorter stretch of time")


def _series(row: Reading) -> tuple[int, int]:
    return row.adapter_id, row.register


def has_sealed(adapter: int) -> bool:
    """Whether values of this adapter rest in its telegrams only. One look into an index."""
    return Telegram.objects.filter(adapter_id=adapter, key__isnull=False).exists()
