"""Telegrams on their way: collected, sent in the slot or outside of it, and confirmed as often as configured."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from adapter_agent.daybook import Daybook
from adapter_agent.meter.installation import Passed
from adapter_agent.outgoing import Outgoing
from adapter_agent.radio.base import AdapterRadio, Planned, Sent
from adapter_agent.sealing import Sealed
from adapter_agent.source import Source
from adapter_agent.walk import Walk
from edge.clock import Clock
from meterwire.values_telegram import PORT

log = logging.getLogger(__name__)

QUIET_FACTOR: Final = 3  # in a quiet slot a confirmation is an uplink of its own, and due so many times more rarely
MAX_LEFT: Final = 16  # what no slot had room for and waits to be sent outside


class Telegrams:
    """`wake` is called when something is left over for outside of the slot."""

    def __init__(
        self,
        radio: AdapterRadio,
        source: Source,
        outgoing: Outgoing,
        walk: Walk,
        clock: Clock,
        *,
        confirm_every: int,
        daybook: Daybook | None,
        wake: Callable[[], None],
    ) -> None:
        self.silent = False  # the last slot had nothing to carry
        self.again = False  # a telegram did not leave in its slot; a fresh one is to go out in open time
        self._radio, self._source, self._outgoing, self._walk, self._clock = radio, source, outgoing, walk, clock
        self._confirm_every, self._daybook, self._wake = confirm_every, daybook, wake
        self._since_confirmed = 0
        self._left: deque[Sealed | Passed] = deque(maxlen=MAX_LEFT)
        self._collecting = asyncio.Lock()

    # Outside of slots

    async def send(self) -> bool:
        """Everything that is to be told now; whether there was anything."""
        self.again = False
        telegrams, passing = await self._collect(self._radio.max_payload)
        acknowledged, size = True, 0
        for telegram in telegrams:
            confirmed = self._confirms(telegram)
            arrived = await self._send_outside(telegram, confirmed)
            acknowledged = acknowledged and (arrived or not confirmed)
            size = max(size, len(telegram.payload))
        self._tell_walk(bool(telegrams), acknowledged, size)
        for passed in passing:
            await self._pass_on(passed)
        return bool(telegrams or passing)

    @property
    def left(self) -> bool:
        """Whether something waits that the slot had no room for."""
        return bool(self._left)

    async def send_left(self) -> None:
        """The oldest of it."""
        one = self._left.popleft()
        if isinstance(one, Passed):
            await self._pass_on(one)
        else:
            await self._send_outside(one, self._confirms(one))

    # In the slot

    async def send_in_slot(self, planned: Planned) -> str | None:
        """The first telegram in the slot; what has no room there is left over. Why the slot was missed, None where it
        was not.

        In a quiet slot no telegram asks for an acknowledgement: `confirmation_due` tells when another uplink must.
        """
        if not self._radio.allows(planned):
            return "duty_cycle"
        telegrams, passing = await self._collect(self._radio.room(planned), proving=not planned.quiet)
        self.silent = not telegrams
        missed = None
        for number, telegram in enumerate(telegrams):
            if number or (planned.quiet and telegram.proves):
                self._leave(telegram, planned.quiet and not number)
                continue
            confirmed = self._confirms(telegram)
            asking = confirmed and not planned.quiet
            sent = await self._outgoing.send(
                PORT, telegram.payload, confirmed=asking, counter=telegram.counter, planned=planned
            )
            if sent is None:
                missed = self._outgoing.why
                self._leave(telegram, planned.quiet)
            else:
                self._note(telegram, sent)
            self._tell_walk(True, sent is not None and (sent.acknowledged or not confirmed), len(telegram.payload))
        if not telegrams:
            self._tell_walk(False, False, 0)
        for passed in passing:
            self._leave(passed, False)
        return missed

    @property
    def confirmation_due(self) -> bool:
        """Whether an uplink of its own should be acknowledged, because telegrams in quiet slots ask for nothing.

        Any downlink says as much: the network has just heard an uplink of this session.
        """
        since = min(self._since_confirmed, self._outgoing.unheard)
        regular = 0 < QUIET_FACTOR * self._confirm_every <= since
        return regular or (self._radio.uncertain and self._since_confirmed > 0)

    async def confirm(self) -> bool:
        """An empty uplink that asks for it; whether the acknowledgement came."""
        sent = await self._outgoing.send(None, b"", confirmed=True)
        if sent is None or not sent.acknowledged:
            return False
        self._since_confirmed = 0
        return True

    # Either way

    async def _collect(self, limit: int, *, proving: bool = True) -> tuple[list[Sealed], list[Passed]]:
        async with self._collecting:
            telegrams = await self._source.collect(limit, proving=proving)
            passing = self._source.passing()
        for telegram in telegrams:
            self._since_confirmed += 1
            if self._daybook is not None:
                self._daybook.note(telegram.counter, PORT, telegram.payload)
        return telegrams, passing

    def _confirms(self, telegram: Sealed) -> bool:
        regular = 0 < self._confirm_every <= self._since_confirmed
        return regular or self._radio.uncertain or self._walk.urgent or bool(telegram.proves)

    async def _send_outside(self, telegram: Sealed, confirmed: bool) -> bool:
        await self._outgoing.ready(len(telegram.payload))
        sent = await self._outgoing.send(PORT, telegram.payload, confirmed=confirmed, counter=telegram.counter)
        return sent is not None and self._note(telegram, sent)

    def _note(self, telegram: Sealed, sent: Sent) -> bool:
        if sent.acknowledged:
            self._since_confirmed = 0
            self._source.proof_arrived(telegram.proves)
        return sent.acknowledged

    def _tell_walk(self, something: bool, acknowledged: bool, size: int) -> None:
        now = self._clock.monotonic()
        if something:
            self._walk.read(now, acknowledged, self._outgoing.airtime(size))
        else:
            self._walk.silent(now)

    def _leave(self, one: Sealed | Passed, anew: bool) -> None:
        """For outside of the slot. `anew`: in its place a fresh one is made then, for open time may be minutes away and
        the age in this one is settled.
        """
        if anew:
            self.again = True
        else:
            if len(self._left) == MAX_LEFT:
                log.error("a telegram is given up: too many wait outside of the slot", extra={"alarm": "no_air"})
            self._left.append(one)
        self._wake()

    async def _pass_on(self, passed: Passed) -> None:
        """Send what a meter protected itself, as it is."""
        await self._outgoing.ready(len(passed.payload))
        await self._outgoing.send(passed.port, passed.payload, confirmed=self._radio.uncertain)
