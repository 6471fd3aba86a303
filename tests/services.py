"""Early pytest plugin: private PostgreSQL and Redis before Django reads its settings, ended when the run ends.

Runs that touch only the pure packages and the agents start nothing. Mosquitto and Chromium are started by the tests
that use them (tests/support). With xdist the controller starts PostgreSQL, in which each worker has a database of its
own; a Redis has no such walls, so each worker starts one.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.processes import Service, postgres, redis

WITHOUT_SERVICES = ("meterwire", "edge", "adapter_agent", "simulation", "concentrator_agent", "support")
_started: list[Service] = []
_folders: list[Path] = []


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None, None, None]:
    os.environ.setdefault("MSPAN_SECRET_KEY", "only-for-tests-" + "x" * 50)
    os.environ.setdefault("MSPAN_TLS", "0")
    os.environ.setdefault("MSPAN_ALLOW_FILE_KEK", "1")
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps an event loop in the test thread
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ["MSPAN_TEST_FOLDER"] = _shared_folder()
        if "MSPAN_KEK_FILE" not in os.environ:
            os.environ["MSPAN_KEK_FILE"] = _kek_file()
        if "MSPAN_DATABASE_URL" not in os.environ:
            _point_at_services(needed=not _only_pure(args))
    elif "MSPAN_TEST_REDIS" in os.environ:
        _start_redis()
    return (yield)


def pytest_unconfigure() -> None:
    while _started:
        _started.pop().stop()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def _point_at_services(needed: bool) -> None:
    if not needed:
        os.environ["MSPAN_DATABASE_URL"] = "sqlite://"
        return
    database = postgres()
    _started.append(database)
    os.environ["MSPAN_DATABASE_URL"] = f"postgres://mspan@127.0.0.1:{database.port}/mspan"
    if "MSPAN_REDIS_URL" not in os.environ:
        os.environ["MSPAN_TEST_REDIS"] = "our own"
        _start_redis()


def _start_redis() -> None:
    cache = redis()
    _started.append(cache)
    os.environ["MSPAN_REDIS_URL"] = f"redis://127.0.0.1:{cache.port}/0"


def _only_pure(args: list[str]) -> bool:
    paths = [arg for arg in args if arg.startswith("tests") or "/tests/" in arg]
    return bool(paths) and all(any(f"tests/{name}" in path for name in WITHOUT_SERVICES) for path in paths)


def _shared_folder() -> str:
    """What is made once for all workers; services that run under accounts of their own reach what is theirs in it."""
    path = Path(tempfile.mkdtemp(prefix="mspan-run-"))
    path.chmod(0o711)
    _folders.append(path)
    return str(path)


def _kek_file() -> str:
    path = Path(tempfile.mkdtemp(prefix="mspan-kek-")) / "kek"
    path.touch(mode=0o600)
    path.write_bytes(secrets.token_bytes(32))
    return str(path)
