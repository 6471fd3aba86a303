"""curl and openssl as foreign EST client and judge, against the real listener."""

import base64
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from portal.asgi import application
from portal.ops import tls
from provisioning.audit import triggers
from provisioning.fleet.models import Concentrator
from provisioning.pki.files import write_trust
from provisioning.pki.models import Certificate
from provisioning.pki.services import issue_password, revoke
from tests.cast import STAGE, Cast
from tests.support.openssl import Device, openssl


@dataclass(frozen=True)
class Listener:
    """Where EST is served, and the folder of its files."""

    port: int
    folder: Path

    def curl(self, path: str, *arguments: object) -> tuple[int, bytes]:
        """(status, body); status 0 when TLS ended the conversation."""
        command = ["curl", "-sS", "--cacert", self.folder / "ca.pem", "-w", "\n%{http_code}", *arguments]
        outcome = subprocess.run(
            [*map(str, command), f"https://localhost:{self.port}{path}"], capture_output=True, check=False, timeout=30
        )
        body, _, status = outcome.stdout.rpartition(b"\n")
        return int(status or 0), body

    def enrol(self, operation: str, request: bytes, *arguments: object) -> tuple[int, bytes]:
        file = self.folder / "request.b64"
        file.write_bytes(base64.encodebytes(request))
        kind = "Content-Type: application/pkcs10"
        return self.curl(f"/.well-known/est/{operation}", "-H", kind, "--data-binary", f"@{file}", *arguments)


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    yield Cast.assemble()
    if connection.vendor == "sqlite":
        triggers.drop(connection)


@pytest.fixture
def listener(cast: Cast, tmp_path: Path) -> Iterator[Listener]:
    folder = tmp_path / "pki"
    call_command("pki_init", "--server-name", "localhost", "--out", folder, stdout=StringIO())
    context = tls.context(folder / "server.pem", folder / "server.key")
    tls.trust(context)
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        port = waiting.getsockname()[1]
        server = tls.server(application, "127.0.0.1", port, context)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [waiting]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Listener(port, folder)
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def concentrator(cast: Cast) -> Concentrator:
    return cast.concentrator()


def stored(device: Device, answer: bytes) -> Path:
    """The certificate of an answer, taken out by openssl."""
    der = openssl("base64", "-d", given=answer)
    device.certificate.write_bytes(openssl("pkcs7", "-inform", "DER", "-print_certs", given=der))
    return device.certificate


def test_a_foreign_client_enrols_renews_and_is_shut_out_when_revoked(
    listener: Listener, concentrator: Concentrator, tmp_path: Path
) -> None:
    folder = listener.folder
    status, authorities = listener.curl("/.well-known/est/cacerts")
    assert status == 200
    printed = openssl("pkcs7", "-inform", "DER", "-print_certs", given=openssl("base64", "-d", given=authorities))
    assert openssl("x509", given=printed) == openssl("x509", "-in", folder / "ca.pem")

    status, attributes = listener.curl("/.well-known/est/csrattrs")
    assert status == 200
    assert b"prime256v1" in openssl("asn1parse", "-inform", "DER", given=openssl("base64", "-d", given=attributes))

    first = Device(tmp_path / "first", concentrator.eui)
    password = issue_password(STAGE, concentrator).password
    status, answer = listener.enrol("simpleenroll", first.request(), "-u", f"{concentrator.eui}:{password}")
    assert status == 200
    stored(first, answer)
    text = openssl("x509", "-in", first.certificate, "-noout", "-text").decode()
    for line in (f"Subject: CN = {concentrator.eui}", f"DNS:{concentrator.eui}", "TLS Web Client Authentication"):
        assert line in text

    second = Device(tmp_path / "second", concentrator.eui)
    proof = ("--cert", first.certificate, "--key", first.key)
    assert listener.enrol("simplereenroll", first.again(), *proof)[0] == 400, "the old key"
    status, answer = listener.enrol("simplereenroll", second.request(), *proof)
    assert status == 200
    stored(second, answer)
    verified = ["verify", "-crl_check", "-CAfile", folder / "ca.pem", "-CRLfile", folder / "crl.pem"]
    openssl(*verified, first.certificate)
    openssl(*verified, second.certificate)

    revoke(STAGE, Certificate.objects.get(serial=serial(second)), "stolen")
    write_trust(folder)
    with pytest.raises(AssertionError, match="certificate revoked"):
        openssl(*verified, second.certificate)
    openssl(*verified, first.certificate)
    third = Device(tmp_path / "third", concentrator.eui)
    proof = ("--cert", second.certificate, "--key", second.key)
    assert listener.enrol("simplereenroll", third.request(), *proof)[0] == 403


def test_nobody_needs_a_certificate_to_read_the_list(listener: Listener) -> None:
    status, der = listener.curl(f"/pki/{Certificate.objects.get().authority_id}.crl")

    assert status == 200
    assert b"No Revoked Certificates" in openssl("crl", "-inform", "DER", "-noout", "-text", given=der)


def test_only_est_is_served(listener: Listener) -> None:
    assert listener.curl("/login/")[0] == 404


def test_a_certificate_that_somebody_made_himself_ends_in_the_handshake(
    listener: Listener, concentrator: Concentrator, tmp_path: Path
) -> None:
    device = Device(tmp_path / "forger", concentrator.eui)
    request = device.request()
    openssl("req", "-x509", "-new", "-key", device.key, "-subj", f"/CN={device.eui}", "-out", device.certificate)

    status, _ = listener.enrol("simplereenroll", request, "--cert", device.certificate, "--key", device.key)

    assert status == 0


def test_what_a_client_writes_into_a_header_proves_nothing(
    listener: Listener, concentrator: Concentrator, tmp_path: Path
) -> None:
    request = Device(tmp_path / "forger", concentrator.eui).request()

    status, _ = listener.enrol("simplereenroll", request, "-H", "X-SSL-Client-Cert: -----BEGIN")

    assert status == 401


def serial(device: Device) -> str:
    text = openssl("x509", "-in", device.certificate, "-noout", "-serial").decode()
    return text.strip().removeprefix("serial=").lower().lstrip("0")
