"""An event loop that never waits: it jumps to its next timer as soon as nothing is ready, no socket, no thread at work.

Days of real programs pass in as many seconds as their computing takes, and in the same order each time.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from edge.database import Database

T = TypeVar("T")
THREAD_S = 0.002  # how long the selector waits, in real time, for a thread that is at work
POLL_EVERY = 20  # turns of the loop while it is busy
START = 1_767_225_600.0  # 2026-01-01


class VirtualLoop(asyncio.SelectorEventLoop):
    """`at_work` counts the jobs of threads that the loop must wait for in real time."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self.at_work = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Nothing is ready: let so much time pass."""
        self._virtual += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        self.at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, _: object) -> None:
        self.at_work -= 1


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._passed_over = 0

    def select(self, timeout: float | None = None) -> Any:
        self._passed_over += 1
        if timeout == 0 and self._passed_over < POLL_EVERY:
            return []  # what comes by socket has time until nothing else is to be done
        self._passed_over = 0
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.at_work or timeout is None:
            return super().select(THREAD_S)
        self._loop.jump(timeout)
        return ready


class VirtualClock:
    """edge.clock.Clock of a virtual loop; its wall clock can be set wrong."""

    def __init__(self, loop: VirtualLoop, start: float = START) -> None:
        self._loop, self._start = loop, start

    def time(self) -> float:
        return self._start + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    @classmethod
    def here(cls) -> "VirtualClock":
        """That of the loop that runs."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return cls(loop)

    def beside(self) -> "VirtualClock":
        """Another one that shows the same, until it is set."""
        return VirtualClock(self._loop, self._start)

    def set(self, seconds: float) -> None:
        """Put the wall clock so much forward, or back."""
        self._start += seconds


@contextmanager
def patient_databases(loop: VirtualLoop) -> Iterator[None]:
    """No virtual time passes while a daemon's database is writing."""
    run = Database.run

    async def counted(self: Database, job: Any) -> Any:
        loop.at_work += 1
        try:
            return await run(self, job)
        finally:
            loop.at_work -= 1

    Database.run = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Database.run = run  # type: ignore[method-assign]


def virtually(work: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """The result of `work`, which gets the clock of a loop of its own."""
    loop = VirtualLoop()
    with patient_databases(loop):
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(work(VirtualClock(loop)))
        finally:
            end(loop)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that awaits, on a loop of its own; `VirtualClock.here` is its clock."""

    @wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        virtually(lambda _: test(*arguments, **fixtures))

    return run


def end(loop: VirtualLoop) -> None:
    """Cancel what is left, and close the loop."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    loop.close()
