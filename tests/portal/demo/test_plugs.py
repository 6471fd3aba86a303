"""The sockets of the demo's adapters: power in order, one after the other, and taken away for a moment."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from portal.ops.demo import plugs
from portal.ops.demo.plugs import Sockets, plug_in
from portal.ops.demo.supervisor import Child, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


async def test_adapters_get_power_one_after_the_other_and_lose_it_when_they_are_plugged_in_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugs, "APART_S", 0.05)
    sockets = tmp_path / "plugs"
    sockets.mkdir()
    for name in ("adapter-02", "adapter-01", "adapter-99"):
        plug_in(sockets, name)
    supervisor = Supervisor(tmp_path / "logs", tmp_path, lambda line: None)
    adapters = [Child(f"adapter-{number:02d}", SLEEPER) for number in (1, 2, 3)]
    house = Sockets(sockets, adapters, supervisor)
    try:
        began = time.monotonic()
        await house.look()
        assert time.monotonic() - began >= 2 * 0.05
        first = supervisor.pids
        assert list(first) == ["adapter-01", "adapter-02"], "in order; the third has no power, nobody knows the 99th"

        await house.look()
        assert supervisor.pids == first

        plug_in(sockets, "adapter-02")
        await house.look()
        async with asyncio.timeout(30):
            while supervisor.pids["adapter-02"] == first["adapter-02"]:
                await asyncio.sleep(0.02)
        assert supervisor.pids["adapter-01"] == first["adapter-01"]
    finally:
        await supervisor.stop()
