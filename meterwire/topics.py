"""MQTT topics between concentrator and portal (design 5.5): `mspan/1/<concentrator>/<branch>`."""

import re

from meterwire.errors import FormatError

PREFIX = "mspan/1"
UP_TELEGRAM, UP_EVENT, UP_RECEIPT, STATE = "up/telegram", "up/event", "up/receipt", "state"
DN_COMMAND, DN_RECEIPT = "dn/command", "dn/receipt"
UPWARD = (UP_TELEGRAM, UP_EVENT, UP_RECEIPT, STATE)
DOWNWARD = (DN_COMMAND, DN_RECEIPT)

_TOPIC = re.compile(r"mspan/1/([0-9a-f]{16})/(up/telegram|up/event|up/receipt|state|dn/command|dn/receipt)")


def topic(concentrator: str, branch: str) -> str:
    """The full topic of `branch` (one of the constants above) of a concentrator (16 lower-case hex digits)."""
    name = f"{PREFIX}/{concentrator}/{branch}"
    if not _TOPIC.fullmatch(name):
        raise FormatError(f"'{name}' is no Meterspan topic: the concentrator is named by 16 lower-case hex digits")
    return name


def parse(name: str) -> tuple[str, str]:
    """(concentrator, branch) of a topic. Raises FormatError for a foreign one."""
    match = _TOPIC.fullmatch(name)
    if match is None:
        raise FormatError(f"'{name[:80]}' is no Meterspan topic")
    return match[1], match[2]


def subscription(branch: str) -> str:
    """The filter with which the portal hears `branch` of every concentrator."""
    return f"{PREFIX}/+/{branch}"
