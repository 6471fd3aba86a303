"""A divided adapter: two processes with a serial line between them, sealing on the one board or on the other."""

import asyncio
import json
import os
import pty
import selectors
import sys
import threading
from pathlib import Path

import pytest

from meterwire import config_records
from meterwire.config_records import IdentityKind, ReadIdentity, Registers, Resolution
from meterwire.identity import identity_hash
from tests.adapter_agent.cast import DEV_EUI, JOIN_EUI, SERVER_ID, opened, write_hand_over
from tests.adapter_agent.meter.build import energy, telegram
from tests.adapter_agent.radio.air import AirServer

METER = telegram(energy("0100010800ff", 123456), energy("0100020800ff", 777))


class Wire:
    """A serial cable: two pseudo-terminals, what goes into one comes out of the other."""

    def __init__(self) -> None:
        self._ends = [pty.openpty(), pty.openpty()]
        self.devices = [os.ttyname(slave) for _, slave in self._ends]
        self.carried = bytearray()
        self._running = True
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        (one, _), (other, _) = self._ends
        with selectors.DefaultSelector() as waiting:
            waiting.register(one, selectors.EVENT_READ, other)
            waiting.register(other, selectors.EVENT_READ, one)
            while self._running:
                for key, _ in waiting.select(0.1):
                    data = os.read(key.fd, 4096)
                    self.carried += data
                    os.write(key.data, data)

    def close(self) -> None:
        self._running = False
        self._thread.join()
        for pair in self._ends:
            for descriptor in pair:
                os.close(descriptor)


def configuration(folder: Path, name: str, sections: str) -> Path:
    (folder / name).mkdir()
    write_hand_over(folder / name / "keys.json")
    file = folder / name / "adapter.toml"
    file.write_text(
        f"""
        [adapter]
        dev_eui = "{DEV_EUI}"
        join_eui = "{JOIN_EUI}"
        state_dir = "state"
        key_file = "keys.json"
        [sampler]
        period_s = 3.0
        [clock]
        trusted = true
        [commissioning]
        minutes = 0
        {sections}
        """
    )
    return file


async def telegrams(
    tmp_path: Path, carries: str, configuration_: bytes = b"", enough: int = 3
) -> tuple[list[dict[int, int]], list, Wire]:
    """What two divided halves have sent after `enough` telegrams, opened by the network's owner, and the reports."""
    wire = Wire()
    meter, meter_line = pty.openpty()
    air = AirServer(enough=enough)
    air.configuration = configuration_
    await air.start()
    coupling = '[coupling]\ndevice = "{}"\ncarries = "' + carries + '"\n'
    board = configuration(
        tmp_path, "board", f'{coupling.format(wire.devices[0])}[[input]]\ndevice = "{os.ttyname(meter_line)}"'
    )
    base = configuration(
        tmp_path, "base", f"{coupling.format(wire.devices[1])}[radio]\nport = {air.port}\nconfirm_every = 0"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "adapter_agent", command, "--config", str(file))
        for command, file in (("board", board), ("run", base))
    ]
    pushing = asyncio.create_task(push(meter))
    try:
        async with asyncio.timeout(60):
            await air.done.wait()
    finally:
        pushing.cancel()
        for process in processes:
            process.terminate()
        codes = [await asyncio.wait_for(process.wait(), 20) for process in processes]
        await air.stop()
        wire.close()
        os.close(meter)
        os.close(meter_line)
    assert codes == [0, 0]
    values = [opened(payload, counter) for counter, payload in enumerate(air.values)]
    return values, [record for report in air.reports for record in config_records.decode(report).records], wire


async def push(meter: int) -> None:
    while True:
        os.write(meter, METER)
        await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("carries", "on_the_wire", "not_on_the_wire"),
    [
        ("bytes", METER[16:40], None),
        ("reading", b"12345.6", METER[16:40]),
        ("telegram", b"telegrams", b"12345.6"),
    ],
    ids=["bytes", "reading", "telegram"],
)
async def test_the_same_telegrams_come_out_wherever_decoding_and_sealing_sit(
    tmp_path, carries, on_the_wire, not_on_the_wire
):
    sent, reports, wire = await telegrams(tmp_path, carries)
    assert [(values[1], values[2]) for values in sent] == [(12345, 77)] * 3
    assert [values.get(31) for values in sent] == [identity_hash(DEV_EUI, 0, SERVER_ID), None, None]
    assert ReadIdentity(0, IdentityKind.SERVER_ID, SERVER_ID) in reports
    assert {Resolution(1, -1), Resolution(2, -1)} <= set(reports)
    assert on_the_wire in wire.carried
    if not_on_the_wire is not None:
        assert not_on_the_wire not in wire.carried
    sealed = {
        name: json.dumps(sorted(p.name for p in (tmp_path / name / "state").iterdir())) for name in ("board", "base")
    }
    assert ("counter.sealed" in sealed["board"]) == (carries == "telegram")
    assert ("counter.sealed" in sealed["base"]) == (carries != "telegram")
    assert "radio.sealed" not in sealed["board"]


@pytest.mark.parametrize("carries", ["reading", "telegram"])
async def test_the_configuration_reaches_the_half_that_samples(tmp_path, carries):
    [configured] = config_records.encode(4, [Registers(0, (2,))])
    sent, _, _ = await telegrams(tmp_path, carries, configured, enough=4)
    assert sorted(sent[-1]) == [2]
