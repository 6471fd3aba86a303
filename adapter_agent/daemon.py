"""The adapter as a process: configuration, logs, signals, exit code."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

from adapter_agent.app import AdapterApp
from adapter_agent.config import Loaded, load
from adapter_agent.coupling.board import Board
from adapter_agent.dates import Dates
from adapter_agent.keystore import KeyStore
from adapter_agent.nameplates import Nameplates
from adapter_agent.passing import PassThrough
from adapter_agent.proofs import Proofs
from adapter_agent.sampler import Sampler
from adapter_agent.sealing import Sealing
from adapter_agent.source import SealingParts, SealingSource
from adapter_agent.state_folder import StateFolder, announced
from edge.clock import Clock, SystemClock
from edge.config import effective
from edge.logs import configure
from edge.watchdog import Watchdog
from meterwire.counter import Counter
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)


class NoDaemon(MeterspanError):
    """There is no running adapter whose button could be pressed."""

    code = "no_daemon"
    temporary: ClassVar[bool] = True


def run(path: Path, *, check_only: bool) -> int:
    """`adapter-agent run`. Raises MeterspanError when it cannot start."""
    loaded = load(path)
    if check_only:
        return _show(loaded)
    configure(loaded.config.log.form, loaded.config.log.level)
    app = AdapterApp(loaded, SystemClock())
    asyncio.run(_until_signal(app.run(takes_signals=True), button=app.commission))
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


def commission(path: Path) -> int:
    """`adapter-agent commission`: press the button of the daemon that runs with this configuration."""
    config = load(path, board=None).config
    if not config.has_radio:
        raise NoDaemon("this is an interface board; commissioning begins at the base board, which has the radio")
    folder = config.adapter.state_dir
    process = announced(folder)
    if process is None:
        raise NoDaemon(f"no adapter-agent runs with the state in {folder}; start 'adapter-agent run' first")
    try:
        os.kill(process, signal.SIGUSR1)
    except OSError as error:
        raise NoDaemon(f"process {process}: {error.strerror}; run this as the adapter's own user") from None
    print(f"adapter {config.adapter.dev_eui.label}: the button is pressed", file=sys.stderr)
    return 0


async def _run_board(loaded: Loaded, clock: Clock) -> None:
    config, coupling = loaded.config, loaded.config.coupling
    if coupling is None:
        raise AssertionError("checked when the configuration was read")
    adapter = config.adapter
    watchdog = Watchdog(clock)
    with StateFolder(adapter.state_dir, adapter.credential) as state:
        store, source = KeyStore.of(config, state), None
        meter_key = store.meter_keys()
        if coupling.carries == "telegram":
            keys, counter = store.load(), Counter(store.counter())
            dates = Dates(clock, state.file("date"), trusted=config.clock.trusted)
            sealing = Sealing(adapter.dev_eui, keys.inner, counter, dates, config.sealing)
            nameplates = Nameplates(clock, [one.number for one in config.input])
            proofs = Proofs(adapter.dev_eui, nameplates, clock)
            passing = PassThrough(clock, config.sampler.silent_after_s)
            sampler = Sampler(config.sampler, clock)
            source = SealingSource(SealingParts(sampler, sealing, dates, proofs, passing, meter_key))
        async with asyncio.TaskGroup() as group:
            group.create_task(Board(config, coupling, clock, source, meter_key).run())
            group.create_task(watchdog.run())
            watchdog.ready(f"interface board of {adapter.dev_eui.label}")


async def _until_signal(work: Coroutine[Any, Any, None], button: Callable[[], None] | None = None) -> None:
    """Run `work` until it ends or the process is told to stop; SIGUSR1 presses the `button`."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    loop.add_signal_handler(signal.SIGUSR1, button or _no_button)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def _no_button() -> None:
    log.info("an interface board has no commissioning; press the base board's button")


def _show(loaded: Loaded) -> int:
    print(effective(loaded.config), end="")
    if loaded.radio_section is not None:
        print(f"\n[radio]\n{effective(loaded.radio)}{effective(loaded.radio_section)}", end="")
    return 0
