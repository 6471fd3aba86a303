"""What holds for every test: hypothesis repeats itself exactly and no slow machine stops it; long walks come first."""

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("meterspan", derandomize=True, deadline=None)
settings.load_profile("meterspan")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long walks first: started last, one of them would keep one worker busy while the other has nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("flow") is None)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The test database, which is emptied quickly."""
    from tests.support.emptying import delete_instead_of_truncate

    with django_db_blocker.unblock():
        delete_instead_of_truncate()
