"""Uplinks of the adapter: sent, counted, and told to whoever wants to know."""

import logging
from collections.abc import Callable
from dataclasses import replace

from adapter_agent.radio.base import AdapterRadio, Planned, Sent
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)


class Outgoing:
    """`on_sent` sees every uplink with data. What does not leave is logged; `why` then names the last reason.

    `unheard` counts the uplinks since the network was heard.
    """

    def __init__(self, radio: AdapterRadio, on_sent: Callable[[Sent], None]) -> None:
        self.sent = self.acknowledged = self.unheard = 0
        self.why = ""
        self._radio, self._on_sent = radio, on_sent

    async def ready(self, size: int) -> None:
        """As `AdapterRadio.ready`."""
        await self._radio.ready(size)

    async def send(
        self,
        port: int | None,
        payload: bytes,
        *,
        confirmed: bool,
        counter: int | None = None,
        planned: Planned | None = None,
    ) -> Sent | None:
        """What became of it; None when it never left."""
        try:
            sent = await self._radio.send(port, payload, confirmed=confirmed, planned=planned)
        except MeterspanError as error:
            self.why = error.code
            log.warning("not sent: %s", error, extra={"port": port, "counter": counter, "code": error.code})
            return None
        self.unheard = 0 if sent.heard else self.unheard + 1
        if port is not None:
            self.sent += 1
            self.acknowledged += sent.acknowledged
            self._on_sent(replace(sent, counter=counter))
        return sent

    def airtime(self, size: int) -> float:
        """Seconds on the air of `size` bytes; 0 while no session says at which data rate."""
        try:
            return self._radio.airtime(size)
        except MeterspanError:
            return 0.0
