"""Airtime against published and independently computed values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.lorawan.airtime import airtime_s, lora_airtime_s
from meterwire.lorawan.region import EU868, FrequencyPlanError
from tests.meterwire.vectors import load

VECTORS = load("lorawan_airtime")
LORAWAN_OCTETS = 13


@pytest.mark.parametrize("payload", VECTORS["airtime_ms"])
def test_uplinks_last_as_long_as_computed_elsewhere(payload: str) -> None:
    length = int(payload.removesuffix("B")) + LORAWAN_OCTETS
    for name, ms in VECTORS["airtime_ms"][payload].items():
        dr = EU868.data_rate_of(f"{name}BW125").index
        assert airtime_s(length, dr) * 1000 == pytest.approx(ms, abs=0.06)


@pytest.mark.parametrize("case", VECTORS["published"], ids=lambda c: c["source"])
def test_published_values(case: dict[str, float]) -> None:
    seconds = lora_airtime_s(
        int(case["octets"]), int(case["spreading_factor"]), low_data_rate=bool(case["low_data_rate"])
    )
    assert seconds * 1000 == pytest.approx(case["ms"], abs=0.0005)


@pytest.mark.parametrize(("dr", "ms"), [(5, 41), (3, 144), (2, 289), (0, 991)])
def test_a_bare_acknowledgement_carries_no_crc(dr: int, ms: int) -> None:
    assert airtime_s(12, dr, uplink=False) * 1000 == pytest.approx(ms, abs=0.7)


def test_twice_the_bandwidth_takes_half_the_time() -> None:
    assert airtime_s(29, 6) == pytest.approx(airtime_s(29, 5) / 2)


def test_fsk_counts_its_overhead() -> None:
    assert airtime_s(29, 7) == pytest.approx((5 + 3 + 1 + 29 + 2) * 8 / 50_000)


@given(st.integers(12, 254), st.integers(0, 7))
def test_a_longer_frame_never_takes_less_time(length: int, dr: int) -> None:
    assert 0 < airtime_s(length, dr, uplink=False) <= airtime_s(length, dr)
    assert airtime_s(length, dr) <= airtime_s(length + 1, dr)


def test_a_data_rate_outside_the_plan_is_refused() -> None:
    with pytest.raises(FrequencyPlanError):
        airtime_s(29, 9)
    assert airtime_s(29, EU868.data_rate(5)) == airtime_s(29, 5)
