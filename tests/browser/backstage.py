"""Behind the browser's back: calls into the stages, in a process of its own that has the portal's settings.

The portal under test runs as a server on a database of its own; this process writes to the same one, and publishes what
the bridge would publish. It is started once, not for each call: each line of its input is a call as JSON, each line of
its output an answer.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

import django

ROOT = Path(__file__).resolve().parents[2]
END_DEADLINE_S = 30


class Backstage:
    """The process of this module, started by the first call and ended by `close`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, call: str, *arguments: object) -> dict[str, Any]:
        """Call "module.function" of tests.browser, whose arguments and answer are JSON."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.browser.backstage"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        calls, answers = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        calls.write(json.dumps([call, *arguments]) + "\n")
        calls.flush()
        line = answers.readline()
        assert line, f"{call} failed; what it raised is among what was written to stderr"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process is not None:
            cast(IO[str], self._process.stdin).close()
            self._process.wait(END_DEADLINE_S)
            cast(IO[str], self._process.stdout).close()
            self._process = None


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever is called may print
    for line in sys.stdin:
        call, *arguments = json.loads(line)
        module, function = call.split(".")
        answer = getattr(import_module(f"tests.browser.{module}"), function)(*arguments)
        print(json.dumps(answer), file=answers, flush=True)


def make_kek(path: str) -> dict[str, Any]:
    """The key-encryption key of this portal."""
    from provisioning.keys import kek

    return {"public": str(kek.create(Path(path)))}


if __name__ == "__main__":
    main()
    os._exit(0)  # everything is written; taking Django apart first would take half a second
