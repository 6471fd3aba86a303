"""Saves memory: leaves out what the daemons never use of their libraries, and lets go of what they use only once.

paho-mqtt imports `urllib.request`, and with it the HTTP and e-mail packages (2 MB), to look for a proxy, which needs
PySocks to have any effect. Each adapter of a demonstration is a process of its own, so it adds up.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import sys
import types
import urllib
from typing import Any, Final

DEFERRED: Final = "urllib.request"

# Old ciphers; cryptography would load the provider for them at its first import.
os.environ.setdefault("CRYPTOGRAPHY_OPENSSL_NO_LEGACY", "1")


def forget(*names: str) -> None:
    """Drop modules, and what is below them, that were needed at the start only: their memory is used again."""
    for loaded in list(sys.modules):
        if any(loaded == name or loaded.startswith(f"{name}.") for name in names):
            del sys.modules[loaded]
    gc.collect()


def release() -> None:
    """Hand memory that is free back to the system (glibc keeps it otherwise)."""
    gc.collect()
    _libc("malloc_trim", 0)


def _libc(name: str, *arguments: int) -> None:
    """Call a function of glibc; other C libraries have none of these."""
    with contextlib.suppress(OSError, AttributeError):
        getattr(ctypes.CDLL(None), name)(*arguments)


class _Deferred(types.ModuleType):
    """Stands in for the module and becomes it on first use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        del sys.modules[DEFERRED]
        return getattr(importlib.import_module(DEFERRED), name)


_M_ARENA_MAX: Final = -8
_libc("mallopt", _M_ARENA_MAX, 1)  # else each of the few threads gets a heap of its own
if DEFERRED not in sys.modules:
    sys.modules[DEFERRED] = _Deferred(DEFERRED)
    setattr(urllib, "request", sys.modules[DEFERRED])  # noqa: B010  (mypy knows no such attribute)
