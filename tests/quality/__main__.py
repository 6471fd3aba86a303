"""`./run lint`: every check, one line each, the output of those that fail."""

import os
import sys

from tests.quality import CHECKS, run


def main() -> int:
    os.environ.setdefault("MSPAN_SECRET_KEY", "only-for-checks-" + "x" * 50)
    failed = 0
    for name in CHECKS:
        outcome = run(name)
        print(f"{name}: {'ok' if outcome.returncode == 0 else 'failed'}", flush=True)
        if outcome.returncode != 0:
            failed += 1
            print(outcome.stdout)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
