"""The watchdog: fed only while everything moves."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from edge.clock import ManualClock
from edge.watchdog import Watchdog, sd_notify


async def run_for(watchdog: Watchdog, clock: ManualClock, seconds: float) -> None:
    task = asyncio.ensure_future(watchdog.run())
    await clock.advance(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_it_is_fed_while_every_task_keeps_its_promise(clock: ManualClock) -> None:
    said: list[str] = []
    watchdog = Watchdog(clock, said.append, interval_s=10)
    progress = watchdog.register("pump", within_s=25)
    await run_for(watchdog, clock, 26)
    assert said == ["WATCHDOG=1"] * 3
    said.clear()
    await run_for(watchdog, clock, 5)
    assert said == []
    assert watchdog.stuck() == ["pump"]
    progress()
    await run_for(watchdog, clock, 5)
    assert said == ["WATCHDOG=1"]


async def test_a_task_that_ended_on_purpose_is_not_missed(clock: ManualClock) -> None:
    watchdog = Watchdog(clock, lambda message: None)
    watchdog.register("join", within_s=1)
    await clock.advance(5)
    watchdog.remove("join")
    assert watchdog.stuck() == []


def test_the_datagram_reaches_the_service_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        watchdog = Watchdog(clock)
        watchdog.ready("listening")
        assert manager.recv(100) == b"READY=1\nSTATUS=listening"
        watchdog.stopping()
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    sd_notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    sd_notify("READY=1")


def test_half_of_systemds_period_is_used(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert Watchdog(clock)._interval_s == 15.0
    monkeypatch.setenv("WATCHDOG_USEC", "nonsense")
    assert Watchdog(clock)._interval_s == 10.0
