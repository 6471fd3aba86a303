"""A private Mosquitto on a free loopback port with given users and topic rules."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import Service, ServiceMissing, _account, _folder, free_port

CONCENTRATOR_RULES = (
    "pattern write mspan/1/%u/up/telegram",
    "pattern write mspan/1/%u/up/event",
    "pattern write mspan/1/%u/up/receipt",
    "pattern write mspan/1/%u/state",
    "pattern read mspan/1/%u/dn/command",
    "pattern read mspan/1/%u/dn/receipt",
)


@dataclass
class Broker(Service):
    """A running Mosquitto; `kill` and `start` as for every service. Passwords are in `users`."""

    users: Mapping[str, str] | None = None


def mosquitto(
    users: Mapping[str, str] | None = None,
    rules: Mapping[str, Sequence[str]] | None = None,
    patterns: Sequence[str] = CONCENTRATOR_RULES,
) -> Broker:
    """Start a broker. `users`: name to password (None: anybody may connect). `rules`: user to ACL lines, such as
    {"portal": ["topic readwrite mspan/#"]}; `patterns` hold for every user. Without users everything is allowed.
    """
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not Path(program).exists():
        raise ServiceMissing("Mosquitto is missing: apt-get install mosquitto")
    account = _account("mosquitto", "nobody") if os.geteuid() == 0 else None
    folder, port = _folder("mspan-mqtt-", account), free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        "max_queued_messages 0",
        "max_inflight_messages 1000",
        "set_tcp_nodelay true",
        "persistence false",
        f"allow_anonymous {'false' if users else 'true'}",
    ]
    if users:
        passwords, acl = folder / "passwords", folder / "acl"
        passwords.touch(mode=0o600)
        for name, password in users.items():
            subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True, capture_output=True)
        acl.write_text(
            "".join(f"user {name}\n" + "\n".join(wanted) + "\n" for name, wanted in (rules or {}).items())
            + "\n".join(patterns)
            + "\n"
        )
        for file in (passwords, acl):
            file.chmod(0o600)
            if account is not None:
                os.chown(file, account.pw_uid, account.pw_gid)
        lines += [f"password_file {passwords}", f"acl_file {acl}"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    command = [program, "-c", str(folder / "mosquitto.conf")]
    broker = Broker("mosquitto", port, folder, command, account, users=users)
    broker.start()
    return broker
