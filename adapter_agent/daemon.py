"""The adapter as a process: configuration, logs, signals, exit code."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from adapter_agent.app import AdapterApp
from adapter_agent.config import Loaded, load
from adapter_agent.coupling.board import Board
from adapter_agent.dates import Dates
from adapter_agent.keystore import KeyStore
from adapter_agent.sampler import Sampler
from adapter_agent.sealing import Sealing
from adapter_agent.source import SealingSource
from adapter_agent.state_folder import StateFolder
from edge.clock import Clock, SystemClock
from edge.config import effective
from edge.logs import configure
from edge.watchdog import Watchdog
from meterwire.counter import Counter


def run(path: Path, *, check_only: bool) -> int:
    """`adapter-agent run`. Raises MeterspanError when it cannot start."""
    loaded = load(path)
    if check_only:
        return _show(loaded)
    configure(loaded.config.log.form, loaded.config.log.level)
    asyncio.run(_until_signal(AdapterApp(loaded, SystemClock()).run()))
    return 0


def board(path: Path, *, check_only: bool) -> int:
    """`adapter-agent board`: the interface board's half. Raises MeterspanError when it cannot start."""
    loaded = load(path, board=True)
    if check_only:
        return _show(loaded)
    configure(loaded.config.log.form, loaded.config.log.level)
    asyncio.run(_until_signal(_run_board(loaded, SystemClock())))
    return 0


def provision(path: Path, keys: Path) -> int:
    """`adapter-agent provision`: seal the keys in `keys` and remove the file."""
    config = load(path, board=None).config
    adapter = config.adapter
    with StateFolder(adapter.state_dir, adapter.credential) as state:
        KeyStore.of(config, state).provision(keys)
    print(f"adapter {adapter.dev_eui.label}: keys sealed in {adapter.state_dir}, {keys} removed", file=sys.stderr)
    return 0


async def _run_board(loaded: Loaded, clock: Clock) -> None:
    config, coupling = loaded.config, loaded.config.coupling
    if coupling is None:
        raise AssertionError("checked when the configuration was read")
    adapter = config.adapter
    watchdog = Watchdog(clock)
    with StateFolder(adapter.state_dir, adapter.credential) as state:
        source = None
        if coupling.carries == "telegram":
            store = KeyStore.of(config, state)
            keys, counter = store.load(), Counter(store.counter())
            dates = Dates(clock, state.file("date"), trusted=config.clock.trusted)
            sealing = Sealing(adapter.dev_eui, keys.inner, counter, dates, config.sealing)
            source = SealingSource(Sampler(config.sampler, clock), sealing, dates)
        async with asyncio.TaskGroup() as group:
            group.create_task(Board(config, coupling, clock, source).run())
            group.create_task(watchdog.run())
            watchdog.ready(f"interface board of {adapter.dev_eui.label}")


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or the process is told to stop."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def _show(loaded: Loaded) -> int:
    print(effective(loaded.config), end="")
    if loaded.radio_section is not None:
        print(f"\n[radio]\n{effective(loaded.radio)}{effective(loaded.radio_section)}", end="")
    return 0
