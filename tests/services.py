"""Early pytest plugin: private PostgreSQL and Redis before Django reads its settings, ended when the run ends.

Runs that touch only the pure packages and the agents start nothing. Mosquitto and Chromium are started by the tests
that use them (tests/support). With xdist the controller starts the services and the workers inherit the addresses.
"""

import os
import secrets
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.processes import Service, postgres, redis

WITHOUT_SERVICES = ("meterwire", "edge", "adapter_agent", "simulation", "concentrator_agent", "support")
_started: list[Service] = []


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None, None, None]:
    os.environ.setdefault("MSPAN_SECRET_KEY", "only-for-tests-" + "x" * 50)
    os.environ.setdefault("MSPAN_TLS", "0")
    os.environ.setdefault("MSPAN_ALLOW_FILE_KEK", "1")
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps an event loop in the test thread
    if "PYTEST_XDIST_WORKER" not in os.environ:
        if "MSPAN_KEK_FILE" not in os.environ:
            os.environ["MSPAN_KEK_FILE"] = _kek_file()
        if "MSPAN_DATABASE_URL" not in os.environ:
            _point_at_services(needed=not _only_pure(args))
    return (yield)


def pytest_unconfigure() -> None:
    while _started:
        _started.pop().stop()


def _point_at_services(needed: bool) -> None:
    if not needed:
        os.environ["MSPAN_DATABASE_URL"] = "sqlite://"
        return
    database = postgres()
    _started.append(database)
    os.environ["MSPAN_DATABASE_URL"] = f"postgres://mspan@127.0.0.1:{database.port}/mspan"
    if "MSPAN_REDIS_URL" not in os.environ:
        cache = redis()
        _started.append(cache)
        os.environ["MSPAN_REDIS_URL"] = f"redis://127.0.0.1:{cache.port}/0"


def _only_pure(args: list[str]) -> bool:
    paths = [arg for arg in args if arg.startswith("tests") or "/tests/" in arg]
    return bool(paths) and all(any(f"tests/{name}" in path for name in WITHOUT_SERVICES) for path in paths)


def _kek_file() -> str:
    path = Path(tempfile.mkdtemp(prefix="mspan-kek-")) / "kek"
    path.touch(mode=0o600)
    path.write_bytes(secrets.token_bytes(32))
    return str(path)
