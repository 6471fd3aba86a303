"""An adapter that has lived a day, and the portal that hears it."""

from pathlib import Path

import pytest

from tests.portal.days.signer import Portal, Signer, hold_transport
from tests.portal.stage import Stage


@pytest.fixture
def portal(stage: Stage) -> Portal:
    stage.concentrator.online = True
    stage.concentrator.save()
    return Portal(stage)


@pytest.fixture
def signer(stage: Stage, tmp_path: Path) -> Signer:
    device = stage.device()
    hold_transport(stage, device)
    return Signer(stage, tmp_path / "days", device)
