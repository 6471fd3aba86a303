"""A whole adapter at one meter, and a network that tells the time and hands out configurations."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from adapter_agent.app import AdapterApp
from adapter_agent.config import check
from edge.clock import ManualClock
from edge.config import parse
from meterwire import config_records, key_messages
from meterwire.lorawan import mac_commands as mac
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.gpstime import gps_seconds
from tests.adapter_agent.cast import DEV_EUI, JOIN_EUI, write_hand_over
from tests.adapter_agent.meter.build import SERVER_ID, energy, telegram
from tests.adapter_agent.meter_line import MeterLine
from tests.adapter_agent.radio.network import Network

IMPORT = "0100010800ff"


class Concentrator(Network):
    """Answers DeviceTimeReq, acknowledges, and sends what is `waiting` for port 33, or `about_keys` on port 34, one
    payload per uplink.

    `knows` false: the device is none of ours, nothing is answered. `after_report`: what to queue once the first
    report of a session has come, as the portal does.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.knows = True
        self.waiting: list[bytes] = []
        self.after_report: list[bytes] = []
        self.about_keys: list[bytes] = []
        self.lose = 0  # so many of the next downlinks with a payload do not arrive
        self.all_air: list[tuple[float, int, float]] = []  # begin, frequency, airtime of everything sent

    async def exchange(self, frame, *, freq_hz, dr, power_dbm, windows):
        self.all_air.append((self.clock.time(), freq_hz, airtime_s(len(frame), dr)))
        return await super().exchange(frame, freq_hz=freq_hz, dr=dr, power_dbm=power_dbm, windows=windows)

    def hear(self, heard):
        return super().hear(heard) if self.knows else None

    def hear_data(self, heard):
        super().hear_data(heard)
        uplink = heard.uplink
        commands = [mac.DeviceTimeAns.at(gps_seconds(heard.at))] if mac.DeviceTimeReq() in heard.commands else []
        if uplink.fport == config_records.PORT:
            self.waiting, self.after_report = self.waiting + self.after_report, []
        fields = {}
        if self.waiting:
            fields = {"fport": config_records.PORT, "payload": self.waiting.pop(0)}
            fields["class_b_or_pending"] = bool(self.waiting)
        elif self.about_keys:
            fields = {"fport": key_messages.PORT, "payload": self.about_keys.pop(0)}
        if not fields and not commands and not uplink.confirmed:
            return None
        answer = self.down(commands=commands, **fields)
        if fields and self.lose:
            self.lose -= 1
            return None
        return answer


class House:
    """The clock moves only when told; the meter's bytes arrive through a real line."""

    def __init__(self, folder: Path, more: str = "", dr: int = 5, **keys) -> None:
        self.clock = ManualClock()
        self.network = Concentrator(self.clock)
        self.sent = []
        self.server_id = SERVER_ID
        self.line = MeterLine()
        write_hand_over(folder / "keys.json", **keys)
        self.source = folder / "adapter.toml"
        self.text = f"""
            [adapter]
            dev_eui = "{DEV_EUI}"
            join_eui = "{JOIN_EUI}"
            state_dir = "state"
            key_file = "keys.json"
            [[input]]
            device = "{self.line.device}"
            [radio]
            confirm_every = 3
            data_rate = {dr}
            {more}
        """

    def app(self) -> AdapterApp:
        loaded = check(parse(self.text, self.source))
        return AdapterApp(loaded, self.clock, phy=self.network, on_sent=self.sent.append, random=Random(3))

    @asynccontextmanager
    async def running(self):
        app = self.app()
        task = asyncio.create_task(app.run())
        try:
            yield app
        finally:
            app.stop()
            await asyncio.wait_for(task, 30)

    async def crash(self, task: asyncio.Task, app: AdapterApp) -> None:
        """Power is lost: nothing is saved on the way out."""
        app._parts.radio.close = lambda: None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def pass_time(self, seconds: float, every_s: float = 2.0, raw: int = 123456) -> None:
        passed = 0.0
        while passed < seconds:
            if self.server_id is not None:
                self.line.say(telegram(energy(IMPORT, raw), server_id=self.server_id))
            await self.clock.advance(every_s)
            passed += every_s

    @property
    def telegrams(self) -> list:
        return [sent for sent in self.sent if sent.port == 16]

    @property
    def reports(self) -> list:
        """The acknowledged parts on port 33, taken apart."""
        return [config_records.decode(sent.payload) for sent in self.sent if sent.port == 33 and sent.acknowledged]

    def close(self) -> None:
        self.line.close()


def reported(parts, kind) -> list:
    """All records of a kind in the parts, in order."""
    return [record for part in parts for record in part.records if isinstance(record, kind)]
