"""Sites, sending times and clocks: what the delivery figures rest on."""

import numpy as np
import pytest

from adapter_agent.simulation.physics import GATEWAY_NOISE_FIGURE_DB, sensitivity_dbm
from benchmarks.radio.access import Plan, slotted, unslotted
from benchmarks.radio.clocks import sending_errors
from benchmarks.radio.delivery import most_meters, readings, unslotted_delivery
from benchmarks.radio.sites import CHANNELS, DENSE, FAR, MIXED, SITES, Meters, Site, airtimes, deploy, foreign
from meterwire.lorawan.airtime import airtime_s
from meterwire.slots import FRAME_S, Kind


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def shares(site: Site, rng: np.random.Generator) -> list[float]:
    """Of a site's meters per cent at SF7, SF8 ... SF12."""
    counts = np.bincount(deploy(site, 20_000, rng).spreading_factor, minlength=13)[7:]
    return [float(count) / 200 for count in counts]


@pytest.mark.parametrize(
    ("site", "reference"),
    [
        (DENSE, (99.4, 0.3, 0.2, 0.1, 0.0, 0.0)),
        (MIXED, (71.2, 9.1, 7.3, 5.8, 4.2, 2.4)),
        (FAR, (44.1, 11.2, 11.8, 12.3, 11.2, 9.4)),
    ],
)
def test_data_rates_are_mixed_as_in_the_reference(
    site: Site, reference: tuple[float, ...], rng: np.random.Generator
) -> None:
    assert shares(site, rng) == pytest.approx(reference, abs=1.2)


@pytest.mark.parametrize("site", SITES)
def test_every_meter_has_ten_decibels_to_spare(site: Site, rng: np.random.Generator) -> None:
    meters = deploy(site, 500, rng)
    for sf, power in zip(meters.spreading_factor.tolist(), meters.power_dbm.tolist(), strict=True):
        assert power >= sensitivity_dbm(sf, 125_000, GATEWAY_NOISE_FIGURE_DB) + 10 - 1e-9


def test_airtimes_are_those_of_the_product() -> None:
    assert airtimes(Kind.VALUES.size).tolist() == [airtime_s(13 + 16, dr) for dr in (5, 4, 3, 2, 1, 0)]


def test_unslotted_meters_send_once_in_each_period(rng: np.random.Generator) -> None:
    frames = unslotted(deploy(MIXED, 50, rng), 16, 4, rng)
    periods = (frames.start // FRAME_S).reshape(4, 50)
    assert periods.tolist() == [[number] * 50 for number in range(4)]
    assert set(frames.channel.tolist()) == set(range(CHANNELS))


def test_slotted_meters_send_a_guard_after_their_slot_begins(rng: np.random.Generator) -> None:
    meters = Meters(np.array([7, 12]), np.array([-110.0, -125.0]))
    plan = Plan(np.array([3, 0]), np.array([10.0, 899.0]), 0.02, beacons=((0.0, 0.5),))
    frames = slotted(meters, 16, plan, np.array([[0.0], [0.001], [-0.002]]), rng)
    assert frames.start.tolist() == pytest.approx([10.02, 899.02, 910.021, 1799.021, 1810.018, 2699.018])
    assert frames.channel.tolist() == [3, 0] * 3
    assert plan.sending(2) == [(0.0, 0.5), (900.0, 900.5)]


def test_foreign_traffic_fills_the_channels_as_much_as_said(rng: np.random.Generator) -> None:
    frames = foreign(MIXED, 0.01, 100_000.0, rng)
    assert (frames.end - frames.start).sum() / 100_000 / CHANNELS == pytest.approx(0.01, rel=0.03)


def test_a_reading_that_the_next_telegram_carries_too_is_not_lost() -> None:
    meters = Meters(np.array([7]), np.array([-100.0]))
    plan = Plan(np.array([0]), np.array([1.0]), 0.02, beacons=())
    frames = slotted(meters, 16, plan, np.zeros((3, 1)), np.random.default_rng(1))
    deaf = [(900.0, 902.0)]
    assert readings(frames, 3, sending=deaf).tolist() == [[True], [False], [True]]
    assert readings(frames, 3, sending=deaf, previous=True).tolist() == [[True], [True]]


def test_unslotted_delivery_falls_with_the_number_of_meters() -> None:
    few, many = (unslotted_delivery(MIXED, count, 51, 20_000, seed=1) for count in (100, 2000))
    assert few > 0.995
    assert many < 0.98


def test_the_most_meters_are_found_by_halving() -> None:
    assert most_meters(lambda count: 1 - count / 100_000, 0.99) == pytest.approx(1000, rel=0.02)
    assert most_meters(lambda count: 1.0, 0.99, most=700) == 700
    assert most_meters(lambda count: 0.5, 0.99) == 0


def test_a_beacon_keeps_nearly_all_clocks_within_the_guard(rng: np.random.Generator) -> None:
    errors = np.abs(sending_errors(500, 96, rng))
    assert errors.shape == (96, 500)
    assert np.quantile(errors, 0.9999) < 0.020
    assert np.quantile(errors, 0.5) > 0.001
