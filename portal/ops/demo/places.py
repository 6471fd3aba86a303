"""The demo's run folder: its secrets, its ports and where everything lies."""

import json
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PORTS = {
    "portal": 8000,
    "mqtt": 18883,
    "certificates": 18884,
    "est": 18085,
    "udp": 1700,
    "air": 17100,
    "valkey": 16379,
}
_DATAGRAM = {"udp"}


@dataclass(frozen=True)
class Places:
    """Paths below the run folder; made with owner-only rights."""

    folder: Path

    @classmethod
    def default(cls) -> "Places":
        return cls(Path(os.environ.get("MSPAN_DEMO_DIR", ROOT / ".demo")))

    def make(self) -> None:
        for path in (
            self.folder,
            self.secrets,
            self.logs,
            self.agents,
            self.meters,
            self.broker,
            self.pki,
            self.valkey,
            self.static,
            self.plugs,
        ):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("secret_key", "portal_mqtt_password"):
            _write_once(self.secrets / name, secrets.token_urlsafe(48).encode())
        _write_once(self.secrets / "audit_key", secrets.token_bytes(32))

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def agents(self) -> Path:
        return self.folder / "agents"

    @property
    def meters(self) -> Path:
        return self.folder / "meters"

    @property
    def vault_socket(self) -> Path:
        return self.folder / "vault.sock"

    @property
    def plugs(self) -> Path:
        return self.folder / "plugs"

    @property
    def static(self) -> Path:
        return self.folder / "static"

    @property
    def broker(self) -> Path:
        return self.folder / "broker"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def valkey(self) -> Path:
        return self.folder / "valkey"

    @property
    def lock(self) -> Path:
        return self.folder / "demo.pid"

    def choose_ports(self, talk: Callable[[str], None]) -> dict[str, int]:
        """A port per service: MSPAN_DEMO_<NAME>_PORT, else that of the last start, else the default.

        A port that somebody else holds is named, and a free one taken instead.
        """
        remembered = self._remembered()
        chosen: dict[str, int] = {}
        for name, default in PORTS.items():
            wanted = int(os.environ.get(f"MSPAN_DEMO_{name.upper()}_PORT", remembered.get(name, default)))
            kind = socket.SOCK_DGRAM if name in _DATAGRAM else socket.SOCK_STREAM
            chosen[name] = wanted if _is_free(wanted, kind) else _free(kind)
            if chosen[name] != wanted:
                talk(f"port {wanted} ({name}) is taken by another program, using {chosen[name]}")
        (self.folder / "ports.json").write_text(json.dumps(chosen))
        return chosen

    def _remembered(self) -> dict[str, int]:
        try:
            return {name: int(port) for name, port in json.loads((self.folder / "ports.json").read_text()).items()}
        except (OSError, ValueError):
            return {}


def _write_once(path: Path, content: bytes) -> None:
    if path.exists():
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
