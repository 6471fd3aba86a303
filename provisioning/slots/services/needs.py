"""What an adapter's slot must be under a plan, and how the allocator is asked for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django.utils.translation import gettext as _

from meterwire.errors import ValueOutOfRange
from meterwire.lorawan.eu868 import EU868
from meterwire.slots import MAX_DATA_RATE, PERIODS, airtime_ms, length_ms
from provisioning.errors import Invalid
from provisioning.slots.allocator import Place, Signal, Stored
from provisioning.slots.models import Assignment, SlotPlan

MAX_DUTY: Final = 0.008  # of the 1 % in which joins, reports and confirmations have to find their air too


@dataclass(frozen=True, slots=True)
class Need:
    """Room for `size` bytes of FRMPayload every `period_s`, at a data rate and with guards (ms) on both sides."""

    period_s: int
    size: int
    data_rate: int
    guard_ms: int
    length_ms: int

    @classmethod
    def under(cls, plan: SlotPlan, period_s: int, size: int, data_rate: int) -> "Need":
        """Invalid names the argument that is outside the plan."""
        length = checked_length(plan, period_s, size, data_rate)
        return cls(period_s, size, data_rate, plan.guard_ms, length)

    def met_by(self, row: Assignment) -> bool:
        """Whether the slot that is held is just that."""
        held = (row.period_s, row.size, row.data_rate, row.guard_ms, row.length_ms)
        return held == (self.period_s, self.size, self.data_rate, self.guard_ms, self.length_ms)

    def slower(self, plan: SlotPlan) -> "Sequence[Need]":
        """This one, and the same at each slower data rate, at which it is heard as well, that the duty cycle allows."""
        rates = range(self.data_rate - 1, slowest_rate(self.period_s, self.size) - 1, -1)
        return [self, *(Need.under(plan, self.period_s, self.size, rate) for rate in rates)]

    def wish(self, row: Assignment, concentrator: int, hearers: Collection[int]) -> Stored:
        """For the row's adapter at a concentrator, heard by others; its place says nothing."""
        heard, signal = tuple(sorted(hearers)), signal_of(self.data_rate, row.level_dbm, self.guard_ms)
        return Stored(row.adapter_id, concentrator, Place(0, 0), self.length_ms, self.period_s, heard, signal)


@lru_cache(maxsize=4096)
def signal_of(data_rate: int, level_dbm: int | None, guard_ms: int) -> Signal:
    """How a concentrator hears a slot's frames, as far as that is known."""
    factor = EU868.data_rate(data_rate).spreading_factor
    assert factor is not None  # slots know only data rates of LoRa
    return Signal(factor, level_dbm, guard_ms)


def slowest_rate(period_s: int, size: int) -> int:
    """The slowest data rate at which a telegram of `size` bytes each period leaves the adapter air for other frames.

    One that is slower would have a slot that the law on duty cycles keeps it from using (EN 300 220-2: 1 % of an hour).
    """
    allowed_ms = period_s * 1000 * MAX_DUTY
    return next((rate for rate in range(MAX_DATA_RATE) if airtime_ms(size, rate) <= allowed_ms), MAX_DATA_RATE)


def checked_length(plan: SlotPlan, period_s: int, size: int, data_rate: int) -> int:
    """Milliseconds of a slot under `plan`. Invalid names the argument that is outside it."""
    if period_s not in PERIODS:
        shown = ", ".join(map(str, PERIODS))
        raise Invalid(
            "period_s", _("Slots repeat every {periods} s; choose one of these periods.").format(periods=shown)
        )
    try:
        return _length_ms(size, data_rate, plan.guard_ms, plan.quantum_ms)
    except ValueOutOfRange as error:
        raise Invalid("data_rate", str(error)) from None


_length_ms = lru_cache(maxsize=1024)(length_ms)
