"""`./run demo-reset`: removes the demo's run folder; refuses while the demo runs. Standard library only."""

import os
import shutil
import sys

from portal.ops.demo.places import Places


def running(places: Places) -> int | None:
    """The process id of the launcher that uses the folder, or None."""
    try:
        pid = int(places.lock.read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def main() -> int:
    places = Places.default()
    pid = running(places)
    if pid is not None:
        print(f"the demo is running (process {pid}); stop it with Ctrl-C first", file=sys.stderr)
        return 1
    if not places.folder.exists():
        print("nothing to remove", file=sys.stderr)
        return 0
    if not places.secrets.is_dir():
        print(f"{places.folder} does not look like a demo folder, left alone", file=sys.stderr)
        return 1
    shutil.rmtree(places.folder)
    print(f"removed {places.folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
