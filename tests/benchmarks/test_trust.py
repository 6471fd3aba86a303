"""The benchmark of trust on a few adapters: its goals hold there too, and without forecasts they would not."""

import pytest

from benchmarks import trust
from benchmarks.clock import PLACES
from benchmarks.trust import measure


@pytest.mark.parametrize("where", ["basement", "stairwell"])
def test_indoors_who_trusts_its_slot_keeps_it_and_asks_five_times_a_day_at_most(where: str) -> None:
    figures = measure(PLACES[where], adapters=15, days=8)
    assert figures["beside_per_10000"] <= 1
    assert figures["p9999_ms"] < 60
    assert figures["asked_per_day"] <= 5
    assert figures["first_day"] <= 12


def test_outdoors_who_trusts_its_slot_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    foretold = measure(PLACES["outdoor"], adapters=15, days=8)
    assert foretold["beside_per_10000"] <= 1
    monkeypatch.setattr(trust, "forecast", lambda *_: None)
    assert foretold["asked_per_day"] < 0.6 * measure(PLACES["outdoor"], adapters=15, days=8)["asked_per_day"]
