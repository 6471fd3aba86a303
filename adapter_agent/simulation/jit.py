"""The just-in-time transmit queue of a gateway, without time of its own: accepts or refuses, and says when to send.

Rules and figures of the reference packet forwarder (sx1302_hal, jitqueue.c). All times are the gateway's 32-bit
counter in microseconds.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from adapter_agent.simulation.gateway import COUNTER_RANGE

START_DELAY_US: Final = 1_500
MARGIN_US: Final = 1_000
HAND_OVER_US: Final = 40_000  # a packet goes to the chip that long ahead
MAX_ADVANCE_US: Final = 4 * 128_000_000
IMMEDIATE_US: Final = 1_000_000  # "immediately" means in a second
MAX_QUEUED: Final = 32


class Refusal(Enum):
    """The `error` of a TX_ACK."""

    TOO_LATE = "TOO_LATE"
    TOO_EARLY = "TOO_EARLY"
    COLLISION_PACKET = "COLLISION_PACKET"


@dataclass(frozen=True, slots=True)
class _Slot:
    at: int
    airtime: int


class JitQueue:
    """What a gateway has promised to send."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def __len__(self) -> int:
        return len(self._slots)

    def enqueue(self, now: int, at: int, airtime: int) -> Refusal | None:
        """Promise a packet that begins at `at` and lasts `airtime`; None when it is accepted.

        A moment that has passed looks far ahead in the counter's unsigned arithmetic, and is refused as TOO_EARLY:
        the reference does the same.
        """
        self._drop_sent(now)
        if len(self._slots) >= MAX_QUEUED:
            return Refusal.COLLISION_PACKET
        ahead = (at - now) % COUNTER_RANGE
        if ahead <= START_DELAY_US + MARGIN_US + HAND_OVER_US:
            return Refusal.TOO_LATE
        if ahead > MAX_ADVANCE_US:
            return Refusal.TOO_EARLY
        if self._collides(at, airtime):
            return Refusal.COLLISION_PACKET
        self._slots.append(_Slot(at, airtime))
        self._slots.sort(key=lambda slot: (slot.at - now) % COUNTER_RANGE)
        return None

    def soonest(self, now: int, airtime: int) -> int:
        """Where an immediate packet fits: in a second, or behind the first queued one that leaves room."""
        self._drop_sent(now)
        at = (now + IMMEDIATE_US) % COUNTER_RANGE
        if not self._collides(at, airtime):
            return at
        for slot in self._slots:
            at = (slot.at + slot.airtime + START_DELAY_US + 2 * HAND_OVER_US + 2 * MARGIN_US) % COUNTER_RANGE
            if (at - now) % COUNTER_RANGE >= IMMEDIATE_US and not self._collides(at, airtime):
                return at
        return at

    def _collides(self, at: int, airtime: int) -> bool:
        before = START_DELAY_US + HAND_OVER_US + MARGIN_US
        return any(
            (at - slot.at) % COUNTER_RANGE <= slot.airtime + before
            or (slot.at - at) % COUNTER_RANGE <= airtime + before
            for slot in self._slots
        )

    def _drop_sent(self, now: int) -> None:
        # The reference forgets a packet once the chip has it and then refuses to start the next one while it is
        # still sending; keeping it until its end names the same collision earlier.
        self._slots = [
            slot
            for slot in self._slots
            if (slot.at + slot.airtime - now) % COUNTER_RANGE <= MAX_ADVANCE_US + slot.airtime
        ]
