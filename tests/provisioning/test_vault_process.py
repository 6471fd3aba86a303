"""The vault as a process of its own: answers its own user, refuses others, survives nonsense, says when it is away."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from django.conf import settings as django_settings

from meterwire.seal import Key16
from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter
from provisioning.keys import kek, vault_operations
from provisioning.keys.checks import vault_process
from provisioning.keys.intake import Intake
from provisioning.keys.kek import FileKek
from provisioning.keys.management.commands import run_vault
from provisioning.keys.providers.public import intake_public
from provisioning.keys.services import NewKey, import_keys
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import VaultAway, VaultRefused, answers, ask
from provisioning.keys.vault_operations import PING, Nothing
from provisioning.keys.vault_server import MAX_QUESTION, VaultServer
from provisioning.keys.waiting import waiting_sealer
from provisioning.labels.models import OwnerToken
from provisioning.labels.services import open_label, print_labels
from provisioning.labels.vault_operation import MAX_AT_ONCE, OPEN_TOKENS, OpenToken, TokensOf, open_tokens
from tests.cast import STAGE, Cast
from tests.support.softhsm import soft_token


class Echo(msgspec.Struct):
    """Arguments of an operation that waits for all who ask at the same time."""

    text: str


@pytest.fixture
def server(tmp_path: Path) -> Iterator[VaultServer]:
    server = VaultServer(tmp_path / "vault.sock", Vault.from_settings(), {os.geteuid()})
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def web(settings: Any, server: VaultServer, tmp_path: Path) -> Any:
    """A process that holds no key-encryption key, only its public half."""
    private = X25519PrivateKey.from_private_bytes(FileKek(Path(settings.KEK_FILE)).intake_private())
    public = tmp_path / "kek.pub"
    public.write_text(private.public_key().public_bytes_raw().hex())
    settings.KEK_PUBLIC_FILE = str(public)
    settings.KEK_FILE = ""
    settings.VAULT_SOCKET = str(server.server_address)
    return settings


def said(path: str, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(line)
        return connection.makefile("rb").readline()


def test_a_web_worker_prints_what_the_vault_opens(transactional_cast: Cast, web: Any) -> None:
    cast, adapter = transactional_cast, transactional_cast.adapter()
    first = open_label(cast.operator, adapter)

    assert open_label(cast.operator, adapter) == first, "the second time the token comes out of the vault"


def test_the_vault_opens_tokens_of_the_named_organisation_and_adapters_only(cast: Cast) -> None:
    adapter, other = cast.adapter(), cast.adapter()
    foreign = cast.adapter(cast.site(company=cast.away))
    for one in (adapter, other, foreign):
        open_label(STAGE, one)
    asked = TokensOf(cast.organisation.pk, (adapter.pk, foreign.pk))

    assert [row.adapter for row in open_tokens(Vault.from_settings(), asked)] == [adapter.pk]


def test_a_copy_moved_to_another_adapter_does_not_open(cast: Cast) -> None:
    adapter, other = cast.adapter(), cast.adapter()
    print_labels(STAGE, cast.organisation, [adapter, other])
    OwnerToken.objects.filter(adapter=adapter).update(sealed=OwnerToken.objects.get(adapter=other).sealed)

    assert [row.token for row in _open(cast.organisation, adapter)] == [None]


def test_no_other_sealed_secret_can_be_handed_in_as_a_token(cast: Cast) -> None:
    """A supplier's root key is sealed for the same vault; in a token's row it does not open."""
    adapter = cast.adapter()
    open_label(STAGE, adapter)
    key = waiting_sealer().seal(bytes(16), b"mspan waiting key v1|a root key's place")
    OwnerToken.objects.filter(adapter=adapter).update(sealed=key)

    assert [row.token for row in _open(cast.organisation, adapter)] == [None]


def test_a_process_that_holds_the_key_asks_nobody(settings: Any) -> None:
    settings.VAULT_SOCKET = ""
    assert ask(PING, Nothing(), str) == "here"


def test_another_user_is_refused(web: Any, server: VaultServer) -> None:
    server.peer = lambda _: 12345

    with pytest.raises(VaultRefused, match="user 12345 may not ask"):
        ask(PING, Nothing(), str)
    server.allowed = frozenset({12345})
    assert ask(PING, Nothing(), str) == "here"


def test_who_speaks_late_still_hears_that_it_is_refused(web: Any, server: VaultServer) -> None:
    server.peer = lambda _: 12345
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(web.VAULT_SOCKET)
        answer = connection.makefile("rb").readline()  # the vault has said all it will ever say
        connection.sendall(b'{"operation": "ping"}\n')

    assert b"may not ask" in answer


@pytest.mark.parametrize(
    "line, words",
    [
        (b"\n", b"no question"),
        (b"{}\n", b"no question"),
        (b"\xff\xfe\n", b"no question"),
        (b'{"operation": 3}\n', b"no question"),
        (b"[" * 50_000 + b"\n", b"no question"),
        (b'{"operation": "open everything"}\n', b"no such operation"),
        (b'{"operation": "open_owner_tokens", "arguments": {"organisation": -1, "adapters": []}}\n', b"no arguments"),
        (b'{"operation": "open_owner_tokens", "arguments": [[[]]]}\n', b"no arguments"),
        (b"x" * (MAX_QUESTION + 2) + b"\n", b"bytes at most"),
    ],
)
def test_nonsense_is_answered_and_ends_nothing(web: Any, line: bytes, words: bytes) -> None:
    assert words in said(web.VAULT_SOCKET, line)
    assert ask(PING, Nothing(), str) == "here"


def test_too_many_adapters_at_once_are_no_question() -> None:
    asked = msgspec.json.encode({"organisation": 1, "adapters": [1] * (MAX_AT_ONCE + 1)})
    with pytest.raises(Exception, match="no arguments"):
        vault_operations.perform(Vault.from_settings(), OPEN_TOKENS, asked)


def test_many_are_served_at_the_same_time(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(8, timeout=60)

    def run(_vault: Vault, asked: Echo) -> str:
        together.wait()
        return asked.text

    monkeypatch.setitem(vault_operations._OPERATIONS, "echo", vault_operations.Operation(Echo, run))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: ask("echo", Echo(str(n)), str), range(8)))

    assert found == [str(n) for n in range(8)]


def test_a_vault_that_is_away_is_named_with_its_cure(web: Any) -> None:
    assert vault_process() == []
    web.VAULT_SOCKET += ".gone"
    with pytest.raises(VaultAway, match="run_vault"):
        ask(PING, Nothing(), str)
    assert [found.id for found in vault_process()] == ["keys.W003"]
    web.VAULT_SOCKET = ""
    with pytest.raises(VaultAway, match="MSPAN_VAULT_SOCKET"):
        ask(PING, Nothing(), str)
    assert [found.id for found in vault_process()] == ["keys.W002"]


def test_only_owner_and_group_reach_the_socket(server: VaultServer) -> None:
    assert Path(str(server.server_address)).stat().st_mode & 0o777 == 0o660


def test_a_second_vault_does_not_push_the_first_one_away(web: Any, server: VaultServer) -> None:
    with pytest.raises(OSError, match="another vault"):
        VaultServer(Path(str(server.server_address)), server.vault, {os.geteuid()})
    assert answers()


@pytest.mark.parametrize("text, meant", [("33", (33, ())), ("33:ping,reveal_key", (33, ("ping", "reveal_key")))])
def test_a_user_is_let_in_by_number_for_all_or_for_single_operations(text: str, meant: tuple[Any, ...]) -> None:
    assert run_vault._allowed(text) == meant


@pytest.mark.parametrize("text", ["", "www-data", "-1", "3.3", ":ping"])
def test_a_user_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="number"):
        run_vault._allowed(text)


def test_the_vault_takes_in_what_web_workers_handed_in(transactional_cast: Cast) -> None:
    vault = Vault.from_settings()
    row = import_keys(STAGE, transactional_cast.adapter(), [NewKey("inner", Key16(bytes(range(16))))])[0]
    row.sealed, row.intake = Intake(intake_public(kek.current())).seal(row, Key16(bytes(range(16)))), True
    row.save()

    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            before = self.is_set()
            self.set()
            return before

    run_vault._take_in(vault, Once())
    row.refresh_from_db()
    assert not row.intake


def test_tokens_stay_out_of_reprs() -> None:
    assert "SECRET" not in repr(OpenToken(1, 2, "SECRET"))


def test_the_real_process_serves_is_restarted_after_a_kill_and_ends_clean(settings: Any, tmp_path: Path) -> None:
    own = tmp_path / "kek"
    kek.create(own)
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(tmp_path / "vault.sock")

    first = _process(own, settings.VAULT_SOCKET)
    assert answers()
    assert b"no question" in said(settings.VAULT_SOCKET, b"\x00\n")
    first.kill()
    first.wait(60)
    assert not answers()
    assert Path(settings.VAULT_SOCKET).exists(), "a killed process leaves its socket"

    second = _process(own, settings.VAULT_SOCKET)
    assert answers()
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    assert not Path(settings.VAULT_SOCKET).exists()


def test_the_real_process_serves_with_its_key_in_a_token(settings: Any, tmp_path: Path) -> None:
    token = soft_token(tmp_path / "hsm", "vault process")
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(tmp_path / "vault.sock")
    environment = {"MSPAN_SECRET_KEY": django_settings.SECRET_KEY, "MSPAN_KEK_FILE": "", **token.environment}
    make = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "kek_init"]
    subprocess.run(make, env={**os.environ, **environment}, check=True, capture_output=True)

    process = _process(tmp_path / "none", settings.VAULT_SOCKET, environment)
    assert answers()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def _process(own: Path, path: str, other: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "MSPAN_KEK_FILE": str(own), "MSPAN_VAULT_SOCKET": path, **(other or {})}
    environment |= {"MSPAN_SECRET_KEY": django_settings.SECRET_KEY, "MSPAN_DATA_DIR": str(own.parent)}
    command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "run_vault"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "listens" in process.stdout.readline()
    return process


def _open(organisation: Organisation, adapter: Adapter) -> list[OpenToken]:
    return open_tokens(Vault.from_settings(), TokensOf(organisation.pk, (adapter.pk,)))
