"""Time on a bus: the clock stands still until every octet that one side has sent has reached the other."""

import asyncio

from adapter_agent.meter.line import Line
from adapter_agent.simulation.mbus_meter import Bus
from edge.clock import ManualClock

STEP_S = 0.1  # below any time-out of the master


class Carried:
    """Counts what the adapter's lines send and receive, from `monkeypatch` on."""

    def __init__(self, monkeypatch) -> None:
        self.sent = self.received = 0
        write, read = Line.write, Line.read

        async def counted_write(line, data):
            self.sent += len(data)
            await write(line, data)

        def counted_read(line):
            data = read(line)
            self.received += len(data)
            return data

        monkeypatch.setattr(Line, "write", counted_write)
        monkeypatch.setattr(Line, "read", counted_read)

    async def wait(self, seconds: float, clock: ManualClock, bus: Bus) -> None:
        for _ in range(round(seconds / STEP_S)):
            await clock.advance(STEP_S)
            while (self.sent, self.received) != (bus.heard, bus.said):
                await asyncio.sleep(0.001)
