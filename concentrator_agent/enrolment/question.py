"""What the daemon hands to the process that talks to the portal, and what it hears back."""

from typing import Literal

import msgspec

from concentrator_agent.config import Config, Enrolment


class Question(msgspec.Struct, frozen=True):
    """Where the wallet is and whom to ask; empty strings for what is not configured.

    `now` is the Unix time by who asks, whose clock may be another than the machine's; None: the machine's.
    """

    state_dir: str
    credential_file: str
    eui: str
    est_url: str
    ca_file: str
    ca_fingerprint: str
    password_file: str
    cert_file: str
    key_file: str
    curve: str
    dates_known: bool = False
    anew: bool = False
    now: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """`wait_s`: the portal asks to wait so long. `code` and `message` say why there is no certificate."""

    state: Literal["held", "issued", "pending", "failed"]
    wait_s: float | None = None
    code: str = ""
    message: str = ""


def question(
    config: Config, enrolment: Enrolment, *, dates_known: bool, anew: bool = False, now: float | None = None
) -> Question:
    return Question(
        state_dir=str(config.concentrator.state_dir),
        credential_file=str(config.credential_file),
        eui=config.eui,
        est_url=enrolment.est_url,
        ca_file=str(enrolment.ca_file or ""),
        ca_fingerprint=enrolment.fingerprint,
        password_file=str(enrolment.password_file or ""),
        cert_file=str(enrolment.cert_file or ""),
        key_file=str(enrolment.key_file or ""),
        curve=enrolment.curve,
        dates_known=dates_known,
        anew=anew,
        now=now,
    )


def encode_question(it: Question) -> bytes:
    return msgspec.msgpack.encode(it)


def decode_question(body: bytes) -> Question:
    return msgspec.msgpack.decode(body, type=Question)


def encode_answer(it: Answer) -> bytes:
    return msgspec.msgpack.encode(it)


def decode_answer(body: bytes) -> Answer:
    """Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(body, type=Answer)
