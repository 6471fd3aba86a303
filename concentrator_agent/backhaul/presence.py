"""The retained `state` message: birth, heartbeat, last will (design 5.5)."""

from collections.abc import Callable

import msgspec

from concentrator_agent import __version__
from concentrator_agent.radio.forwarders import Forwarders
from edge.clock import Clock
from edge.outbox import Outbox
from edge.ulids import Ulids
from meterwire import messages


class Presence(msgspec.Struct, eq=False):
    """Knows what to say about this concentrator. `boot` names this start of the process."""

    clock: Clock
    ulids: Ulids
    boot: str
    mode: str
    public_key: str
    revision: Callable[[], int]
    devices: Callable[[], int]
    clock_state: Callable[[], messages.ClockState]
    outbox: Outbox
    forwarders: Forwarders

    def state(self, online: bool) -> bytes:
        stats = self.outbox.stats()
        return messages.encode(
            messages.State(
                id=self.ulids(),
                time=messages.timestamp(self.clock.time()),
                online=online,
                boot=self.boot,
                version=__version__,
                public_key=self.public_key,
                revision=self.revision(),
                devices=self.devices(),
                mode="smgw" if self.mode == "smgw" else "stand-alone",
                queue_depth=stats.depth,
                oldest_age_s=round(stats.oldest_age_s, 3),
                dropped=stats.dropped,
                clock=self.clock_state(),
                gateways=tuple(
                    messages.GatewayState(one.eui, one.online, messages.timestamp(one.last_seen_at))
                    for one in list(self.forwarders.known.values())[:32]
                ),
            )
        )
