"""The radio's numbers against published anchors, and the capture rules as tables."""

import pytest

from adapter_agent.simulation.physics import (
    DEVICE_NOISE_FIGURE_DB,
    GATEWAY_NOISE_FIGURE_DB,
    NO_CAPTURE,
    REJECTION_DB,
    REQUIRED_SNR_DB,
    Signal,
    indoor_loss_db,
    noise_floor_dbm,
    preamble_s,
    reported,
    sensitivity_dbm,
    site_loss_db,
    survives,
    symbol_s,
)
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import EU868

HERE = 868_100_000


def signal(
    power: float,
    *,
    sf: int = 7,
    start: float = 0.0,
    end: float = 1.0,
    frequency: int = HERE,
    bandwidth: int = 125_000,
) -> Signal:
    return Signal(start, end, frequency, sf, bandwidth, power)


@pytest.mark.parametrize(
    ("payload", "milliseconds"),
    [
        (8, (56.6, 102.9, 185.3, 370.7, 741.4, 1482.8)),
        (16, (66.8, 123.4, 226.3, 411.6, 905.2, 1646.6)),
        (51, (118.0, 215.6, 390.1, 698.4, 1560.6, 2793.5)),
    ],
)
def test_airtimes_are_those_of_the_published_table(payload: int, milliseconds: tuple[float, ...]) -> None:
    for dr, expected in zip((5, 4, 3, 2, 1, 0), milliseconds, strict=True):
        assert airtime_s(payload + 13, dr) * 1000 == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("sf", "dbm"), [(7, -127.0), (8, -129.5), (9, -132.0), (10, -134.5), (11, -137.0), (12, -139.5)]
)
def test_a_gateway_is_as_sensitive_as_an_sx1302(sf: int, dbm: float) -> None:
    assert sensitivity_dbm(sf, 125_000, GATEWAY_NOISE_FIGURE_DB) == pytest.approx(dbm, abs=0.05)


def test_noise_rises_with_bandwidth_and_noise_figure() -> None:
    assert noise_floor_dbm(125_000, 6.0) == pytest.approx(-117.03, abs=0.01)
    assert noise_floor_dbm(250_000, 6.0) - noise_floor_dbm(125_000, 6.0) == pytest.approx(3.01, abs=0.01)
    assert sensitivity_dbm(12, 125_000, DEVICE_NOISE_FIGURE_DB) == pytest.approx(-137.0, abs=0.05)


def test_the_snr_limits_are_those_of_the_frequency_plan() -> None:
    assert {sf: REQUIRED_SNR_DB[sf] for sf in range(7, 13)} == dict(EU868.required_snr_db)


def test_symbols_and_preambles_last_as_long_as_computed_by_hand() -> None:
    assert symbol_s(7, 125_000) == pytest.approx(0.001024)
    assert symbol_s(12, 125_000) == pytest.approx(0.032768)
    assert preamble_s(7, 125_000) == pytest.approx(0.012544)


def test_a_link_budget_adds_up() -> None:
    # Three floors above the gateway, 12 m away, 16 dBm EIRP.
    assert 16 - indoor_loss_db(12.0, 3) == pytest.approx(-74.4, abs=0.1)
    assert indoor_loss_db(12.0, 6) - indoor_loss_db(12.0, 3) == pytest.approx(9.0)
    assert indoor_loss_db(0.1, 0) == indoor_loss_db(1.0, 0)
    assert site_loss_db(1000, shadowing_db=3, building_db=8) == pytest.approx(7.7 + 112.8 + 11)


def test_reported_figures_saturate_like_a_receiver() -> None:
    rssi, snr = reported(-60.0, 125_000, GATEWAY_NOISE_FIGURE_DB)
    assert (rssi, snr) == (-60.0, 13.0)
    rssi, snr = reported(-135.0, 125_000, GATEWAY_NOISE_FIGURE_DB)
    assert rssi == pytest.approx(-119.4, abs=0.05)  # noise and all
    assert snr == -15.5


@pytest.mark.parametrize(
    ("difference", "survived"),
    [(20.0, True), (6.01, True), (6.0, True), (5.9, False), (0.0, False), (-6.0, False)],
)
def test_the_same_spreading_factor_is_captured_from_six_decibels_on(difference: float, survived: bool) -> None:
    assert survives(signal(-80.0), [signal(-80.0 - difference)]) is survived


@pytest.mark.parametrize(
    ("wanted", "other", "stronger", "survived"),
    [
        (7, 12, 9.0, True),
        (7, 12, 9.5, False),
        (7, 8, 8.5, False),
        (12, 7, 25.0, True),
        (12, 7, 25.5, False),
        (9, 10, 13.0, True),
        (9, 10, 13.5, False),
    ],
)
def test_other_spreading_factors_are_nearly_orthogonal(
    wanted: int, other: int, stronger: float, survived: bool
) -> None:
    assert survives(signal(-100.0, sf=wanted), [signal(-100.0 + stronger, sf=other)]) is survived


@pytest.mark.parametrize(
    ("other", "survived"),
    [
        (signal(-60.0, start=1.0, end=2.0), True),  # back to back
        (signal(-60.0, start=0.9, end=2.0), False),
        (signal(-60.0, start=-1.0, end=0.0), True),
        (signal(-60.0, frequency=868_300_000), True),
        (signal(-60.0, frequency=868_300_000, bandwidth=250_000), True),
        (signal(-60.0, frequency=HERE + 100_000), False),
        (signal(-85.0, bandwidth=250_000), True),
        (signal(-70.0, bandwidth=250_000), False),
    ],
)
def test_only_what_overlaps_in_time_and_spectrum_disturbs(other: Signal, survived: bool) -> None:
    assert survives(signal(-80.0), [other]) is survived


@pytest.mark.parametrize(
    ("share", "stronger", "survived"),
    [
        (1.0, -6.0, True),  # all of the frame: 6 dB as in the table
        (1.0, -5.9, False),
        (0.5, -3.0, True),  # half of it: 3 dB less
        (0.5, -2.9, False),
        (0.1, 4.0, True),
        (0.1, 4.1, False),
        (0.001, 23.9, True),
        (0.001, 24.1, False),
    ],
)
def test_a_disturber_counts_with_its_energy_during_the_overlap(share: float, stronger: float, survived: bool) -> None:
    before = signal(-80.0 + stronger, start=-5.0, end=share)
    behind = signal(-80.0 + stronger, start=1 - share, end=9.0)
    assert survives(signal(-80.0), [before]) is survives(signal(-80.0), [behind]) is survived


def test_one_frame_may_be_lost_and_the_other_one_heard() -> None:
    long, short = signal(-80.0, end=10.0), signal(-80.0, start=9.5, end=10.5)
    assert survives(long, [short])
    assert not survives(short, [long])


def test_without_capture_the_shortest_overlap_is_lost() -> None:
    assert not survives(signal(-80.0), [signal(-80.0, start=0.999_999, end=2.0)], NO_CAPTURE)
    assert survives(signal(-80.0), [signal(-80.0, start=1.0, end=2.0)], NO_CAPTURE)


def test_many_weak_ones_add_up() -> None:
    assert survives(signal(-80.0), [signal(-88.0)])
    assert not survives(signal(-80.0), [signal(-88.0), signal(-88.0)])
    # Different spreading factors do not add up with each other.
    assert survives(signal(-80.0), [signal(-88.0), signal(-72.0, sf=9)])


def test_the_table_covers_every_pair() -> None:
    for wanted, row in REJECTION_DB.items():
        assert set(row) == set(range(7, 13))
        assert row[wanted] == 6.0
        assert all(row[sf] < 0 for sf in row if sf != wanted)
        assert NO_CAPTURE[wanted][wanted] > 100
