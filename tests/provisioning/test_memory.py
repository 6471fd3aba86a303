"""What the vault keeps in memory stays there: no core dump, no debugger."""

import subprocess
import sys

from django.conf import settings

PROGRAM = """
import ctypes, resource
from provisioning.keys.memory import guard
resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 16, 1 << 16))
print(guard(), resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_a_guarded_process_dumps_no_core_and_lets_nobody_look() -> None:
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False (0, 0) 0", "3 is PR_GET_DUMPABLE; memory is not locked under a limit"
