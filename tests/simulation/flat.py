"""One flat of a simulated house: the real adapter on a crystal that is wrong, with a meter that counts evenly."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

from adapter_agent.app import AdapterApp
from adapter_agent.config import check
from adapter_agent.radio.base import Sent
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.crystal import Crystal, CrystalClock
from adapter_agent.simulation.physics import GATEWAY_NOISE_FIGURE_DB, sensitivity_dbm
from edge.clock import Clock
from edge.config import parse
from meterwire.config_records import SlotState
from meterwire.ids import meter_id_of
from meterwire.lorawan.region import EU868
from meterwire.reading import Reading, RegisterValue
from meterwire.slots import Slot
from tests.adapter_agent.cast import SERVER_ID, write_hand_over
from tests.concentrator_agent.lab import JOIN_EUI, Mote

POWER_DBM = 14
READ_BEFORE_S = 5.0  # so long before its slot the meter is heard for the last time
SILENT_AFTER_S = 1800.0
WATT = 400.0
CONFIG = """
[adapter]
dev_eui = "{dev_eui}"
join_eui = "{join_eui}"
state_dir = "state"
key_file = "keys.json"
[radio]
type = "virtual"
data_rate = {data_rate}
[[input]]
device = "{device}"
[commissioning]
minutes = 0
[sampler]
registers = ["1-0:1.8.0"]
period_s = {period_s}
silent_after_s = {silent_after_s}
"""


@dataclass
class Flat:
    """`margin_db` is what its link has to spare. Power comes `starts_s` after the house, a clock `ahead_s` wrong."""

    number: int
    crystal: Crystal
    slot: Slot
    margin_db: float = 12.0
    starts_s: float = 0.0
    ahead_s: float = 0.0
    configured: bool = True  # where not, it does not know of its slot
    sent: list[Sent] = field(default_factory=list)
    agent: AdapterApp | None = None

    def __post_init__(self) -> None:
        self.mote = Mote(self.number)

    @property
    def dev_eui(self) -> str:
        return self.mote.dev_eui

    @property
    def loss_db(self) -> float:
        rate = EU868.data_rate(self.slot.data_rate)
        needed = sensitivity_dbm(rate.spreading_factor or 0, rate.bandwidth_hz, GATEWAY_NOISE_FIGURE_DB)
        return POWER_DBM - needed - self.margin_db

    @property
    def state(self) -> SlotState:
        """What the adapter does with its slot."""
        working = self.agent is not None and self.agent._parts is not None
        return self.agent._parts.slot.state if working else SlotState.NONE  # type: ignore[union-attr]

    @property
    def trusts(self) -> bool:
        """Whether it would use the next slot: it says so a little later, and falls back before."""
        if self.agent is None or self.agent._parts is None:
            return False
        return self.agent._parts.slot.next(self.agent._clock.monotonic()) is not None

    async def live(self, folder: Path, clock: Clock, air: Air) -> None:
        """From power-up until cancelled."""
        await clock.sleep(self.starts_s)
        with self._line(folder) as device:
            text = CONFIG.format(
                dev_eui=self.dev_eui,
                join_eui=JOIN_EUI,
                data_rate=self.slot.data_rate,
                device=device,
                period_s=self.slot.period_s,
                silent_after_s=SILENT_AFTER_S,
            )
            self.agent = AdapterApp(
                check(parse(text, folder / str(self.number) / "adapter.toml")),
                CrystalClock(clock, self.crystal, self.ahead_s),
                phy=air.phy(self.dev_eui),
                on_sent=self.sent.append,
                random=Random(self.number),
            )
            await self.agent.run()

    async def count(self, clock: Clock) -> None:
        """The meter talks shortly before its adapter sends; what it says in between would only be forgotten."""
        while True:
            if self.agent is not None and self.agent._parts is not None:
                self.agent._parts.source.take(0, reading(clock.time()))
                now = clock.time() + READ_BEFORE_S
                await clock.sleep(max(1.0, self.slot.begin(now) - now))
            else:
                await clock.sleep(READ_BEFORE_S)

    @contextmanager
    def _line(self, folder: Path) -> Iterator[str]:
        """A line on which nobody speaks: what is measured here begins behind it."""
        home = folder / str(self.number)
        home.mkdir()
        write_hand_over(home / "keys.json", dev_eui=self.dev_eui, join_eui=JOIN_EUI, root_key=self.mote.key.hex())
        line, meter = os.openpty()
        try:
            yield os.ttyname(meter)
        finally:
            os.close(line)
            os.close(meter)


def reading(unix: float) -> Reading:
    """What a meter shows that has drawn WATT since 1970."""
    register = RegisterValue(Decimal(round(unix * WATT / 3600)), "Wh", 0)
    return Reading(meter_id_of(SERVER_ID), SERVER_ID, {"1-0:1.8.0*255": register})
