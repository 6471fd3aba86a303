"""A house of 100 adapters on drifting crystals for a day, by the real programs: each sends in a slot of its own."""

import pytest

from meterwire.config_records import SlotState
from tests.simulation.planning import planned
from tests.simulation.stay import Stay, stay

ADAPTERS = 100
DAY_H = 24.0

pytestmark = [pytest.mark.flow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def day() -> Stay:
    return stay(planned(ADAPTERS), DAY_H)


def test_no_frame_meets_another_one_in_its_slot(day: Stay):
    assert day.collided == 0
    assert day.fates["slot received"] > 0.99 * ADAPTERS * day.hours * 4


def test_every_reading_arrives_but_one_in_a_thousand(day: Stay):
    assert day.expected >= ADAPTERS * (day.hours * 4 - 2)
    assert day.delivery >= 0.999


def test_everybody_is_in_its_slot_and_no_telegram_is_sent_beside_it(day: Stay):
    assert day.states == {SlotState.IN_SLOT: ADAPTERS}
    assert day.missed == 0
    assert day.guard_used < 1.0
