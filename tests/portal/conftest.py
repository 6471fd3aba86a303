"""Fixtures of the portal's tests."""

import pytest

from tests.portal.stage import Stage


@pytest.fixture
def stage(db: None) -> Stage:
    return Stage()
