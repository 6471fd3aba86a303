"""The demo's supervisor: readiness, restart, ordered stop, no orphans."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portal.ops.demo.supervisor import Child, ChildFailed, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    return Supervisor(tmp_path / "logs", tmp_path, said.append)


async def test_a_step_that_fails_shows_the_end_of_its_log(supervisor: Supervisor) -> None:
    step = Child("step", [sys.executable, "-c", "import sys; sys.exit('the disk is full')"])

    with pytest.raises(ChildFailed, match="the disk is full"):
        await supervisor.once(step)


async def test_a_step_that_is_cancelled_ends(supervisor: Supervisor, tmp_path: Path) -> None:
    write = "import os, pathlib, time; pathlib.Path('pid.new').write_text(str(os.getpid()))"
    step = Child("step", [sys.executable, "-c", f"{write}; os.rename('pid.new', 'pid'); time.sleep(600)"])
    running = asyncio.create_task(supervisor.once(step))
    async with asyncio.timeout(30):
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.02)
    handle = os.pidfd_open(int((tmp_path / "pid").read_text()))

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    with os.fdopen(handle):
        assert _ended_within(handle, seconds=10), "the step outlived its cancellation"


async def test_a_child_that_ends_before_it_is_ready_is_an_error(supervisor: Supervisor) -> None:
    async def never() -> bool:
        return False

    with pytest.raises(ChildFailed, match="ended at its start"):
        await supervisor.start(Child("short", [sys.executable, "-c", "print('no port')"], ready=never))


async def test_a_killed_child_is_started_again_and_named(supervisor: Supervisor, said: list[str]) -> None:
    await supervisor.start(Child("worker", SLEEPER))
    first = supervisor.pids["worker"]

    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(30):
        while supervisor.pids["worker"] == first:
            await asyncio.sleep(0.02)

    assert "worker ended" in said[0]
    await supervisor.stop()


async def test_stop_ends_every_child_even_one_that_ignores_sigterm(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("portal.ops.demo.supervisor.STOP_SECONDS", 0.3)
    deaf = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path('deaf').touch(); time.sleep(600)"
    )

    async def is_deaf() -> bool:
        return (tmp_path / "deaf").exists()

    await supervisor.start(Child("polite", SLEEPER))
    await supervisor.start(Child("deaf", [sys.executable, "-c", deaf], ready=is_deaf))
    pids = list(supervisor.pids.values())

    await supervisor.stop()

    assert not any(_alive(pid) for pid in pids)


async def test_who_serves_others_ends_after_them(supervisor: Supervisor, tmp_path: Path) -> None:
    polite = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep({seconds}); pathlib.Path('ended').open('a').write('{name} '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); pathlib.Path('{name}').touch(); time.sleep(600)"
    )
    for name, seconds in (("store", 0), ("user", 0.2)):

        async def ready(name: str = name) -> bool:
            return (tmp_path / name).exists()

        command = [sys.executable, "-c", polite.format(name=name, seconds=seconds)]
        await supervisor.start(Child(name, command, ready=ready, serves=name == "store"))

    await supervisor.stop()

    assert (tmp_path / "ended").read_text().split() == ["user", "store"]


def test_children_end_when_the_launcher_is_killed(tmp_path: Path) -> None:
    launcher = (
        "import asyncio, sys; from pathlib import Path; from portal.ops.demo.supervisor import *\n"
        "async def main():\n"
        "    s = Supervisor(Path(sys.argv[1]) / 'logs', Path(sys.argv[1]), print)\n"
        "    await s.start(Child('c', [sys.executable, '-c', 'import time; time.sleep(600)']))\n"
        "    print(s.pids['c'], flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher, tmp_path], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    handle = os.pidfd_open(child)

    process.kill()
    process.wait()

    with os.fdopen(handle):
        assert _ended_within(handle, seconds=10), "the child outlived its launcher"


def _ended_within(pidfd: int, seconds: float) -> bool:
    import select

    return bool(select.select([pidfd], [], [], seconds)[0])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
