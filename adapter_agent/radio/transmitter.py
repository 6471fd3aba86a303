"""One frame on the air: when the duty cycle and the own slot allow it, or exactly when its slot begins."""

from collections.abc import Callable
from math import inf
from random import Random
from typing import Final

from adapter_agent.radio import slotted
from adapter_agent.radio.base import Planned, SlotMissed, Span
from adapter_agent.radio.budget import AirBudget
from adapter_agent.radio.link import Link
from adapter_agent.radio.phy import Exchange, Phy, PhyError, Window
from adapter_agent.radio.receiving import windows_of
from adapter_agent.radio.state import RadioState
from edge.clock import Clock

STEP_S: Final = 60.0  # longest sleep at a stretch, so that a clock that was set is noticed
TURN_S: Final = 5.0  # … and while something else may end the wait, such as somebody in haste
PUNCTUAL_S: Final = 1e-5
LATENCY_SHARE: Final = 0.25  # of each new measurement


class Transmitter:
    """`save` makes the budget durable. `clear_at` is as in `AdapterRadio.keep_clear`."""

    def __init__(
        self, phy: Phy, budget: AirBudget, clock: Clock, random: Random, *, power_dbm: int, save: Callable[[], None]
    ) -> None:
        self.clear_at: Callable[[float, Span], float] = _at_once
        self._phy, self._budget, self._clock, self._random = phy, budget, clock, random
        self._power_dbm, self._save = power_dbm, save
        self._latency_s = 0.0  # between asking for a transmission and its first symbol

    async def send(
        self, frame: bytes, link: Link, planned: Planned | None, began: Callable[[float], None]
    ) -> tuple[Exchange, tuple[Window, Window]]:
        """`began` is told the monotonic time of the first symbol. Raises PhyError, SlotMissed."""
        if planned is None:
            await self.until(lambda now: self._budget.earliest(len(frame), link, now))
            channel = self._budget.take(len(frame), link, self._clock.time(), self._random)
        else:
            channel = slotted.channel_of(link, planned)
            self._budget.take_planned(len(frame), channel, link, self._clock.time())
        if self._budget.save_due:
            self._save()
        if planned is not None:
            await self._wait_for(planned)
        windows = windows_of(link, channel)
        asked = self._clock.monotonic()
        exchange = await self._phy.exchange(
            frame,
            freq_hz=channel.frequency_hz,
            dr=link.data_rate,
            power_dbm=min(self._power_dbm, link.region.tx_power_dbm(link.tx_power)),
            windows=windows,
        )
        self._latency_s += LATENCY_SHARE * (exchange.latency_s - self._latency_s)
        began(asked + exchange.latency_s)
        return exchange, windows

    def allows(self, link: Link, planned: Planned) -> bool:
        """Whether the duty cycle has room for the whole slot now."""
        frequency = slotted.channel_of(link, planned).frequency_hz
        return self._budget.allows(frequency, planned.airtime_s, self._clock.time())

    def wait_s(self, link: Link, size: int) -> float:
        """Seconds until an exchange of `size` bytes is allowed and reaches into nothing that it must not; 0: now."""
        now, air_s = self._clock.monotonic(), self._air_in(link, size)
        return self.clear_at(now + air_s, slotted.span(link, size)) - now

    def blocked(self, link: Link, size: int) -> bool:
        """Whether an exchange of `size` bytes, waited for from now on, would reach into what it must not."""
        now, air_s, span = self._clock.monotonic(), self._air_in(link, size), slotted.span(link, size)
        return self.clear_at(now, Span(air_s + span.answered_s, air_s + span.whole_s, slow=span.slow)) > now

    async def clear(self, state: RadioState, size: int) -> None:
        """Wait until an exchange of `size` bytes may begin, as long as there is a session."""
        while state.session is not None and (wait := self.wait_s(state.session.link, size)) > 0:
            await self._clock.sleep(min(wait, TURN_S))

    async def clear_for(self, span: Span) -> None:
        """Wait until an exchange that takes `span` reaches into nothing that it must not."""
        while (wait := self.clear_at(now := self._clock.monotonic(), span) - now) > 0:
            await self._clock.sleep(min(wait, TURN_S))

    async def until(self, moment: Callable[[float], float]) -> None:
        """Wait for a Unix time, asked for again and again, because the clock may be set meanwhile."""
        while (wait := moment(self._clock.time()) - self._clock.time()) > 0:
            if wait == inf:
                raise PhyError("the duty cycle never allows a frame this long")
            await self._clock.sleep(min(wait, STEP_S))

    def _air_in(self, link: Link, size: int) -> float:
        """Seconds until the duty cycle allows it; 0 where it never does, which `send` tells."""
        now = self._clock.time()
        wait = self._budget.earliest(slotted.DATA_OVERHEAD + size, link, now) - now
        return max(0.0, wait) if wait < inf else 0.0

    async def _wait_for(self, planned: Planned) -> None:
        while (wait := planned.at - self._latency_s - self._clock.monotonic()) > PUNCTUAL_S:
            await self._clock.sleep(wait)
        if -wait > planned.late_s:
            raise SlotMissed(f"the slot began {-wait:.3f} s before the frame was ready")


def _at_once(monotonic_s: float, span: Span) -> float:
    return monotonic_s
