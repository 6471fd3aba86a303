"""What is written about signed days: keys that are announced, frames that arrive, and what they prove."""

from portal.days.services.judging import judge
from portal.days.services.receiving import arrived_late, take
from portal.days.services.requests import due, find_unsigned

__all__ = ["arrived_late", "due", "find_unsigned", "judge", "take"]
