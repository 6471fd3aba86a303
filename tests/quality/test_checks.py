"""The code passes the checkers that every change is held to."""

import pytest

from tests.quality import CHECKS, run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CHECKS)
def test_the_code_passes(name: str) -> None:
    outcome = run(name)

    assert outcome.returncode == 0, outcome.stdout
