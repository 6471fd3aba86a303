"""The vault as a process of its own: performs named operations for processes of this machine that may not hold the KEK.

A Unix socket, one JSON line per question and answer. The kernel says who asks (SO_PEERCRED); nobody else is answered.
"""

import logging
import os
import socket
import socketserver
import struct
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import translation

from meterwire.errors import MeterspanError
from provisioning.keys import vault_operations
from provisioning.keys.vault import Vault

logger = logging.getLogger(__name__)

MAX_QUESTION: Final = 64 << 10
MAX_ANSWER: Final = 1 << 20
MAX_PEERS: Final = 32  # at the same time; the next one waits in the socket's queue
IDLE_S: Final = 10.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Perform this operation."""

    operation: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    language: str = ""  # of whoever reads a refusal


class Answer(msgspec.Struct, frozen=True):
    """What came out, or why nothing was done."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    code: str = ""
    field: str = ""

    def __repr__(self) -> str:
        return f"Answer({'...' if not self.error else self.error!r})"


_questions = msgspec.json.Decoder(Question)


class VaultServer(socketserver.ThreadingUnixStreamServer):
    """Listens at `path`, mode 0660, until `shutdown`. `allowed` are the user ids that are answered.

    `only` limits some of them to the operations named there.
    """

    daemon_threads = True
    request_queue_size = MAX_PEERS

    def __init__(
        self,
        path: Path,
        vault: Vault,
        allowed: Collection[int],
        peer: Callable[[socket.socket], int] | None = None,
        only: Mapping[int, Collection[str]] | None = None,
    ) -> None:
        """OSError (AddressInUse) when another vault answers there; a socket that nobody serves is replaced."""
        self.vault, self.allowed, self.peer = vault, frozenset(allowed), peer or peer_uid
        self.only = dict(only or {})
        self.seats = threading.BoundedSemaphore(MAX_PEERS)
        _clear(path)
        before = os.umask(0o117)
        try:
            super().__init__(str(path), _Handler)
        finally:
            os.umask(before)

    def answer(self, line: bytes, uid: int | None = None) -> Answer:
        """What a question of user `uid` is answered; never raises for what a peer can send."""
        try:
            question = _questions.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Answer(error="this is no question of the vault's protocol")
        if uid in self.only and question.operation not in self.only[uid]:
            logger.warning("user %d asked the vault for %.40r and was refused", uid, question.operation)
            return Answer(error=f"user {uid} may not ask for this; see run_vault --allow-uid")
        try:
            with translation.override(_language(question.language)):
                result = vault_operations.perform(self.vault, question.operation, bytes(question.arguments))
        except MeterspanError as error:
            return Answer(error=str(error), code=error.code, field=getattr(error, "field", ""))
        except DatabaseError:
            logger.exception("the vault's database does not answer")
            return Answer(error="the vault's database does not answer; look at the vault's log")
        except Exception as error:
            # Only its kind and place: nobody knows what an unforeseen error has in its text.
            logger.error("the vault's operation %s failed: %s", question.operation, _place_of(error))
            return Answer(error="this failed unexpectedly; look at the vault's log")
        finally:
            connection.close()  # this thread's own
        if len(result) > MAX_ANSWER - 100:
            return Answer(error="the answer would be too long; ask for less at once")
        return Answer(msgspec.Raw(result))

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self.seats.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self.seats.release()
            raise

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.seats.release()


class _Handler(socketserver.StreamRequestHandler):
    server: VaultServer
    timeout = IDLE_S

    def handle(self) -> None:
        uid = self.server.peer(self.request)
        if uid not in self.server.allowed:
            logger.warning("a process of user %d asked the vault and was refused", uid)
            self._part(Answer(error=f"user {uid} may not ask this vault; see run_vault --allow-uid"))
            return
        try:
            while line := self.rfile.readline(MAX_QUESTION + 1):
                if len(line) > MAX_QUESTION:
                    self._part(Answer(error=f"a question is {MAX_QUESTION} bytes at most"))
                    return
                self._say(self.server.answer(line, uid))
        except (TimeoutError, ConnectionError):
            return

    def _part(self, answer: Answer) -> None:
        """Answer for the last time. A peer still talking when the socket closes would see an error, not the answer."""
        try:
            self._say(answer)
            self.request.shutdown(socket.SHUT_WR)
            for _ in range(MAX_ANSWER // MAX_QUESTION):
                if not self.rfile.read1(MAX_QUESTION):
                    return
        except (TimeoutError, ConnectionError):
            return

    def _say(self, answer: Answer) -> None:
        self.wfile.write(msgspec.json.encode(answer) + b"\n")


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _language(asked: str) -> str:
    return asked if asked in dict(settings.LANGUAGES) else str(settings.LANGUAGE_CODE)


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, {Path(last.filename).name}:{last.lineno}"


def _clear(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise OSError("another vault answers there")
