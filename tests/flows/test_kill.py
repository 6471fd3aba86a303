"""Power cuts in mid-stream: whatever the radio acknowledged is in the portal exactly once."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable

import pytest

from adapter_agent.app import AdapterApp
from adapter_agent.config import load as load_adapter
from adapter_agent.radio.base import Sent
from adapter_agent.simulation.building import Building
from adapter_agent.simulation.config import load as load_building
from edge.clock import SystemClock
from meterwire.registers import AGE, IDENTITY
from meterwire.values_telegram import PORT, parse_values
from tests.flows.stand import Stand, standing

ADAPTERS = 50
GATEWAYS = 3  # together they answer so many adapters
PERIOD_S = 8.0
BETWEEN_KILLS = 40  # acknowledged telegrams
DOWN_S = 1.5
STARTS_PER_SECOND = 5
DEADLINE_S = 150.0
BOTH = """
select adapter_id, counter, null from telemetry_reading where value is not null
union all select adapter_id, counter, payload from telemetry_telegram where error is null and fport = %s
"""

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


async def test_every_acknowledged_reading_arrives_once_although_each_part_is_killed() -> None:
    acknowledged: dict[tuple[str, int], bytes] = {}
    with standing(ADAPTERS, period_s=PERIOD_S, confirm_every=1, slots=False, gateways=GATEWAYS) as stand:
        await stand.ready()
        async with _sending(stand, acknowledged):
            for name in ("broker", "concentrator", "bridge", "database"):
                await _more(acknowledged, BETWEEN_KILLS)
                stand.parts[name].kill()
                await asyncio.sleep(DOWN_S)
                await asyncio.to_thread(stand.parts[name].start)
            await _more(acknowledged, BETWEEN_KILLS)
        await _until(lambda: not _missing(stand, acknowledged), lambda: _report(stand, acknowledged))

        assert len(acknowledged) >= 5 * BETWEEN_KILLS
        assert _telegrams(stand).most_common(1)[0][1] == 1
        readings, expected = _readings_and_expected(stand)
        assert readings == expected


@contextlib.asynccontextmanager
async def _sending(stand: Stand, acknowledged: dict[tuple[str, int], bytes]):  # type: ignore[no-untyped-def]
    """The building's meters, the air and all adapters, at work."""
    clock = SystemClock()
    async with Building(load_building(stand.agents / "building.toml"), clock) as building:
        apps = []
        tasks = []
        for flat in stand.flats:
            loaded = load_adapter(stand.agents / f"{flat.name}.toml")
            phy = building.air.phy(loaded.config.adapter.dev_eui)
            app = AdapterApp(loaded, clock, phy=phy, on_sent=_noting(flat.dev_eui, acknowledged))
            apps.append(app)
            tasks.append(asyncio.create_task(app.run()))
            await asyncio.sleep(1 / STARTS_PER_SECOND)
        yield
        for app in apps:
            app.stop()
        await asyncio.gather(*tasks)


def _noting(dev_eui: str, acknowledged: dict[tuple[str, int], bytes]) -> Callable[[Sent], None]:
    def note(sent: Sent) -> None:
        if sent.acknowledged and sent.port == PORT:
            assert sent.counter is not None
            assert (dev_eui, sent.counter) not in acknowledged, "a counter was used twice"
            acknowledged[dev_eui, sent.counter] = sent.payload

    return note


async def _more(acknowledged: dict[tuple[str, int], bytes], count: int) -> None:
    wanted = len(acknowledged) + count
    await _until(lambda: len(acknowledged) >= wanted, lambda: f"only {len(acknowledged)} of {wanted} acknowledged")


async def _until(true: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(true):
        if time.monotonic() > deadline:
            raise AssertionError(why())
        await asyncio.sleep(0.2)


def _telegrams(stand: Stand) -> Counter[tuple[str, int]]:
    rows = stand.rows("select dev_eui, counter from telemetry_telegram where error is null and fport = %s", PORT)
    return Counter((str(dev_eui), int(str(counter))) for dev_eui, counter in rows)


def _missing(stand: Stand, acknowledged: dict[tuple[str, int], bytes]) -> set[tuple[str, int]]:
    return set(acknowledged) - set(_telegrams(stand))


def _report(stand: Stand, acknowledged: dict[tuple[str, int], bytes]) -> str:
    missing = sorted(_missing(stand, acknowledged))
    logs = "\n".join(f"== {name}\n{part.log()[-1500:]}" for name, part in stand.parts.items() if name != "cache")
    return f"{len(missing)} of {len(acknowledged)} never arrived, such as {missing[:5]}\n{logs}"


def _readings_and_expected(stand: Stand) -> tuple[Counter[tuple[int, int]], Counter[tuple[int, int]]]:
    """By adapter and counter: readings, and one for each measured register that each accepted telegram carries.

    In one statement: a telegram whose acknowledgement was lost may still come in meanwhile.
    """
    readings: Counter[tuple[int, int]] = Counter()
    expected: Counter[tuple[int, int]] = Counter()
    for adapter, counter, payload in stand.rows(BOTH, PORT):
        key = int(str(adapter)), int(str(counter))
        if payload is None:
            readings[key] += 1
        else:
            expected[key] = _measurements(bytes(payload))  # type: ignore[call-overload]
    return readings, expected


def _measurements(payload: bytes) -> int:
    return sum(number & 31 not in (AGE, IDENTITY) for number, _ in parse_values(payload).registers or ())
