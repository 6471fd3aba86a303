"""A whole concentrator at an SMGw takes its time from there; another one takes it from its gateways."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from concentrator_agent.app import ConcentratorApp
from concentrator_agent.config import Config, load
from edge.clock import SystemClock
from edge.config import ConfigError
from tests.concentrator_agent.field import config_for, eventually
from tests.support.chrony import chronyd

LEAST = '[concentrator]\neui = "00-11-22-33-44-55-66-77"\nstate_dir = "state"\n'
ADDRESS = ("127.0.0.1", 4000)


class Behind(SystemClock):
    """A machine that lost its time."""

    def time(self) -> float:
        return super().time() - 7200.0


async def running(config: Config) -> tuple[ConcentratorApp, "asyncio.Task[None]"]:
    app = ConcentratorApp(config, Behind(), notify=lambda message: None)
    task = asyncio.ensure_future(app.run())
    await asyncio.wait_for(app.ready.wait(), 20)
    return app, task


def reasons(app: ConcentratorApp) -> list[str | None]:
    """Of the events about the clock that wait to be stored or are."""
    stored = [entry.body for entry in (*app.outbox.after(0, 100), *app._pending_events)]
    return [event["reason"] for event in map(json.loads, stored) if event["kind"] == "clock"]


async def test_the_smgws_time_becomes_the_concentrators(tmp_path: Path) -> None:
    with chronyd("local stratum 3") as port:
        config = config_for(tmp_path).replace("concentrator", mode="smgw")
        app, task = await running(config.replace("time", source="smgw", server="127.0.0.1", port=port))
        await eventually(lambda: app.time.quality() == "ntp")
        assert abs(app.clock.time() - time.time()) < 0.1
        await eventually(lambda: "settled" in reasons(app))
        assert app.time.may_tell("ntp")
        assert app.clock_watch.state().offset_ms == pytest.approx(7_200_000, abs=1000)
        assert {"jump", "synchronised"} <= set(reasons(app))
        app.stop()
        await task


async def test_without_an_answer_nobody_is_told_the_time(tmp_path: Path) -> None:
    config = config_for(tmp_path).replace("concentrator", mode="smgw")
    app, task = await running(config.replace("time", source="smgw", server="127.0.0.1", port=1))
    assert (app.time.quality(), app.time.may_tell("free")) == ("free", False)
    app.stop()
    await task


def push(**packet: Any) -> bytes:
    """PUSH_DATA with one packet."""
    data = base64.b64encode(bytes([0x40]) + bytes(20)).decode()
    rxpk = {"tmst": 1_000_000, "freq": 868.1, "datr": "SF7BW125", "rssi": -70, "lsnr": 9, "stat": 1, "data": data}
    return b"\x02\x00\x01\x00" + bytes.fromhex("aa00000000000001") + json.dumps({"rxpk": [rxpk | packet]}).encode()


@pytest.mark.parametrize("field", ["time", "tmms"])
async def test_gateways_with_gps_bring_the_time(tmp_path: Path, field: str) -> None:
    app, task = await running(config_for(tmp_path).replace("time", source="gps"))
    now = time.time()
    iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f"{now % 1:.6f}Z"[1:]
    value: Any = iso if field == "time" else round((now - 315_964_800 + 18) * 1000)
    app.forwarders.take(push(**{field: value}), ADDRESS)
    assert app.time.quality() == "gps"
    assert abs(app.clock.time() - time.time()) < 0.1
    assert app.time.may_tell("gps")
    app.stop()
    await task


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[time]\nsource = "smgw"\n', "needs 'server'"),
        ('[time]\nsource = "smgw"\nserver = "ntp.example"\n', "an IP address"),
        ('[time]\nsource = "smgw"\nserver = "192.0.2.1"\n', "HAN is never open"),
        ('[time]\nsource = "gps"\n[clock]\nquality = "ntp"\n', "says itself what it is worth"),
        ('[time]\nsource = "sundial"\n', "sundial"),
        ("[time]\npoll_s = 1.0\n", "poll_s"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(LEAST + text)
    with pytest.raises(ConfigError, match=word):
        load(path)
