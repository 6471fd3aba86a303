"""The daybook: what was sent each day, kept for a while, and the day's signature that proves it later."""

from adapter_agent.daybook.answers import Uplink
from adapter_agent.daybook.book import Daybook
from adapter_agent.daybook.folder import DayFolder
from adapter_agent.daybook.signing import SigningKeyFile

__all__ = ["DayFolder", "Daybook", "SigningKeyFile", "Uplink"]
