"""Runs child processes: readiness, restart with back-off, a log each, ordered stop, and never an orphan."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESTART_DELAYS = (0.5, 1.0, 2.0, 5.0, 15.0)  # seconds; the last one repeats
HEALTHY_AFTER_SECONDS = 20.0
STOP_SECONDS = 8.0
READY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ChildFailed(RuntimeError):
    """A child did not become ready or a one-off step failed; the message carries the end of its log."""


@dataclass(frozen=True)
class Child:
    """What to run: `ready` is awaited after the start (None: ready at once), `env` adds to the launcher's own.

    `serves`: the others need it to say good-bye, so it ends after them.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] | None = None
    serves: bool = False


class Supervisor:
    """Owns the children: started one by one or together, ended together."""

    def __init__(self, logs: Path, cwd: Path, talk: Callable[[str], None]) -> None:
        self._logs, self._cwd, self._talk = logs, cwd, talk
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._cycled: set[str] = set()
        self._serving: set[str] = set()
        self._stopping = False
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    async def once(self, child: Child) -> None:
        """Run a step to its end; one that is cancelled ends. Raises ChildFailed when it does not exit with 0."""
        process = await self._spawn(child)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            _signal_group(process, signal.SIGTERM)
            raise
        if code != 0:
            raise ChildFailed(f"{child.name} failed:\n{self.log_end(child.name)}")

    async def start(self, child: Child) -> None:
        """Start, wait until ready, then keep it running. Raises ChildFailed when it does not become ready."""
        process = await self._spawn(child)
        self._processes[child.name] = process
        if child.serves:
            self._serving.add(child.name)
        await self._wait_ready(child, process)
        self._watchers[child.name] = asyncio.create_task(self._keep(child), name=f"keep {child.name}")

    def power_cycle(self, name: str) -> None:
        """End a child and let it start again at once, as if its plug had been pulled for a moment."""
        self._cycled.add(name)
        process = self._processes[name]
        if process.returncode is None:
            _signal_group(process, signal.SIGTERM)

    async def stop(self) -> None:
        """End every child, those that serve others at last; who does not go within STOP_SECONDS is killed."""
        self._stopping = True
        for watcher in self._watchers.values():
            watcher.cancel()
        await self._end([name for name in self._processes if name not in self._serving])
        await self._end(list(self._serving))

    def log_end(self, name: str, lines: int = 15) -> str:
        """The last lines of a child's log."""
        return "\n".join((self._logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    async def _end(self, names: Sequence[str]) -> None:
        ending = {name: self._processes[name] for name in names if self._processes[name].returncode is None}
        for process in ending.values():
            _signal_group(process, signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        for name, process in ending.items():
            try:
                async with asyncio.timeout_at(deadline):
                    await process.wait()
            except TimeoutError:
                self._talk(f"{name} did not stop by itself, killed")
                _signal_group(process, signal.SIGKILL)
                await process.wait()

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        with (self._logs / f"{child.name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *child.command,
                cwd=self._cwd,
                env={**os.environ, **child.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_launcher,
            )

    async def _wait_ready(self, child: Child, process: asyncio.subprocess.Process) -> None:
        if child.ready is None:
            return
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while not await child.ready():
            if process.returncode is not None:
                raise ChildFailed(f"{child.name} ended at its start:\n{self.log_end(child.name)}")
            if asyncio.get_running_loop().time() > deadline:
                raise ChildFailed(f"{child.name} was not ready in {READY_SECONDS:.0f} s:\n{self.log_end(child.name)}")
            await asyncio.sleep(0.05)

    async def _keep(self, child: Child) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            code = await self._processes[child.name].wait()
            if self._stopping:
                return
            if child.name in self._cycled:
                self._cycled.discard(child.name)
                self._processes[child.name] = await self._spawn(child)
                continue
            if loop.time() - began > HEALTHY_AFTER_SECONDS:
                failures = 0
            delay = RESTART_DELAYS[min(failures, len(RESTART_DELAYS) - 1)]
            failures += 1
            self._talk(f"{child.name} ended (code {code}), starting it again in {delay:g} s; see {child.name}.log")
            await asyncio.sleep(delay)
            self._processes[child.name] = await self._spawn(child)


def _die_with_launcher() -> None:
    """In the child: own session, so that Ctrl-C reaches only the launcher, and SIGTERM should the launcher vanish."""
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:  # the launcher died in between
        sys.exit(1)


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
