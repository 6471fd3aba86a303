"""The benchmark of a whole building says all it promises, of a very small one."""

import pytest

from benchmarks.building import measure

HOURS = 8.0


@pytest.mark.parametrize("beacon_s", [0, 300])
def test_a_small_building_loses_nothing_and_keeps_its_slots(beacon_s: int):
    figures = measure(4, HOURS, beacon_s)
    assert figures["adapters"] == 4
    assert 0.1 < figures["days"] < HOURS / 24
    assert figures["delivery"] >= 0.999
    assert (figures["collided"], figures["not_in_slot"]) == (0, 0)
    assert 0 < figures["p9999_ms"] <= 60 * figures["guard_used"] + 0.001
    assert figures["cpu_s_per_adapter_day"] > 0
