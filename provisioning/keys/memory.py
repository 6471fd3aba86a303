"""Keeps what a process has in memory out of core dumps, debuggers and swap."""

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # the last: only what is used, not the whole of each stack


def guard() -> bool:
    """No core dumps, and no debugger of the same user. Whether the memory was also locked into RAM.

    That happens only without a limit on locked memory (LimitMEMLOCK=infinity): with one, a later allocation would fail.
    OSError when the kernel refuses the first two.
    """
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel does not let this process refuse debuggers")
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)
