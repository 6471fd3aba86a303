"""Fixtures of the EST tests: an authority, a concentrator, its device and its one-time password."""

from pathlib import Path

import pytest

from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Authority
from provisioning.pki.services import issue_password
from tests.cast import STAGE, Cast, cast
from tests.provisioning.pki.authority import authority
from tests.support.openssl import Device

__all__ = ["cast"]


@pytest.fixture
def issuing(db: None) -> Authority:
    return authority()


@pytest.fixture
def concentrator(cast: Cast) -> Concentrator:
    return cast.concentrator()


@pytest.fixture
def device(concentrator: Concentrator, tmp_path: Path) -> Device:
    return Device(tmp_path / "device", concentrator.eui)


@pytest.fixture
def password(concentrator: Concentrator) -> str:
    return issue_password(STAGE, concentrator).password
