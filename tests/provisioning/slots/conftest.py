"""Each test begins as a process does, remembering no slots."""

import pytest

from provisioning.slots.services.memory import memory


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    memory.forget()
