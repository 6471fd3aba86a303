"""Concentrators of these tests give slots."""

from collections.abc import Iterator

import pytest

from tests.slot_givers import pairings_get_slots


@pytest.fixture(autouse=True)
def slots_for_everybody() -> Iterator[None]:
    with pairings_get_slots():
        yield
