"""The duty-cycle ledger: never over the budget in any hour, and never stuck."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError
from meterwire.lorawan.dutycycle import MAX_AHEAD_S, SLICE_S, DutyCycleLedger
from meterwire.lorawan.region import EU868, FrequencyPlanError, SubBand

HOUR = 3600.0
RX1, RX2 = 868_100_000, 869_525_000
T0 = 1_790_000_000.0
# Small budgets, so that few transmissions reach them.
TIGHT = (SubBand("tight", 868_000_000, 868_600_000, 0.001, 14), SubBand("wide", 869_400_000, 869_650_000, 0.01, 27))


def most_in_any_hour(sent: list[tuple[float, float]]) -> float:
    """The most air of (start, airtime) in any window of one hour, computed the slow way."""
    most = 0.0
    for start, airtime in sent:
        for begin in (start, start + airtime - HOUR):
            end = begin + HOUR
            most = max(most, sum(max(0.0, min(end, s + a) - max(begin, s)) for s, a in sent))
    return most


steps = st.lists(
    st.tuples(st.floats(0, 900), st.floats(0.001, 2.5), st.sampled_from([RX1, RX2]), st.floats(0, 100)), max_size=60
)


@given(steps)
def test_no_hour_ever_exceeds_the_budget(steps: list[tuple[float, float, int, float]]) -> None:
    ledger, now = DutyCycleLedger(TIGHT), T0
    sent: dict[int, list[tuple[float, float]]] = {RX1: [], RX2: []}
    for wait, airtime, hz, ahead in steps:
        now += wait
        start = now + ahead  # booked ahead of time, as a receive window is
        if ledger.allowed(hz, airtime, start):
            ledger.record(hz, airtime, start)
            sent[hz].append((start, airtime))
    for band, hz in zip(TIGHT, (RX1, RX2), strict=True):
        assert most_in_any_hour(sent[hz]) <= band.budget_s + 1e-6


@given(steps)
def test_earliest_is_a_time_at_which_it_is_allowed_and_not_far_after_the_first(
    steps: list[tuple[float, float, int, float]],
) -> None:
    ledger, now = DutyCycleLedger(TIGHT), T0
    for wait, airtime, hz, _ in steps:
        now += wait
        when = ledger.earliest(hz, airtime, now)
        assert now <= when < now + HOUR + SLICE_S + 3
        assert ledger.allowed(hz, airtime, when)
        assert ledger.allowed(hz, airtime, now) == (when == now)
        if when > now:
            assert not ledger.allowed(hz, airtime, when - SLICE_S)
        else:
            ledger.record(hz, airtime, now)


@given(steps, st.floats(0, 2 * HOUR))
def test_a_ledger_restored_from_its_state_goes_on_alike(
    steps: list[tuple[float, float, int, float]], later: float
) -> None:
    ledger, now = DutyCycleLedger(TIGHT), T0
    for wait, airtime, hz, _ in steps:
        now += wait
        ledger.record(hz, airtime, now)
    restored = DutyCycleLedger.from_state(TIGHT, json.loads(json.dumps(ledger.to_state())))
    for hz in (RX1, RX2):
        assert restored.earliest(hz, 1.0, now + later) == ledger.earliest(hz, 1.0, now + later)
        assert restored.used_s(hz, now + later) == ledger.used_s(hz, now + later)


def test_a_busy_band_sends_its_budget_and_then_waits_for_the_hour_to_pass() -> None:
    ledger, now, sent = DutyCycleLedger(EU868.sub_bands), T0, 0
    while ledger.allowed(RX1, 0.041, now):
        ledger.record(RX1, 0.041, now)
        now += 1
        sent += 1
    assert sent == int(36 / 0.041)
    assert ledger.used_s(RX1, now) == pytest.approx(sent * 0.041)
    assert T0 + HOUR <= ledger.earliest(RX1, 0.041, now) <= T0 + HOUR + SLICE_S + 1
    assert ledger.allowed(RX2, 0.041, now)


def test_sub_bands_have_budgets_of_their_own() -> None:
    ledger = DutyCycleLedger(EU868.sub_bands)
    ledger.record(868_100_000, 36, T0)
    assert not ledger.allowed(868_500_000, 0.01, T0)
    assert ledger.allowed(867_100_000, 36, T0)
    assert ledger.allowed(RX2, 360, T0)
    assert not ledger.allowed(RX2, 361, T0)


def test_outside_every_sub_band_nothing_is_allowed() -> None:
    ledger = DutyCycleLedger(EU868.sub_bands)
    assert not ledger.allowed(868_650_000, 0.001, T0)
    assert ledger.earliest(868_650_000, 0.001, T0) == math.inf
    with pytest.raises(FrequencyPlanError, match="in no sub-band"):
        ledger.record(868_650_000, 0.001, T0)


def test_what_is_longer_than_the_budget_never_goes() -> None:
    assert DutyCycleLedger(EU868.sub_bands).earliest(RX1, 36.5, T0) == math.inf


@pytest.mark.parametrize("airtime", [0, -1, math.nan, HOUR])
def test_an_impossible_airtime_is_a_programming_error(airtime: float) -> None:
    with pytest.raises(ValueError, match="airtime"):
        DutyCycleLedger(EU868.sub_bands).allowed(RX1, airtime, T0)


def test_a_day_of_traffic_leaves_a_bounded_memory() -> None:
    ledger, now = DutyCycleLedger(EU868.sub_bands), T0
    for _ in range(86_400 // 2):
        now += 2
        ledger.record(RX2, 0.05, now)
    (entries,) = ledger.to_state().values()
    assert len(entries) <= (HOUR + 2 * MAX_AHEAD_S) / SLICE_S


def test_a_clock_set_back_by_a_day_blocks_for_an_hour_and_not_for_a_day() -> None:
    ledger = DutyCycleLedger(EU868.sub_bands)
    ledger.record(RX1, 36, T0)
    yesterday = T0 - 86_400
    assert not ledger.allowed(RX1, 0.1, yesterday)
    assert ledger.earliest(RX1, 0.1, yesterday) <= yesterday + HOUR + MAX_AHEAD_S + SLICE_S


def test_a_clock_set_forward_only_forgets_what_is_over() -> None:
    ledger = DutyCycleLedger(EU868.sub_bands)
    ledger.record(RX1, 36, T0)
    assert ledger.allowed(RX1, 36, T0 + 86_400)
    assert ledger.to_state() == {}


@pytest.mark.parametrize(
    "entries",
    [None, "x", {"a": 1}, [[1]], [[1, 2, 3]], [[1, -5]], [[1.5, 2]], [[True, 2]], [["1", 2]], [[1, 2]] * 10_000],
    ids=lambda e: repr(e)[:20],
)
def test_a_damaged_state_is_refused(entries: object) -> None:
    with pytest.raises(FormatError, match="duty-cycle state"):
        DutyCycleLedger.from_state(EU868.sub_bands, {"868.0-868.6": entries})


def test_a_state_of_a_sub_band_that_is_no_more_is_dropped() -> None:
    assert DutyCycleLedger.from_state(TIGHT, {"gone": [[1, 2]]}).to_state() == {}
