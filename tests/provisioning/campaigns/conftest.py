"""Fixtures of the campaign tests."""

import pytest

from tests.cast import Cast, cast
from tests.provisioning.campaigns.stage import Stage

__all__ = ["cast"]


@pytest.fixture
def stage(cast: Cast) -> Stage:
    return Stage(cast)
