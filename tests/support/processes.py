"""Private instances of real services on free loopback ports in temporary folders."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")
START_DEADLINE_SECONDS = 30.0


class ServiceMissing(RuntimeError):
    """A program that the tests need is not installed; the message names the Debian package."""


@dataclass
class Service:
    """A running child: `url`/`port` say where, `folder` holds its data, `stop` ends it and removes the folder."""

    name: str
    port: int
    folder: Path
    command: Sequence[str]
    account: pwd.struct_passwd | None = None
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start, or start again after `kill`, and wait until the port answers."""
        as_user: dict[str, object] = {}
        if self.account is not None and os.geteuid() == 0:
            as_user = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                list(self.command),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                **as_user,
            )
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL); data stays for the next `start`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens on that loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def postgres(options: Mapping[str, str] | None = None, copy_of: Path | None = None) -> Service:
    """A fresh PostgreSQL 15 cluster (user and database `mspan`, trust on loopback). fsync is off unless asked for.

    `copy_of` is the data folder of one that was stopped: the new one begins with what that one had.
    """
    if not (POSTGRES_BIN / "postgres").exists():
        raise ServiceMissing("PostgreSQL 15 is missing: apt-get install postgresql-15")
    account = _account("postgres", "nobody") if os.geteuid() == 0 else None
    folder = _folder("mspan-pg-", account)
    port = free_port()
    as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    if copy_of is None:
        make = [str(POSTGRES_BIN / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "mspan"]
        make += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    else:
        make = ["cp", "-a", str(copy_of), str(folder / "data")]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **as_user)  # type: ignore[call-overload]
    settings = {"listen_addresses": "127.0.0.1", "fsync": "off", "max_connections": "200", **(options or {})}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [
        str(POSTGRES_BIN / "postgres"),
        "-D",
        str(folder / "data"),
        "-p",
        str(port),
        "-k",
        str(folder),
        *flags,
    ]
    # SIGQUIT: nobody reads its data after the end, so nothing is written for that.
    service = Service("postgres", port, folder, [*command, *flags], account, stop_signal=signal.SIGQUIT)
    service.start()
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    ask = [str(POSTGRES_BIN / ("createdb" if copy_of is None else "pg_isready")), "-h", "127.0.0.1", "-p", str(port)]
    ask += ["-U", "mspan", *(["mspan"] if copy_of is None else ["-d", "mspan"])]
    while subprocess.run(ask, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise RuntimeError("createdb failed")
        time.sleep(0.05)
    return service


def redis() -> Service:
    """A Redis server without persistence."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServiceMissing("Redis is missing: apt-get install redis-server")
    folder, port = _folder("mspan-redis-", None), free_port()
    command = [
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    service = Service("redis", port, folder, command)
    service.start()
    return service


def _account(*names: str) -> pwd.struct_passwd:
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceMissing(f"none of the accounts {', '.join(names)} exists")


def _folder(prefix: str, account: pwd.struct_passwd | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder
