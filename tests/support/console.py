"""A process of the portal that takes one command after the other: starting one for each takes a second or more."""

import contextlib
import io
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]


class Console:
    """Runs what `manage.py` runs, in the portal of `env`, until it is stopped."""

    def __init__(self, env: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.support.console"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env={**env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def manage(self, *arguments: str) -> str:
        """What the command prints. AssertionError with its traceback when it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        printed, failure = json.loads(answer)
        assert failure is None, f"{arguments[0]} failed:\n{failure}"
        return str(printed)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def _serve() -> None:
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    answers = sys.stdout
    for line in sys.stdin:
        printed, failure = io.StringIO(), None
        try:
            with contextlib.redirect_stdout(printed):
                call_command(*json.loads(line))
        except (Exception, SystemExit):
            failure = traceback.format_exc()
        connections.close_all()
        print(json.dumps([printed.getvalue(), failure]), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
