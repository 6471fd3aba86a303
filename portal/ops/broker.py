"""Mosquitto's files: configuration, access lists, passwords, and whose certificates count, from what the portal knows.

Durability is not the broker's: an entry leaves an outbox only on a receipt, so the broker's persistence keeps the
retained states over a restart and no more, and its queues may be bounded.
"""

import hashlib
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from meterwire.topics import PREFIX
from provisioning.fleet.broker import SALT_BYTES, password_hash
from provisioning.fleet.queries import broker_accounts

CONFIGURATION, ACCESS, PASSWORDS, PID = "mosquitto.conf", "acl", "passwords", "mosquitto.pid"
DEVICE_ACCESS, AUTHORITIES, REVOKED = "acl-certificates", "authorities.pem", "revoked.pem"
FILES = (CONFIGURATION, ACCESS, PASSWORDS, DEVICE_ACCESS, AUTHORITIES, REVOKED)
MAX_QUEUED = 100_000  # messages per slow client; Mosquitto's own 1,000 loses a burst, none at all fills the memory
MAX_PACKET_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens; with a certificate it speaks TLS there.

    With `clients` it lets in who shows a certificate of the portal's authority that is not revoked, and nobody else:
    the common name is user name and client id there, and passwords do not count.
    """

    port: int
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    clients: bool = False


def configuration(folder: Path, listeners: Iterable[Listener], user: str | None = None) -> str:
    """mosquitto.conf. `user` is whom the broker becomes when it is started by root."""
    lines = [
        "# Written by manage.py broker_config; changes are overwritten.",
        "per_listener_settings true",
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
        lines += _listener(folder, listener)
    return "\n".join(lines) + "\n"


def access_list(portal: str) -> str:
    """The ACL: the portal hears all branches and answers on them, a concentrator (user name = EUI) has its own."""
    return f"""{_WRITTEN}user {portal}
topic read {PREFIX}/+/up/#
topic read {PREFIX}/+/state
topic write {PREFIX}/+/dn/#

{_OWN_BRANCH}"""


def device_access_list() -> str:
    """The ACL where certificates are shown: nobody is the portal there, whatever the certificate says."""
    return _WRITTEN + _OWN_BRANCH


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


def keep(folder: Path, portal: str, password: str, trust: tuple[str, str]) -> bool:
    """Bring passwords, authorities and lists of revoked certificates (`trust`, PEM) up to date.

    True when there was news and the broker was told. Does nothing where `broker_config` has not written the folder. An
    empty half of `trust` changes nothing: the broker does not run with an empty file.
    """
    news = _written_passwords(folder, portal, password)
    if (folder / AUTHORITIES).exists():
        news = write_trust(folder, trust) or news
    return news and reload(folder)


def write_trust(folder: Path, trust: tuple[str, str]) -> bool:
    """The files with authorities and lists of revoked certificates; False when nothing is new."""
    files = zip((AUTHORITIES, REVOKED), trust, strict=True)
    written = [write(folder / name, text, 0o644) for name, text in files if text]
    return any(written)


def accounts_in(folder: Path) -> frozenset[str]:
    """The user names in the password file; none without one."""
    try:
        lines = (folder / PASSWORDS).read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.partition(":")[0] for line in lines if line)


def lists_end(folder: Path) -> datetime | None:
    """When the first of the lists that the broker reads ends: from then on it refuses every certificate.

    None where it reads none. Raises ValueError for a file that is none.
    """
    return min((one.next_update_utc for one in _lists(folder) if one.next_update_utc is not None), default=None)


def lists_begin(folder: Path) -> frozenset[tuple[str, datetime]]:
    """(issuer, second) of each list that the broker reads. Raises ValueError for a file that is none.

    A broker that runs keeps the lists it has read, and of two that an issuer made in the same second OpenSSL goes by
    the one it happens to find first: such a second list may have no effect.
    """
    return frozenset((one.issuer.rfc4514_string(), one.last_update_utc) for one in _lists(folder))


def _lists(folder: Path) -> list[x509.CertificateRevocationList]:
    try:
        body = (folder / REVOKED).read_bytes()
    except OSError:
        return []
    return [x509.load_pem_x509_crl(part + _END) for part in body.split(_END)[:-1]]


def _listener(folder: Path, listener: Listener) -> list[str]:
    lines = [f"listener {listener.port} {listener.host}"]
    if listener.certificate is not None:
        lines += [f"certfile {listener.certificate}", f"keyfile {listener.key}", "tls_version tlsv1.2"]
    lines.append("allow_anonymous false")
    if listener.clients:
        return [
            *lines,
            f"cafile {folder / AUTHORITIES}",
            f"crlfile {folder / REVOKED}",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            f"acl_file {folder / DEVICE_ACCESS}",
        ]
    lines += [] if listener.ca is None else [f"cafile {listener.ca}"]
    return [*lines, f"password_file {folder / PASSWORDS}", f"acl_file {folder / ACCESS}"]


def _written_passwords(folder: Path, portal: str, password: str) -> bool:
    if not (folder / PASSWORDS).exists():
        return False
    return write(folder / PASSWORDS, passwords(portal, password, broker_accounts()), 0o600)


_END = b"-----END X509 CRL-----\n"
_WRITTEN = "# Written by manage.py broker_config; changes are overwritten.\n"
_OWN_BRANCH = f"""pattern write {PREFIX}/%u/up/#
pattern write {PREFIX}/%u/state
pattern read {PREFIX}/%u/dn/#
"""
