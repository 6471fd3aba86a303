"""The cast, and clients that act as its people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from provisioning.accounts.models import User
from provisioning.accounts.services import create_token
from tests.cast import Cast, cast
from tests.support.passkey import arrive

__all__ = ["cast"]
As = Callable[[User], APIClient]


@pytest.fixture
def by_token(cast: Cast) -> As:
    """A client with a writing token of that person, in the person's first organisation."""

    def client(user: User, read_only: bool = False) -> APIClient:
        organisation = user.memberships.get().organisation
        text = create_token(user, organisation, "test", read_only=read_only).text
        made = APIClient()
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        return made

    return client


@pytest.fixture
def by_session() -> As:
    """A client that is logged in as that person."""

    def client(user: User) -> APIClient:
        made = APIClient(enforce_csrf_checks=True)
        arrive(made, user)
        return made

    return client


@pytest.fixture(autouse=True)
def photo_store(settings: Any, tmp_path: Path) -> None:
    """Photos of a test end with it."""
    settings.MEDIA_ROOT = tmp_path / "media"
