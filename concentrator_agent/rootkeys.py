"""The keys in device entries are unwrapped in a short-lived process, so that this one never holds the private key.

What faces the radio and the broker all day then has neither the X25519 key nor a clear root key at rest in its memory,
nor the 1.5 MB that the key agreement would take. The key of a certificate it does have while it connects: TLS needs it.
"""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from concentrator_agent.config import Config
from concentrator_agent.store import DeviceRow, SessionRow, StagedRow
from meterwire.errors import MeterspanError
from meterwire.messages import DeviceEntry

TIMEOUT_S: Final = 120.0


class KeyServiceFailed(MeterspanError):
    """The keys could not be unwrapped: the sealed private key or the credential is unusable, or the process died."""

    code = "key_service"
    temporary = True


class Task(NamedTuple):
    """An entry and what the store knows of its device."""

    entry: DeviceEntry
    known: DeviceRow | None
    sessions: tuple[SessionRow, ...] = ()


class Outcome(NamedTuple):
    """A row for the stage; `reason` and `message` when the entry is refused."""

    row: StagedRow
    reason: str | None = None
    message: str = ""


class Request(msgspec.Struct, frozen=True):
    """Where the sealed private keys are, and what to do with them."""

    state_dir: str
    credential_file: str
    concentrator: str
    region: str
    tasks: list[Task] = []


class Answer(msgspec.Struct, frozen=True):
    public_key: bytes
    outcomes: list[Outcome]


class KeyService(Protocol):
    """Where entries are unwrapped."""

    async def stage(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Raises KeyServiceFailed."""

    async def public_key(self) -> bytes:
        """The concentrator's X25519 public key, 32 bytes; made when there is none. Raises KeyServiceFailed."""


class KeyProcess:
    """A KeyService: one process for each call."""

    def __init__(self, config: Config) -> None:
        self._request = Request(
            str(config.concentrator.state_dir), str(config.credential_file), config.eui, config.region.name
        )

    async def stage(self, tasks: Sequence[Task]) -> list[Outcome]:
        answer = await self._ask(tasks)
        if [outcome.row.dev_eui for outcome in answer.outcomes] != [task.entry.dev_eui for task in tasks]:
            raise KeyServiceFailed("the process that unwraps keys gave an answer to another question")
        return answer.outcomes

    async def public_key(self) -> bytes:
        return (await self._ask(())).public_key

    async def _ask(self, tasks: Sequence[Task]) -> Answer:
        question = _encoder.encode(msgspec.structs.replace(self._request, tasks=list(tasks)))
        return await asyncio.to_thread(_run, question)


_encoder = msgspec.msgpack.Encoder()


def decode_request(body: bytes) -> Request:
    return msgspec.msgpack.decode(body, type=Request)


def encode_answer(answer: Answer) -> bytes:
    return _encoder.encode(answer)


def _run(question: bytes) -> Answer:
    command = [sys.executable, "-m", "concentrator_agent.unwrap"]
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeyServiceFailed(f"the process that unwraps keys did not run ({type(error).__name__})") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise KeyServiceFailed(said[-1] if said else f"the process that unwraps keys ended with {done.returncode}")
    try:
        return msgspec.msgpack.decode(done.stdout, type=Answer)
    except msgspec.DecodeError:
        raise KeyServiceFailed("the process that unwraps keys gave no answer that can be read") from None
