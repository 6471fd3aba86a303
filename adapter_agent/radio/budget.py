"""The air a device may use: duty cycle per sub-band, and the overall limit that the network may set."""

from random import Random
from typing import Final

from adapter_agent.radio.link import Link, LinkChannel
from adapter_agent.radio.phy import PhyError
from adapter_agent.radio.state import UNSAVED_AIR_S
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.dutycycle import DutyCycleLedger

FRAMING: Final = 5  # MHDR and MIC around a MACPayload


class AirBudget:
    """Books every transmission in `ledger` before it happens. Times are Unix seconds, lengths octets MHDR to MIC."""

    def __init__(self, ledger: DutyCycleLedger) -> None:
        self._ledger = ledger
        self._quiet_from = self._quiet_until = 0.0
        self._unsaved_s = 0.0

    @property
    def save_due(self) -> bool:
        """Whether the ledger must be saved before the next transmission."""
        return self._unsaved_s > UNSAVED_AIR_S

    def saved(self) -> None:
        self._unsaved_s = 0.0

    def earliest(self, length: int, link: Link, now: float) -> float:
        """When a frame may go out on one of the link's channels; infinity for one that no budget holds."""
        air = _air(length, link)
        if now < self._quiet_from:  # the clock was set back
            self._quiet_until = 0.0
        return max(
            self._quiet_until,
            min((self._ledger.earliest(c.frequency_hz, air, now) for c in link.usable()), default=now),
        )

    def take(self, length: int, link: Link, now: float, random: Random) -> LinkChannel:
        """A channel that is free for a frame at `now`, the air booked. Raises PhyError when there is none."""
        air = _air(length, link)
        if length > link.region.data_rate(link.data_rate).max_mac_payload + FRAMING:
            raise PhyError("the network has set a data rate that does not carry this frame any more")
        free = [c for c in link.usable() if self._ledger.allowed(c.frequency_hz, air, now)]
        if not free:
            raise PhyError("no channel is free for the data rate that the network has set")
        channel = random.choice(free)
        self.book(channel.frequency_hz, air, now)
        if link.max_duty:
            self._quiet_from, self._quiet_until = now, now + air * 2**link.max_duty
        return channel

    def allows(self, frequency_hz: int, air_s: float, now: float) -> bool:
        """Whether so many seconds may go out on that frequency at `now`."""
        return now >= self._quiet_until and self._ledger.allowed(frequency_hz, air_s, now)

    def take_planned(self, length: int, channel: LinkChannel, link: Link, now: float) -> None:
        """Book a frame that goes out on `channel` soon after `now`. Raises PhyError when it may not."""
        air = _air(length, link)
        if not self.allows(channel.frequency_hz, air, now):
            raise PhyError("the duty cycle does not allow the slot")
        self.book(channel.frequency_hz, air, now)

    def book(self, frequency_hz: int, air_s: float, now: float) -> None:
        self._ledger.record(frequency_hz, air_s, now)
        self._unsaved_s += air_s


def _air(length: int, link: Link) -> float:
    return airtime_s(length, link.region.data_rate(link.data_rate))
