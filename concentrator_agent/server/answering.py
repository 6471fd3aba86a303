"""What an uplink calls for, what is composed of it, and within which bounds. Pure."""

from collections.abc import Callable
from typing import Final

import msgspec

from concentrator_agent.server.dedupe import Uplink
from concentrator_agent.server.queue import Item
from concentrator_agent.server.sessions import Device, Session
from meterwire.lorawan.mac_commands import MacCommand

OUTSIDE_OCTETS: Final = 5  # MHDR and MIC, which a data rate's limit does not count


class Response(msgspec.Struct, eq=False):
    """What an uplink calls for. Exactly one of `accept` (join) and `session` is set.

    `wanted`: the device waits for any downlink (ADRACKReq, sticky answers). `clock`: a payload for port 202 that tells
    the device how its clock was at this uplink; `clock_unsent` is called when it does not go out.
    """

    uplink: Uplink
    device: Device | None = None
    session: Session | None = None
    accept: bytes | None = None
    ack: bool = False
    wanted: bool = False
    answers: list[MacCommand] = msgspec.field(default_factory=list)
    clock: bytes | None = None
    clock_unsent: Callable[[], None] = lambda: None


class Frame(msgspec.Struct, frozen=True):
    """A composed downlink and what travels in it."""

    phy: bytes
    item: Item | None = None
    asked: tuple[MacCommand, ...] = ()
    clock: bool = False


class Bounds(msgspec.Struct, frozen=True):
    """What a frame may hold: `room` octets of MACPayload, items of `least_priority` and above.

    `by_slots`: it is the slots that bound it.
    """

    room: int
    least_priority: int = 0
    by_slots: bool = False

    def allow(self, frame: Frame) -> bool:
        """Whether a frame that was composed for another window may go into this one."""
        if len(frame.phy) - OUTSIDE_OCTETS > self.room:
            return False
        return not self.least_priority or (frame.item is not None and frame.item.row.priority >= self.least_priority)
