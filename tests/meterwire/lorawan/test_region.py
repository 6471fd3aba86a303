"""The EU868 plan as numbers, and the rules that read them."""

import pytest

from meterwire.lorawan.region import EU868, FrequencyPlanError, by_name


def test_devices_start_on_three_channels_and_the_list_adds_five() -> None:
    assert [c.frequency_hz for c in EU868.default_channels] == [868_100_000, 868_300_000, 868_500_000]
    assert [c.frequency_hz for c in EU868.extra_channels] == [867_100_000 + n * 200_000 for n in range(5)]
    assert all((c.min_dr, c.max_dr) == (0, 5) for c in EU868.default_channels + EU868.extra_channels)


@pytest.mark.parametrize(
    ("dr", "datr", "most"),
    [
        (0, "SF12BW125", 51),
        (1, "SF11BW125", 51),
        (2, "SF10BW125", 51),
        (3, "SF9BW125", 115),
        (4, "SF8BW125", 242),
        (5, "SF7BW125", 242),
        (6, "SF7BW250", 242),
        (7, 50_000, 242),
    ],
)
def test_data_rates_by_index_and_by_the_forwarders_name(dr: int, datr: str | int, most: int) -> None:
    rate = EU868.data_rate(dr)
    assert (rate.datr, rate.max_app_payload) == (datr, most)
    assert EU868.data_rate_of(datr) is rate


@pytest.mark.parametrize("datr", ["SF6BW125", "SF7BW500", "", 38_400])
def test_a_data_rate_of_another_plan_is_refused(datr: str | int) -> None:
    with pytest.raises(FrequencyPlanError, match="EU868 has no data rate"):
        EU868.data_rate_of(datr)


@pytest.mark.parametrize("dr", [-1, 8, 15])
def test_a_data_rate_index_outside_the_plan_is_refused(dr: int) -> None:
    with pytest.raises(FrequencyPlanError, match=f"DR{dr}"):
        EU868.data_rate(dr)


def test_the_first_window_is_slower_by_the_offset_but_never_below_dr0() -> None:
    assert [EU868.rx1_dr(5, offset) for offset in range(6)] == [5, 4, 3, 2, 1, 0]
    assert [EU868.rx1_dr(dr, 5) for dr in (0, 4, 6, 7)] == [0, 0, 1, 2]
    with pytest.raises(FrequencyPlanError, match="offset 6"):
        EU868.rx1_dr(5, 6)


def test_the_second_window_is_in_the_ten_percent_band() -> None:
    assert (EU868.rx2_frequency_hz, EU868.rx2_dr) == (869_525_000, 0)
    assert EU868.sub_band(EU868.rx2_frequency_hz).duty_cycle == 0.1


@pytest.mark.parametrize(
    ("hz", "duty_cycle", "erp"),
    [
        (863_100_000, 0.001, 14),
        (867_100_000, 0.01, 14),
        (868_000_000, 0.01, 14),
        (868_100_000, 0.01, 14),
        (868_599_900, 0.01, 14),
        (868_800_000, 0.001, 14),
        (869_525_000, 0.1, 27),
        (869_850_000, 0.01, 14),
    ],
)
def test_each_frequency_has_the_duty_cycle_and_power_of_its_sub_band(hz: int, duty_cycle: float, erp: int) -> None:
    band = EU868.sub_band(hz)
    assert (band.duty_cycle, band.max_erp_dbm) == (duty_cycle, erp)
    assert band.budget_s == pytest.approx(3600 * duty_cycle)
    assert EU868.allows(hz)


@pytest.mark.parametrize("hz", [0, 862_999_900, 868_600_000, 868_650_000, 869_300_000, 869_650_000, 870_000_000])
def test_no_transmission_outside_the_sub_bands(hz: int) -> None:
    assert not EU868.allows(hz)
    with pytest.raises(FrequencyPlanError, match="in no sub-band"):
        EU868.sub_band(hz)


def test_power_indices_step_down_from_16_dbm() -> None:
    assert [EU868.tx_power_dbm(n) for n in range(8)] == [16, 14, 12, 10, 8, 6, 4, 2]
    with pytest.raises(FrequencyPlanError, match="power index 8"):
        EU868.tx_power_dbm(8)


def test_slower_spreading_needs_less_signal() -> None:
    assert dict(EU868.required_snr_db) == {7: -7.5, 8: -10, 9: -12.5, 10: -15, 11: -17.5, 12: -20}


def test_plans_are_found_by_name() -> None:
    assert by_name("EU868") is EU868
    with pytest.raises(FrequencyPlanError, match="known are EU868"):
        by_name("US915")
