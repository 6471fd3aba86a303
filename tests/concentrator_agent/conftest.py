"""The bench for the network server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from concentrator_agent.config import RegionSettings
from edge.clock import ManualClock
from tests.concentrator_agent.lab import Lab, Mote


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_lab(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., Lab]]:
    """Build a lab; calling it again on the same folder is a restart after the death of the one before."""
    labs: list[Lab] = []

    def make(region: RegionSettings | None = None, **options: Any) -> Lab:
        for old in labs:
            old.close()
        lab = Lab(tmp_path, clock, region or RegionSettings(rx2_dr=0), **options)  # the region's own
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
async def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()


@pytest.fixture
async def mote(lab: Lab) -> Mote:
    """A device in the table that has joined."""
    mote = Mote()
    await lab.devices(mote.entry())
    await lab.join(mote)
    return mote
