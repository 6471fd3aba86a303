"""A stage whose organisation stores values sealed, and people who may open them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from meterwire.messages import timestamp
from portal.telemetry.arrivals import moment
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.services import add_member
from tests.portal.stage import NOON, Device, Stage

CANARY = 56_841_020_117
CANARIES = ((1, CANARY), (2, 3_197_930_443))
START = moment(round(NOON * 1e6)) - timedelta(hours=1)
END = START + timedelta(days=2)


@pytest.fixture
def sealed(stage: Stage) -> Stage:
    """The stage, in an organisation that stores values sealed."""
    keep_sealed(stage)
    return stage


def keep_sealed(stage: Stage, on: bool = True) -> None:
    """From now on, in the database and in the pipeline's memory."""
    Organisation.objects.filter(pk=stage.organisation.pk).update(sealed_telemetry=on)
    stage.organisation.refresh_from_db()
    stage.pipeline = stage.pipeline_for()
    source = stage.pipeline.directory.source(stage.concentrator.eui)
    assert source is not None
    stage.source = source


def person(stage: Stage, role: str = "operator") -> User:
    """A member of the stage's organisation."""
    return add_member(System("stage"), stage.organisation, f"{role}@acme.example", role).user


def send(stage: Stage, device: Device, values: Iterator[int] | range, every: timedelta = timedelta(minutes=15)) -> None:
    """One telegram of import and export for each of `values`, evenly spaced from NOON on."""
    first = moment(round(NOON * 1e6))
    times = [first + number * every for number, _ in enumerate(values)]
    telegrams = [
        device.telegram((1, value), (2, value + 1), received_at=timestamp(at.timestamp()))
        for at, value in zip(times, values, strict=True)
    ]
    stage.run(*telegrams, now=times[-1].timestamp() + 1)
