"""A client's key in memory only: it is shown in a real handshake and leaves no file behind."""

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.tls import NO_CHECK_TIME, client_context, show_identity
from tests.support.certificates import Authority


def identity(authority: Authority, name: str = "0011223344556677") -> tuple[list[bytes], bytes]:
    certificate, key = authority.pair(name)
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return [certificate.public_bytes(Encoding.DER)], pkcs8


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> bytes | None:
    """What the server saw as the client's certificate, both ends in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for end in (one, other):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return other.getpeercert(binary_form=True)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.write_server(tmp_path))
    return context


@contextmanager
def no_new_files(folder: Path) -> Iterator[None]:
    before, open_before = sorted(folder.rglob("*")), len(os.listdir("/proc/self/fd"))
    yield
    assert sorted(folder.rglob("*")) == before
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_the_key_in_memory_proves_itself_in_a_handshake(
    authority: Authority, server: ssl.SSLContext, tmp_path: Path
) -> None:
    chain, key = identity(authority)
    with no_new_files(tmp_path):
        client = client_context(authorities=[authority.der])
        show_identity(client, chain, key)
    assert handshake(client, server) == chain[0]


def test_a_key_that_does_not_belong_to_the_certificate_is_refused(authority: Authority) -> None:
    chain, _ = identity(authority)
    _, other = identity(authority)
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        show_identity(client_context(authorities=[authority.der]), chain, other)


def test_a_server_of_another_authority_is_refused(server: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(authorities=[Authority("Another").der]), server)


def test_only_without_known_dates_are_they_left_unchecked(authority: Authority) -> None:
    known = client_context(authorities=[authority.der])
    unknown = client_context(authorities=[authority.der], check_dates=False)
    assert known.verify_flags & NO_CHECK_TIME == 0
    assert unknown.verify_flags & NO_CHECK_TIME
    assert (unknown.verify_mode, unknown.check_hostname) == (ssl.CERT_REQUIRED, True)


BRAINPOOL = """
import ssl, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from edge.tls import client_context, show_identity
from tests.edge.test_tls import handshake
from tests.support.certificates import Authority
authority, key = Authority(), ec.generate_private_key(ec.BrainpoolP256R1())
certificate = authority.issue("0011223344556677", key.public_key()).public_bytes(Encoding.DER)
server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
server.verify_mode = ssl.CERT_REQUIRED
server.load_cert_chain(*authority.write_server(Path(sys.argv[1])))
client = client_context(authorities=[authority.der])
show_identity(client, [certificate], key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
print(handshake(client, server) == certificate)
"""
GROUPS = """openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = default
[default]
Groups = X25519:P-256:brainpoolP256r1
"""


@pytest.mark.parametrize("told, outcome", [(True, "True\n"), (False, "")])
def test_a_key_on_brainpool_is_taken_where_openssl_is_told_of_the_curve(
    tmp_path: Path, told: bool, outcome: str
) -> None:
    (tmp_path / "openssl.cnf").write_text(GROUPS if told else "")
    done = subprocess.run(
        [sys.executable, "-c", BRAINPOOL, str(tmp_path)],
        env={**os.environ, "OPENSSL_CONF": str(tmp_path / "openssl.cnf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == outcome, done.stderr
    assert told or "WRONG_CURVE" in done.stderr


def test_tls_is_at_least_1_2() -> None:
    assert client_context().minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(("apart_s", "judged"), [(0.0, True), (-86_400.0, False), (86_400.0, False)])
def test_where_the_machines_clock_is_not_the_one_that_is_right_dates_are_not_judged_by_it(
    apart_s: float, judged: bool
) -> None:
    context = client_context(now=time.time() + apart_s)
    assert (NO_CHECK_TIME not in context.verify_flags) is judged
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
