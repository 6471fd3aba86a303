"""`./run demo`: sets up, starts everything, says what it does, and ends every child on Ctrl-C."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Coroutine

from portal.ops.demo import house
from portal.ops.demo.places import PORTS, ROOT, Places
from portal.ops.demo.plugs import Sockets, plug_in_first, plugged
from portal.ops.demo.reset import running
from portal.ops.demo.supervisor import ChildFailed, Supervisor
from portal.ops.demo.system import ADAPTERS, PASSWORD, System

LOGINS = (
    ("operator@demo.example", "operator: sees the building, registers devices"),
    ("installer@demo.example", "installer"),
    ("custodian@demo.example", "key custodian: sets up a passkey at the first login"),
    ("viewer@demo.example", "viewer"),
    ("auditor@demo.example", "auditor: sees the audit trail"),
    ("admin@demo.example", "administrator"),
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./run demo", description="Run the whole system on this machine.")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}-port", type=int, metavar="PORT", help=f"default {port}")
    options = vars(parser.parse_args(argv))
    for name in PORTS:
        if options[f"{name}_port"] is not None:
            os.environ[f"MSPAN_DEMO_{name.upper()}_PORT"] = str(options[f"{name}_port"])
    places = Places.default()
    pid = running(places)
    if pid is not None:
        print(f"the demo runs already (process {pid}); stop it with Ctrl-C first", file=sys.stderr)
        return 1
    os.umask(0o077)
    places.make()
    places.lock.write_text(str(os.getpid()))
    try:
        return asyncio.run(_run(places))
    finally:
        places.lock.unlink(missing_ok=True)


async def _run(places: Places) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    system = System(places, places.choose_ports(_talk))
    supervisor = Supervisor(places.logs, ROOT, _talk)
    start = asyncio.create_task(_start(system, supervisor, places))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({start, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
    except ChildFailed as error:
        _talk(str(error))
        return 1
    finally:
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError, ChildFailed):
            await start
        _talk("stopping")
        await supervisor.stop()
    _talk("stopped; ./run demo starts again with the same data, ./run demo-reset removes it")
    return 0


async def _start(system: System, supervisor: Supervisor, places: Places) -> None:
    began = time.monotonic()
    await _set_up(system, supervisor)
    await _serve(system, supervisor)
    answered = time.monotonic()
    _invite(system, answered - began, places)
    flats = house.flats(places.agents / "building.toml")
    plug_in_first(places.plugs, flats)
    sockets = Sockets(places.plugs, system.adapters(), supervisor)
    await _step("device table at the concentrator", system.devices_known())
    await _step("the meters and the radio air", supervisor.start(system.building()))  # its gateway is heard at once now
    await _step("task worker (Celery)", supervisor.start(system.worker()))
    _talk("running; Ctrl-C ends everything")
    adapters = f"{len(plugged(places.plugs))} of {len(flats)} adapters are plugged in"
    await _together(_plug_in(adapters, sockets), _tell_of_first_reading(system, system.readings(), answered))


async def _set_up(system: System, supervisor: Supervisor) -> None:
    kek = system.key_encryption_key()
    await _together(
        _step("message store for tasks and live events (Valkey)", supervisor.start(system.valkey())),
        *([] if kek is None else [_step("key-encryption key", supervisor.once(kek))]),
        _step("database (SQLite)", supervisor.once(system.migrate())),
        _step(f"a building of {ADAPTERS} flats", supervisor.once(system.plan_building())),
    )
    await _step("organisation, concentrator, adapters with their keys", supervisor.once(system.seed()))


async def _serve(system: System, supervisor: Supervisor) -> None:
    await _together(
        _broker_and_bridge(system, supervisor),
        _step("vault", supervisor.start(system.vault())),
        _step("certificates for devices (EST)", supervisor.start(system.est())),
        _step("portal", supervisor.start(system.portal())),
    )
    await _step("concentrator agent", supervisor.start(system.concentrator()))


async def _broker_and_bridge(system: System, supervisor: Supervisor) -> None:
    await _step("broker configuration", supervisor.once(system.broker_config()))
    await _step("MQTT broker (Mosquitto)", supervisor.start(system.mosquitto()))
    await _step("ingest bridge", supervisor.start(system.bridge()))


async def _plug_in(what: str, sockets: Sockets) -> None:
    await _step(what, sockets.look())
    await sockets.watch()


async def _tell_of_first_reading(system: System, before: int, answered: float) -> None:
    first = await system.first_reading(before)
    _talk(f"first reading stored {max(0.0, first - answered):.0f} s after the portal answered")


async def _together(*works: Coroutine[object, object, None]) -> None:
    """All at the same time; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _step(what: str, work: Coroutine[object, object, None]) -> None:
    began = time.monotonic()
    await work
    _talk(f"{what}: {time.monotonic() - began:.1f} s")


def _invite(system: System, seconds: float, places: Places) -> None:
    print(f"\nThe portal answers after {seconds:.0f} s:  {system.address}\n")
    for login, duty in LOGINS:
        print(f"  {login:26} {PASSWORD:16} {duty}")
    print(f"\nHalf of the building waits to be paired:  {system.address}demo/")
    print(f"\nPorts: {system.port_line}\nLogs:  {places.logs}\n", flush=True)


def _talk(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
