"""A divided adapter: two processes with a serial line between them, sealing on the one board or on the other."""

import asyncio
import json
import os
import pty
import selectors
import sys
import threading
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import pytest

from meterwire import config_records
from meterwire.config_records import IdentityKind, ReadIdentity, Registers, Resolution
from meterwire.identity import identity_hash
from tests.adapter_agent.cast import DEV_EUI, JOIN_EUI, SERVER_ID, opened, write_hand_over
from tests.adapter_agent.meter.build import energy, telegram
from tests.adapter_agent.radio.air import AirServer

METER = telegram(energy("0100010800ff", 123456), energy("0100020800ff", 777))
TOLD = {ReadIdentity(0, IdentityKind.SERVER_ID, SERVER_ID), Resolution(1, -1), Resolution(2, -1)}


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
        period_s = 1.0
        [clock]
        trusted = true
        [commissioning]
        minutes = 0
        {sections}
        """
    )
    return file


@dataclass(frozen=True)
class Walk:
    """What two divided halves did: the first telegrams, opened by the network's owner, the records reported, what the
    wire carried, and the state files of each half.
    """

    sent: list[dict[int, int]]
    reports: list
    carried: bytes
    sealed: dict[str, str]


async def walk(folder: Path, carries: str, down: bytes = b"", *, enough: int = 3, told: Set = frozenset()) -> Walk:
    """Until there are `enough` telegrams and the reports have `told` everything."""
    wire = Wire()
    meter, meter_line = pty.openpty()
    air = AirServer()
    air.configuration = down
    await air.start()
    coupling = '[coupling]\ndevice = "{}"\ncarries = "' + carries + '"\n'
    board = configuration(
        folder, "board", f'{coupling.format(wire.devices[0])}[[input]]\ndevice = "{os.ttyname(meter_line)}"'
    )
    base = configuration(
        folder, "base", f"{coupling.format(wire.devices[1])}[radio]\nport = {air.port}\nconfirm_every = 0"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "adapter_agent", command, "--config", str(file))
        for command, file in (("board", board), ("run", base))
    ]
    pushing = asyncio.create_task(push(meter))
    try:
        async with asyncio.timeout(120):
            while len(air.values) < enough or not told <= set(records(air)):
                await asyncio.sleep(0.02)
    finally:
        pushing.cancel()
        for process in processes:
            process.terminate()
        codes = [await asyncio.wait_for(process.wait(), 60) for process in processes]
        await air.stop()
        wire.close()
        os.close(meter)
        os.close(meter_line)
    assert codes == [0, 0]
    values = [opened(payload, counter) for counter, payload in enumerate(air.values[:enough])]
    sealed = {
        name: json.dumps(sorted(p.name for p in (folder / name / "state").iterdir())) for name in ("board", "base")
    }
    return Walk(values, records(air), bytes(wire.carried), sealed)


def records(air: AirServer) -> list:
    return [record for report in air.reports for record in config_records.decode(report).records]


async def push(meter: int) -> None:
    while True:
        os.write(meter, METER)
        await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """All at once, as each of them waits for most of its time: for its turn to join, and for the next period."""
    [registers] = config_records.encode(4, [Registers(0, (2,))])

    async def together():
        working = {
            f"{name} {carries}": walk(tmp_path_factory.mktemp(carries), carries, **how)
            for name, carries, how in (
                *(("same", carries, {"told": TOLD}) for carries in ("bytes", "reading", "telegram")),
                *(("configured", carries, {"down": registers, "enough": 4}) for carries in ("reading", "telegram")),
            )
        }
        return dict(zip(working, await asyncio.gather(*working.values(), return_exceptions=True), strict=True))

    done = asyncio.run(together())

    def of(name: str) -> Walk:
        if isinstance(done[name], BaseException):
            raise done[name]
        return done[name]

    return of


@pytest.mark.parametrize(
    ("carries", "on_the_wire", "not_on_the_wire"),
    [
        ("bytes", METER[16:40], None),
        ("reading", b"12345.6", METER[16:40]),
        ("telegram", b"telegrams", b"12345.6"),
    ],
    ids=["bytes", "reading", "telegram"],
)
def test_the_same_telegrams_come_out_wherever_decoding_and_sealing_sit(walks, carries, on_the_wire, not_on_the_wire):
    done = walks(f"same {carries}")
    assert [(values[1], values[2]) for values in done.sent] == [(12345, 77)] * 3
    assert [values.get(31) for values in done.sent] == [identity_hash(DEV_EUI, 0, SERVER_ID), None, None]
    assert ReadIdentity(0, IdentityKind.SERVER_ID, SERVER_ID) in done.reports
    assert {Resolution(1, -1), Resolution(2, -1)} <= set(done.reports)
    assert on_the_wire in done.carried
    if not_on_the_wire is not None:
        assert not_on_the_wire not in done.carried
    assert ("counter.sealed" in done.sealed["board"]) == (carries == "telegram")
    assert ("counter.sealed" in done.sealed["base"]) == (carries != "telegram")
    assert "radio.sealed" not in done.sealed["board"]


@pytest.mark.parametrize("carries", ["reading", "telegram"])
def test_the_configuration_reaches_the_half_that_samples(walks, carries):
    assert sorted(walks(f"configured {carries}").sent[-1]) == [2]
