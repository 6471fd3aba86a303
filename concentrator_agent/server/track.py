"""What is remembered of one device's clock and of how it keeps its slot; stored with its device."""

import logging
from typing import Final

import msgspec

from concentrator_agent.server.answers import Budget
from meterwire.clock_filter import ClockFilter
from meterwire.slots import Slot

log = logging.getLogger(__name__)


class Track(msgspec.Struct):
    """What is known of one device's clock in the slot of `version`; `deviations` in ms since the last report.

    `snrs` (whole dB) of the last frames; `proposed` is the data rate proposed last, at `proposed_at` (slot time).
    `epoch` is that of our own clock by which all was measured. `beside` counts frames outside in a row, `claimed` is by
    how many seconds the device's own words contradict us, `resync_at` when it was last told to ask.
    """

    version: int
    budget: Budget
    clock: ClockFilter | None = None
    asked: bool = False
    deviations: list[float] = []
    outside: int = 0
    answers: int = 0
    reported_at: float = 0.0
    snrs: list[int] = []
    proposed: int | None = None
    proposed_at: float = 0.0
    epoch: int = 0
    told: bool = False  # something was reported of this slot
    beside: int = 0
    claimed: int | None = None
    resync_at: float = 0.0

    def another_epoch(self, epoch: int, now: float) -> None:
        """Our own clock was set: what is known of the device's offset says nothing any more, of its rate little.

        What was done at a time that comes only now was done now, or it would not be done again until then.
        """
        self.epoch, self.deviations, self.claimed = epoch, [], None
        self.reported_at, self.proposed_at = min(now, self.reported_at), min(now, self.proposed_at)
        self.resync_at, self.budget.spent_at = min(now, self.resync_at), min(now, self.budget.spent_at)
        if self.clock is not None:
            self.clock.loosen()

    def encode(self) -> bytes:
        return _encoder.encode(self)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Track)


def decode_track(stored: bytes | None, slot: Slot, now: float, epoch: int = 0) -> Track:
    """The stored track of a slot. A clock is worth keeping over a move; what was said of the old slot is not."""
    track = None
    if stored is not None:
        try:
            track = _decoder.decode(stored)
        except msgspec.DecodeError:
            log.warning("a stored clock track cannot be read; it begins anew")
    if track is None:
        return Track(slot.version, Budget(now), reported_at=now, epoch=epoch)
    if track.version != slot.version:
        track.version, track.deviations, track.outside = slot.version, [], 0
        track.snrs, track.proposed, track.told, track.beside = [], None, False, 0
    return track
