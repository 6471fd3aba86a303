"""Mosquitto's files: configuration, access list and passwords, written from what the portal knows.

Durability is not the broker's: an entry leaves an outbox only on a receipt, so the broker's persistence keeps the
retained states over a restart and no more, and its queues may be bounded.
"""

import hashlib
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meterwire.topics import PREFIX
from provisioning.fleet.broker import SALT_BYTES, password_hash
from provisioning.fleet.queries import broker_accounts

CONFIGURATION, ACCESS, PASSWORDS, PID = "mosquitto.conf", "acl", "passwords", "mosquitto.pid"
MAX_QUEUED = 100_000  # messages per slow client; Mosquitto's own 1,000 loses a burst, none at all fills the memory
MAX_PACKET_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens; with a certificate it speaks TLS there."""

    port: int
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def configuration(folder: Path, listeners: Iterable[Listener], user: str | None = None) -> str:
    """mosquitto.conf. `user` is whom the broker becomes when it is started by root."""
    lines = [
        "# Written by manage.py broker_config; changes are overwritten.",
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {folder / PASSWORDS}",
        f"acl_file {folder / ACCESS}",
        f"pid_file {folder / PID}",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 30",
        f"max_queued_messages {MAX_QUEUED}",
        "max_inflight_messages 1000",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "connection_messages false",
    ]
    if user is not None:
        lines.append(f"user {user}")
    for listener in listeners:
        lines.append(f"listener {listener.port} {listener.host}")
        if listener.certificate is not None:
            lines += [f"certfile {listener.certificate}", f"keyfile {listener.key}", "tls_version tlsv1.2"]
            lines += [] if listener.ca is None else [f"cafile {listener.ca}"]
    return "\n".join(lines) + "\n"


def access_list(portal: str) -> str:
    """The ACL: the portal hears all branches and answers on them, a concentrator (user name = EUI) has its own."""
    return f"""# Written by manage.py broker_config; changes are overwritten.
user {portal}
topic read {PREFIX}/+/up/#
topic read {PREFIX}/+/state
topic write {PREFIX}/+/dn/#

pattern write {PREFIX}/%u/up/#
pattern write {PREFIX}/%u/state
pattern read {PREFIX}/%u/dn/#
"""


def passwords(portal: str, password: str, accounts: Iterable[tuple[str, str]]) -> str:
    """The password file; the same input gives the same text, so that an unchanged file can be told."""
    salt = hashlib.sha256(b"mspan broker salt|" + password.encode()).digest()[:SALT_BYTES]
    lines = [(portal, password_hash(password, salt)), *accounts]
    return "".join(f"{user}:{hashed}\n" for user, hashed in lines)


def write(path: Path, text: str, mode: int) -> bool:
    """Replace a file in one step; False when it held that already."""
    with suppress(OSError):
        if path.read_text() == text:
            return False
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        file.write(text)
        file.flush()
        os.fsync(handle)
    if os.geteuid() == 0 and path.exists():
        owner = path.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.replace(path)
    return True


def reload(folder: Path) -> bool:
    """Let the running broker read its files again (SIGHUP); False when none runs.

    Clients whose password is no longer right lose their connection.
    """
    try:
        os.kill(int((folder / PID).read_text()), signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def keep_passwords(folder: Path, portal: str, password: str) -> bool:
    """Bring the password file up to date and let the broker read it when concentrators came, left or changed theirs.

    Does nothing where `broker_config` has not written the folder.
    """
    if not (folder / PASSWORDS).exists():
        return False
    text = passwords(portal, password, broker_accounts())
    return write(folder / PASSWORDS, text, 0o600) and reload(folder)
