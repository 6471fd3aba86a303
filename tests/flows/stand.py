"""A whole Meterspan on real services, each part a process of its own that a test can kill and start again."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from portal.ops.demo import house
from portal.ops.demo.house import Flat
from tests.support.console import Console
from tests.support.migrated import migrated_postgres
from tests.support.processes import Service, answers, free_port, redis

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
READY_DEADLINE_S = 120.0
RESEND_S = 3.0
READY = "select 1 from fleet_concentrator where online and running_revision = desired_revision"


@dataclass
class Stand:
    """The parts, by name in `parts`: database, cache, broker, bridge, concentrator, web. `flats` are the adapters."""

    folder: Path
    ports: Mapping[str, int]
    env: Mapping[str, str]
    flats: list[Flat]
    parts: dict[str, Service]
    console: Console

    @property
    def agents(self) -> Path:
        return self.folder / "agents"

    def manage(self, *arguments: str) -> str:
        """What a command of the portal, which holds the key-encryption key, prints."""
        return self.console.manage(*arguments)

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Ask the portal's database."""
        with psycopg.connect(self.env["MSPAN_DATABASE_URL"]) as connection:
            return connection.execute(sql, values).fetchall()

    async def ready(self) -> None:
        """Return when pages are served and the concentrator runs its device table: nobody answers a join before."""
        deadline = time.monotonic() + READY_DEADLINE_S
        while not await asyncio.to_thread(lambda: answers(self.ports["web"]) and self.rows(READY)):
            if time.monotonic() > deadline:
                logs = "\n".join(f"== {name}\n{self.parts[name].log()[-1500:]}" for name in ("bridge", "concentrator"))
                raise AssertionError(f"it never stood:\n{logs}")
            await asyncio.sleep(0.1)


class Portless(Service):
    """A part that serves no TCP port: started means running."""

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log, env=self.env)

    env: Mapping[str, str]


@contextmanager
def standing(
    adapters: int,
    *,
    period_s: float,
    confirm_every: int,
    paired: int | None = None,
    slots: bool = True,
    gateways: int = 1,
) -> Iterator[Stand]:
    """Everything but the building: database, cache, broker, bridge, concentrator; adapters are provisioned.

    The first `paired` adapters (None: all) are paired with their meters. Without `slots` everybody sends at any time
    and asks for an answer then, which takes seconds where slots take minutes. A gateway gives one answer at a time and
    hears nothing meanwhile: whoever needs many answers takes more `gateways`.
    """
    folder = Path(tempfile.mkdtemp(prefix="mspan-stand-"))
    started: list[Service | Console] = []
    try:
        count = adapters if paired is None else paired
        yield _stand(folder, started, adapters, period_s, confirm_every, count, slots=slots, gateways=gateways)
    finally:
        with ExitStack() as ending:  # each of them, the last first, whatever becomes of the others
            ending.callback(shutil.rmtree, folder, ignore_errors=True)
            for part in started:
                ending.callback(part.stop)


def _stand(
    folder: Path,
    started: list[Service | Console],
    adapters: int,
    period_s: float,
    confirm_every: int,
    paired: int,
    *,
    slots: bool,
    gateways: int,
) -> Stand:
    for name in ("agents", "meters", "broker"):
        (folder / name).mkdir()
    ports = {name: free_port() for name in ("mqtt", "udp", "air")}
    parts: dict[str, Service] = {"database": migrated_postgres({"fsync": "on"})}
    started.append(parts["database"])
    parts["cache"] = redis()
    started.append(parts["cache"])
    env = _environment(folder, ports, parts)
    console = Console(env)
    started.append(console)
    agents, meters = folder / "agents", folder / "meters"
    building = [sys.executable, "-m", "adapter_agent.simulation", str(agents / "building.toml"), "--new", str(adapters)]
    for number in range(gateways):
        eui = f"{int(house.GATEWAY_EUI, 16) + number:016x}"
        building += ["--gateway", f"{eui}@127.0.0.1:{ports['udp']}"]
    building += ["--meters", str(meters)]
    subprocess.run(building, cwd=ROOT, env=env, check=True, capture_output=True)
    console.manage("kek_init", "--out", env["MSPAN_KEK_FILE"])
    seed = ["--agents", str(agents), "--meters", str(meters), "--password", "stand-in-a-cellar"]
    seed += ["--paired", str(paired), *([] if slots else ["--without-slots"])]
    seed += [part for name, port in ports.items() for part in (f"--{name}-port", str(port))]
    console.manage("demo_seed", *seed)
    _hasten(agents / "concentrator.toml")
    console.manage("broker_config", "--out", str(folder / "broker"), "--port", str(ports["mqtt"]))
    flats = house.flats(agents / "building.toml")
    for flat in flats:
        _quicken(agents / f"{flat.name}.toml", period_s, confirm_every, hurried=paired < adapters)
    mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    parts["broker"] = Service("broker", ports["mqtt"], folder, [mosquitto, "-c", str(folder / "broker/mosquitto.conf")])
    parts["bridge"] = Portless("bridge", 0, folder, [*MANAGE, "run_bridge"])
    agent = [str(BIN / "concentrator-agent"), "run", "--config", str(agents / "concentrator.toml")]
    parts["concentrator"] = Portless("concentrator", 0, folder, agent)
    ports = {**ports, "web": free_port()}
    server = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host", "127.0.0.1"]
    parts["web"] = Portless("web", 0, folder, [*server, "--port", str(ports["web"]), "--log-level", "warning"])
    public = {**env, "MSPAN_KEK_FILE": "", "MSPAN_KEK_PUBLIC_FILE": env["MSPAN_KEK_FILE"] + ".pub"}
    for name, surroundings in (("bridge", env), ("concentrator", env), ("web", public)):
        part = parts[name]
        assert isinstance(part, Portless)
        part.env = surroundings
    for name in ("broker", "bridge", "concentrator", "web"):
        parts[name].start()
        started.append(parts[name])
    return Stand(folder, ports, env, flats, parts, console)


def _environment(folder: Path, ports: Mapping[str, int], parts: Mapping[str, Service]) -> dict[str, str]:
    password = folder / "portal.password"
    password.write_text("a-password-for-this-test-only")
    password.chmod(0o600)
    return {
        **os.environ,
        "MSPAN_DATA_DIR": str(folder),
        "MSPAN_DATABASE_URL": f"postgres://mspan@127.0.0.1:{parts['database'].port}/mspan",
        "MSPAN_REDIS_URL": f"redis://127.0.0.1:{parts['cache'].port}/0",
        "MSPAN_SECRET_KEY": "only-for-this-test-" + "x" * 50,
        "MSPAN_MQTT_HOST": "127.0.0.1",
        "MSPAN_MQTT_PORT": str(ports["mqtt"]),
        "MSPAN_MQTT_USER": "portal",
        "MSPAN_MQTT_PASSWORD_FILE": str(password),
        "MSPAN_KEK_FILE": str(folder / "kek"),
        "MSPAN_TLS": "0",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": str(ROOT),
    }


def _hasten(config: Path) -> None:
    """The same concentrator, delivering again soon what found the portal or its broker away."""
    config.write_text(config.read_text() + f"\n[outbox]\nresend_s = {RESEND_S}\n")


def _quicken(config: Path, period_s: float, confirm_every: int, *, hurried: bool) -> None:
    """The same adapter, sending more often and asking for an answer to every `confirm_every`th telegram.

    One that is paired already was commissioned long ago (`hurried` false), and sends in its own rhythm from the start.
    """
    text = config.read_text()
    if not hurried:
        text += "\n[commissioning]\nminutes = 0\n"
    text = text.replace(f"period_s = {house.PERIOD_SECONDS}", f"period_s = {period_s}")
    text = text.replace('type = "virtual"', f'type = "virtual"\nconfirm_every = {confirm_every}')
    assert tomllib.loads(text)["sampler"]["period_s"] == period_s
    config.write_text(text)
