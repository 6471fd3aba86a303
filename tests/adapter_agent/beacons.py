"""A network that also sends a beacon, for an adapter whose crystal is wrong."""

from dataclasses import replace

from adapter_agent.radio.phy import Overheard
from edge.clock import ManualClock
from meterwire.beacon import Beacon
from meterwire.clock_package import ClockQuality
from meterwire.config_records import BeaconRecord
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.gpstime import gps_seconds
from tests.adapter_agent.house import Concentrator

RECORD = BeaconRecord(869_525_000, 3, 60, 0)
NAME = b"\x00\x00\x00\x0a"


class BeaconNetwork(Concentrator):
    """Sends a beacon at phase 0 of every minute of the true clock, as `altered` makes it; None there: none."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.late_s = 0.0  # so much later than the beacon says it leaves
        self.lost = False
        self.windows: list[tuple[float, float]] = []  # begin and length of each
        self.altered = lambda beacon: beacon

    async def listen(self, *, freq_hz, dr, seconds):
        now = self.clock.time()
        self.windows.append((now, seconds))
        begin = -(-(now - self.late_s) // RECORD.period_s) * RECORD.period_s
        leaves = begin + self.late_s
        content = self.altered(Beacon(NAME, round(gps_seconds(begin) * 1000), 2, ClockQuality.GPS))
        heard = (freq_hz, dr) == (RECORD.frequency_hz, RECORD.data_rate) and leaves <= now + seconds
        if self.lost or content is None or not heard:
            await self.clock.sleep(seconds)
            return None
        frame = content if isinstance(content, bytes) else content.encode()
        await self.clock.sleep(leaves - now + airtime_s(len(frame), dr, uplink=False))
        return Overheard(frame, leaves - now, -90.0, 8.0)


def named(name: bytes):
    return lambda beacon: replace(beacon, concentrator=name)
