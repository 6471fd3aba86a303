"""A private chronyd on a free loopback port: a real NTP server that serves this machine's clock and sets nothing."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.processes import START_DEADLINE_SECONDS, ServiceMissing

UNPACKED = Path(__file__).parents[1] / "judges" / "chrony" / "usr" / "sbin" / "chronyd"
QUESTION = b"\x23" + bytes(47)


@contextmanager
def chronyd(*lines: str) -> Iterator[int]:
    """Its UDP port, while it runs. `lines` are added to its configuration."""
    program = shutil.which("chronyd") or str(UNPACKED)
    if not Path(program).exists():
        raise ServiceMissing("chronyd is missing: ./run test unpacks it into tests/judges/chrony")
    with TemporaryDirectory(prefix="mspan-ntp-") as folder:
        port = _free_port()
        settings = ("allow 127.0.0.1", "bindaddress 127.0.0.1", f"port {port}", "cmdport 0", "bindcmdaddress /")
        config = Path(folder) / "chrony.conf"
        config.write_text("\n".join((*settings, f"pidfile {folder}/pid", *lines)) + "\n")
        # Whoever is not root stays who they are, but -u must name an account that exists.
        command = [program, "-x", "-d", "-U", "-u", "root", "-f", str(config)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait(process, port, Path(folder) / "log")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"chronyd did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(QUESTION)
            return bool(probe.recv(512))
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
