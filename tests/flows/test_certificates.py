"""A concentrator's certificate from its one-time password to its revocation, on the real portal, broker and agent."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from portal.ops.demo import house as plan
from tests.flows.cellar import house, until
from tests.flows.stand import BIN, MANAGE, Portless, Stand, standing
from tests.support.console import Console
from tests.support.processes import answers, free_port

LIFE_S = 170.0  # of a certificate; with the 5 minutes it is backdated it is renewed 13 to 37 s after it was issued
OFF_WITHIN_S = 5.0
PERIOD_S = 5.0

TAKEN = "the broker took the new certificate"

PASSWORD = """
from provisioning.accounts.actors import System
from provisioning.fleet.models import Concentrator
from provisioning.pki.services import issue_password
print("password", issue_password(System("flow"), Concentrator.objects.get()).password)
"""
REVOKE = """
from provisioning.accounts.actors import System
from provisioning.fleet.models import Concentrator
from provisioning.fleet.services import revoke_concentrator
import time
revoke_concentrator(System("flow"), Concentrator.objects.get(), "stolen from the cellar")
print("revoked", time.time())
"""

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


class Certified:
    """The stand after it was moved from passwords to certificates."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.folder = stand.folder / "pki"
        self.ports = {name: free_port() for name in ("est", "certificates")}
        self.started: list[Portless] = []
        self.env = {
            **stand.env,
            "MSPAN_BROKER_DIR": str(stand.folder / "broker"),
            "MSPAN_VAULT_SOCKET": str(stand.folder / "vault.sock"),
            "MSPAN_PKI_DAYS": str(LIFE_S / 86400),
        }
        self._console = Console(self.env)

    def move(self) -> None:
        """As an operator would: authority, vault, EST, broker; then the device is told."""
        self._console.manage("pki_init", "--server-name", "localhost", "--out", str(self.folder))
        server = ["--certificate", str(self.folder / "server.pem"), "--key", str(self.folder / "server.key")]
        public = {**self.env, "MSPAN_KEK_FILE": "", "MSPAN_KEK_PUBLIC_FILE": self.env["MSPAN_KEK_FILE"] + ".pub"}
        self._start("vault", self.env, "run_vault")
        self._start("est", public, "run_est", "--host", "127.0.0.1", "--port", str(self.ports["est"]), *server)
        parts, folder = self.stand.parts, self.stand.folder / "broker"
        listeners = ["--port", str(self.stand.ports["mqtt"]), "--certificates-port", str(self.ports["certificates"])]
        self._console.manage("broker_config", "--out", str(folder), *listeners, *server)
        bridge = parts["bridge"]
        assert isinstance(bridge, Portless)
        bridge.env = self.env
        for name in ("concentrator", "bridge", "broker"):
            parts[name].kill()
        password = self._console.manage("shell", "--no-imports", "-c", PASSWORD).split("password ")[1].strip()
        self._tell_the_device(password)
        _wait(lambda: answers(self.ports["est"]) and (self.stand.folder / "vault.sock").exists())
        for name in ("broker", "bridge", "concentrator"):
            parts[name].start()

    def certificate(self) -> dict[str, str]:
        """What the device says of the certificate in force; empty: it has none."""
        program, config = str(BIN / "concentrator-agent"), str(self.stand.agents / "concentrator.toml")
        said = subprocess.run(
            [program, "certificate", "--json", "--config", config], capture_output=True, text=True, check=False
        )
        return dict(json.loads(said.stdout)["current"] or {})

    def concentrator(self) -> tuple[bool, int, int]:
        """(online, revision that runs, desired revision) by the portal's knowledge."""
        ((online, running, desired),) = self.stand.rows(
            "select online, running_revision, desired_revision from fleet_concentrator"
        )
        assert isinstance(running, int)
        assert isinstance(desired, int)
        return bool(online), running, desired

    def log(self, name: str) -> str:
        return (self.stand.folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        self._console.stop()
        for part in self.started:
            if part.process is not None and part.process.poll() is None:
                part.process.terminate()
        for part in self.started:
            if part.process is not None:
                part.process.wait(20)

    def _tell_the_device(self, password: str) -> None:
        file = self.stand.agents / "enrolment.password"
        file.touch(mode=0o600)
        file.write_text(password + "\n")
        config = self.stand.agents / "concentrator.toml"
        text = config.read_text().replace("tls = false\n", "").replace('host = "127.0.0.1"', 'host = "localhost"')
        text = text.replace(f"port = {self.stand.ports['mqtt']}", f"port = {self.ports['certificates']}")
        text = text.replace(f'password_file = "{self.stand.agents}/concentrator.password"\n', "reconnect_max_s = 1.0\n")
        text += f"""
[enrolment]
est_url = "https://localhost:{self.ports["est"]}/.well-known/est"
ca_file = "{self.folder / "ca.pem"}"
password_file = "{file}"
"""
        config.write_text(text)

    def revoke(self) -> float:
        """The whole concentrator; when it was committed, in Unix seconds."""
        return float(self._console.manage("shell", "--no-imports", "-c", REVOKE).split("revoked ")[1])

    def _start(self, name: str, env: dict[str, str], *arguments: str) -> None:
        part = Portless(name, 0, self.stand.folder, [*MANAGE, *arguments])
        part.env = env
        part.start()
        self.started.append(part)


def _wait(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


async def test_it_enrols_serves_renews_and_is_thrown_off_within_seconds_when_it_is_revoked() -> None:
    with standing(1, period_s=PERIOD_S, confirm_every=1, slots=False) as stand:
        certified = Certified(stand)
        try:
            await asyncio.to_thread(certified.move)
            await until(lambda: _connections(certified) == 1)
            await until(lambda: bool(certified.certificate()))
            await until(lambda: certified.concentrator()[0] and len(set(certified.concentrator()[1:])) == 1)
            first = await asyncio.to_thread(certified.certificate)
            assert first["subject"] == f"CN={plan.CONCENTRATOR_EUI}"
            assert stand.rows("select certificate_key <> '' from fleet_concentrator") == [(True,)]

            async with house(stand) as here:
                here.plug_in(stand.flats[0])
                await until(lambda: stand.rows("select count(*) from telemetry_reading")[0][0] > 0)  # type: ignore[operator]
                await until(lambda: TAKEN in certified.log("concentrator"))  # asking the device each time is dear
                await until(lambda: certified.certificate()["serial"] != first["serial"])
                before = stand.rows("select count(*) from telemetry_reading")[0][0]
                await until(lambda: stand.rows("select count(*) from telemetry_reading")[0][0] > before)  # type: ignore[operator]
            assert TAKEN in certified.log("concentrator")
            keys = stand.rows("select count(distinct key), count(*) from pki_certificate where concentrator_id > 0")
            assert keys[0][0] == keys[0][1]
            await until(lambda: _connections(certified) == 1)  # not while it changes to another certificate

            committed = await asyncio.to_thread(certified.revoke)
            while await asyncio.to_thread(_connections, certified):
                assert time.time() - committed < OFF_WITHIN_S
                await asyncio.sleep(0.05)
            print(f"off {time.time() - committed:.2f} s after the revocation", file=sys.stderr)
            for _ in range(30):  # it tries again and again meanwhile
                await asyncio.sleep(0.1)
                assert not certified.concentrator()[0]
            assert "the broker hung up" in certified.log("concentrator")
            assert stand.rows("select connected from bridge_bridge") == [(True,)]
        finally:
            await asyncio.to_thread(certified.stop)


def _connections(certified: Certified) -> int:
    """Established connections at the broker's listener for certificates that the broker has let in."""
    broker = certified.stand.parts["broker"]
    assert broker.process is not None
    lines = Path(f"/proc/{broker.process.pid}/net/tcp").read_text().splitlines()[1:]
    here = f":{certified.ports['certificates']:04X}"
    return sum(line.split()[1].endswith(here) and line.split()[3] == "01" for line in lines)
