"""What is written about signed days: keys that are announced, frames that arrive, and what they prove."""

from portal.days.services.judging import judge
from portal.days.services.meters import check_arrived, know_meter_key, passed_through
from portal.days.services.receiving import arrived_late, note_leaves, take
from portal.days.services.requests import due, find_unsigned

__all__ = [
    "arrived_late",
    "check_arrived",
    "due",
    "find_unsigned",
    "judge",
    "know_meter_key",
    "note_leaves",
    "passed_through",
    "take",
]
