"""Time from gateways with GPS: the least delay counts, one wrong gateway among several does not."""

import random
from typing import Any

import pytest

from concentrator_agent.server.clock import ReceptionClock
from concentrator_agent.timesource.discipline import Discipline
from concentrator_agent.timesource.gateways import GatewayTime
from edge.clock import ManualClock
from edge.steered_clock import SteeredClock

T = 1_767_225_600.0


class Site:
    def __init__(self) -> None:
        self.host = ManualClock(T - 5000.0)
        self.clock = SteeredClock(self.host)
        self.discipline = Discipline(self.clock)
        self.set: list[str] = []
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.source = GatewayTime(
            self.clock,
            self.discipline,
            self.set.append,
            lambda reason, **detail: self.notes.append((reason, detail)),
        )
        self.random = random.Random(1)

    @property
    def true(self) -> float:
        return T + self.host.monotonic()

    @property
    def error(self) -> float:
        return self.clock.time() - self.true

    def heard(self, gateway: str = "g", wrong: float = 0.0) -> None:
        self.source.heard(gateway, self.true - self.random.uniform(0.002, 0.2) + wrong)


async def test_the_first_packet_sets_the_clock_and_later_ones_refine_it() -> None:
    site = Site()
    site.heard()
    assert site.set == ["first"]
    assert abs(site.error) < 0.2
    for _ in range(600):
        await site.host.advance(2)
        site.heard()
    assert abs(site.error) < 0.012
    assert site.discipline.synchronised
    assert site.set == ["first"]


async def test_a_gateway_that_contradicts_the_clock_is_told_of() -> None:
    site = Site()
    for wrong in (0.0, 30.0, 5000.0):
        for _ in range(4):
            site.heard(wrong=wrong)
            await site.host.advance(20)
    assert [(reason, detail["refused"]) for reason, detail in site.notes] == [
        ("source_off", False),
        ("source_off", True),
    ]
    assert site.notes[0][1]["offset_ms"] == pytest.approx(30_000, abs=300)
    assert site.set == ["first"]


async def test_one_wrong_gateway_of_three_moves_nothing() -> None:
    site = Site()
    site.heard("a")
    for _ in range(300):
        await site.host.advance(2)
        for gateway, wrong in (("a", 0.0), ("b", 0.0), ("c", 300.0)):
            site.heard(gateway, wrong)
    assert abs(site.error) < 0.02
    assert site.set == ["first"]


async def test_gateways_without_gps_for_hours_leave_the_clock_to_hold_over() -> None:
    site = Site()
    for _ in range(100):
        site.heard()
        await site.host.advance(30)
    await site.host.advance(24 * 3600)
    assert not site.discipline.synchronised
    assert site.discipline.uncertainty() > 0.1


async def test_a_packet_that_sets_the_clock_is_stamped_by_the_clock_as_it_is_then() -> None:
    site = Site()
    stamps = ReceptionClock(
        site.clock, lambda: "gps", on_gateway_time=lambda gateway, unix: (site.source.heard(gateway, unix), None)[1]
    )
    at, quality = stamps.stamp("g", 1_000_000, site.clock.time(), T - 0.01)
    assert (at, quality) == (T - 0.01, "gps")
    await site.host.advance(10)
    at, _ = stamps.stamp("g", 11_000_000, site.clock.time(), None)
    assert at == pytest.approx(T + 9.99, abs=0.02)


async def test_a_table_of_gateways_does_not_grow_without_bound() -> None:
    site = Site()
    site.heard("first")
    for number in range(1000):
        site.heard(f"{number:016x}")
    assert len(site.source._best) <= 32
