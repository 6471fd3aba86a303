"""A load's energy is exact, never falls, and looks like a household."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.simulation.load import EPOCH, MWH, Load
from adapter_agent.simulation.noise import drift, normal, uniform

DAY = 86400
NEW_YEAR = 1_767_225_600  # 2026-01-01, a Thursday
HOUSE = Load(11, yearly_kwh=2800)
ROOF = Load(12, yearly_kwh=2500, kwp=8, tariffs=2)

moments = st.floats(EPOCH - 10 * DAY, NEW_YEAR + 400 * DAY)


@given(moments, st.floats(0, 40 * DAY))
def test_a_register_never_falls(start: float, later: float) -> None:
    for load in (HOUSE, ROOF):
        assert load.imported(start + later) >= load.imported(start) >= 0
        assert load.exported(start + later) >= load.exported(start) >= 0


@given(moments, moments)
def test_the_answer_depends_on_the_instant_only(one: float, other: float) -> None:
    asked_before = Load(12, yearly_kwh=2500, kwp=8, tariffs=2)
    asked_before.imported(other)
    asked_before.power(other)
    assert asked_before.imported(one) == Load(12, yearly_kwh=2500, kwp=8, tariffs=2).imported(one)


@given(moments)
def test_two_tariffs_add_up_to_the_total(moment: float) -> None:
    assert ROOF.imported(moment, 1) + ROOF.imported(moment, 2) == ROOF.imported(moment)
    assert HOUSE.imported(moment, 1) == HOUSE.imported(moment)
    assert HOUSE.imported(moment, 2) == 0


@given(moments)
def test_energy_flows_one_way_at_a_time(moment: float) -> None:
    minute = moment // 60 * 60
    drawn = ROOF.imported(minute + 60) - ROOF.imported(minute)
    fed = ROOF.exported(minute + 60) - ROOF.exported(minute)
    assert drawn == 0 or fed == 0


@given(st.integers(EPOCH // 60, NEW_YEAR // 60))
def test_power_is_the_slope_of_the_registers(minute: int) -> None:
    start = minute * 60.0
    slope = (ROOF.imported(start + 60) - ROOF.exported(start + 60)) - (ROOF.imported(start) - ROOF.exported(start))
    assert ROOF.power(start + 13) == slope * 60


def test_a_year_brings_the_energy_it_was_given() -> None:
    year = 365.25 * DAY
    assert (HOUSE.imported(NEW_YEAR + year) - HOUSE.imported(NEW_YEAR)) / MWH == pytest.approx(2800, rel=0.01)
    fed = (ROOF.exported(NEW_YEAR + year) - ROOF.exported(NEW_YEAR)) / MWH
    assert fed == pytest.approx(8 * 620, rel=0.02)


def test_before_its_time_a_register_stands_at_zero() -> None:
    assert HOUSE.imported(EPOCH - 1) == ROOF.exported(EPOCH) == HOUSE.power(EPOCH) == 0


def test_evenings_are_busier_than_nights() -> None:
    evening = night = 0
    for day in range(28):
        start = NEW_YEAR + day * DAY
        evening += HOUSE.imported(start + 20 * 3600) - HOUSE.imported(start + 17 * 3600)
        night += HOUSE.imported(start + 4 * 3600) - HOUSE.imported(start + 1 * 3600)
    assert evening > 3 * night


def test_the_roof_feeds_in_at_noon_in_summer_and_never_at_night() -> None:
    june = NEW_YEAR + 170 * DAY
    assert all(ROOF.power(june + day * DAY + 11 * 3600) < -500_000 for day in range(14))
    assert all(ROOF.power(june + day * DAY + hour * 3600) > 0 for day in range(14) for hour in (0, 1, 2, 22, 23))


def test_days_off_and_winters_take_more() -> None:
    def energy(first: int, days: range) -> int:
        return sum(HOUSE.imported(first + (day + 1) * DAY) - HOUSE.imported(first + day * DAY) for day in days)

    january, july = energy(NEW_YEAR, range(31)), energy(NEW_YEAR + 181 * DAY, range(31))
    assert january > 1.2 * july
    # Six weeks each: the weekend's days (3 and 4 after a Wednesday) against the days before them.
    start = NEW_YEAR - DAY
    off = sum(energy(start + week * 7 * DAY, range(3, 5)) for week in range(40))
    working = sum(energy(start + week * 7 * DAY, range(1, 3)) for week in range(40))
    assert off > 1.05 * working


def test_a_load_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"yearly_kwh": 0}, {"yearly_kwh": 1, "kwp": -1}, {"yearly_kwh": 1, "tariffs": 3}):
        with pytest.raises(ValueError, match="a load draws"):
            Load(1, **wrong)


def test_chance_repeats_itself_and_spreads_evenly() -> None:
    assert uniform(1, "a", 2) == uniform(1, "a", 2) != uniform(1, "a", 3)
    draws = [uniform(1, "spread", number) for number in range(2000)]
    assert 0 < min(draws) < 0.01
    assert 0.99 < max(draws) < 1
    assert sum(draws) / 2000 == pytest.approx(0.5, abs=0.02)
    bells = [normal(1, "bell", number) for number in range(2000)]
    assert sum(bell**2 for bell in bells) / 2000 == pytest.approx(1, abs=0.1)
    assert drift(1, 600.0, 600.0, "slow") == pytest.approx(drift(1, 599.999, 600.0, "slow"), abs=1e-3)
