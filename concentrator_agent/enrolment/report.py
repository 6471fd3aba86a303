"""`concentrator-agent enrol` and `certificate`: by hand what the daemon does by itself, and what is in force."""

import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from cryptography import x509

from concentrator_agent.config import Config, Enrolment
from concentrator_agent.enrolment.question import question
from concentrator_agent.enrolment.step import step
from concentrator_agent.enrolment.wallet import Held, WalletFile
from edge.config import ConfigError
from edge.sealedfile import load_credential
from edge.timesync import dates_known


def enrol(config: Config, *, anew: bool) -> int:
    """Ask once. Exit code 0: there is a certificate; 1: not yet, and why. Raises MeterspanError."""
    asked = question(config, _settings(config), dates_known=dates_known(config.clock.quality), anew=anew)
    answer = step(asked)
    if answer.state == "issued":
        print("a certificate was issued")
    elif answer.state == "held":
        print("the certificate in force needs no renewal yet")
    else:
        print(answer.message)
    return 0 if answer.state in ("issued", "held") else 1


def show(config: Config, *, as_json: bool) -> int:
    """Exit code 0: in force; 1: there is none, or it is over."""
    wallet = WalletFile(config.concentrator.state_dir, load_credential(config.credential_file)).read()
    state = {
        "current": _described(wallet.current),
        "next": _described(wallet.next),
        "previous": _described(wallet.previous),
        "authorities": [_fingerprint(der) for der in wallet.authorities],
    }
    current = wallet.current
    if as_json:
        print(msgspec.json.encode(state).decode())
    elif current is None:
        print("no certificate yet" + (": a request is under way" if wallet.next is not None else ""))
    else:
        for name, value in (state["current"] or {}).items():  # type: ignore[union-attr]
            print(f"{name:<12} {value}")
        if wallet.next is not None:
            print("next         " + ("waits for the broker to take it" if wallet.next.issued else "asked for"))
    return 0 if current is not None and time.time() < current.not_after else 1


def _settings(config: Config) -> Enrolment:
    if config.enrolment is None:
        raise ConfigError("there is nobody to ask for a certificate; write [enrolment] with est_url")
    return config.enrolment


def _described(held: Held | None) -> dict[str, Any] | None:
    if held is None:
        return None
    if not held.issued:
        return {"state": "asked for"}
    certificate = x509.load_der_x509_certificate(held.chain[0])
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": _fingerprint(held.chain[0]),
        "not_before": _time(held.not_before),
        "not_after": _time(held.not_after),
        "renew_at": _time(held.renew_at),
    }


def _fingerprint(der: bytes) -> str:
    return sha256(der).hexdigest()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
