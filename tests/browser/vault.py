"""The vault process of a portal under test; it alone has the key-encryption key."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.backstage import ROOT
from tests.browser.conftest import Portal


@contextmanager
def vault(portal: Portal) -> Iterator[None]:
    key = Path(portal.environment["MSPAN_KEK_PUBLIC_FILE"]).with_suffix("")
    command = [sys.executable, "manage.py", "run_vault"]
    environment = {**portal.environment, "MSPAN_KEK_FILE": str(key)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert "listens" in process.stdout.readline()
            yield
        finally:
            process.terminate()
