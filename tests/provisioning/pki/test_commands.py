"""The commands around certificates: authority, servers' certificates, lists, and what stands in their way."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from provisioning.audit.models import Entry
from provisioning.pki.models import Authority, Certificate, RevocationList
from tests.cast import Cast
from tests.support.openssl import openssl

Run = Callable[..., str]


@pytest.fixture
def run(db: None) -> Run:
    def command(name: str, *arguments: object, **options: Any) -> str:
        told = StringIO()
        call_command(name, *arguments, stdout=told, **options)
        return told.getvalue()

    return command


def test_the_authority_is_made_once_and_its_fingerprint_told_each_time(run: Run, tmp_path: Path) -> None:
    first = run("pki_init", "--out", tmp_path)
    second = run("pki_init", "--out", tmp_path)

    printed = openssl("x509", "-in", tmp_path / "ca.pem", "-noout", "-fingerprint", "-sha256").decode()
    fingerprint = printed.strip().split("=")[1].replace(":", "").lower()
    assert first.startswith("made Meterspan issuing CA G1")
    assert fingerprint in first
    assert fingerprint in second
    assert Authority.objects.count() == 1


def test_a_successor_takes_over(run: Run, tmp_path: Path) -> None:
    run("pki_init")

    assert run("pki_init", "--replace", "--curve", "brainpoolP256r1", "--out", tmp_path).startswith("made")
    assert [row.active for row in Authority.objects.all()] == [True, False]
    assert (tmp_path / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("curve", ["p-256", "brainpoolP256r1"])
def test_a_server_gets_a_certificate_for_its_names(run: Run, tmp_path: Path, curve: str) -> None:
    names = ["--server-name", "portal.example", "--server-name", "192.0.2.7"]
    run("pki_init", "--curve", curve, *names, "--out", tmp_path)

    verified = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca.pem"]
    openssl(*verified, "-verify_hostname", "portal.example", tmp_path / "server.pem")
    openssl(*verified, "-verify_ip", "192.0.2.7", tmp_path / "server.pem")
    with pytest.raises(AssertionError):
        openssl(*verified, "-verify_hostname", "other.example", tmp_path / "server.pem")
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600
    public = openssl("pkey", "-in", tmp_path / "server.key", "-pubout")
    assert public == openssl("x509", "-in", tmp_path / "server.pem", "-noout", "-pubkey")


def test_the_next_server_certificate_replaces_the_files(run: Run, tmp_path: Path) -> None:
    run("pki_init", "--server-name", "localhost", "--out", tmp_path)
    before = (tmp_path / "server.pem").read_bytes()

    run("pki_init", "--server-name", "localhost", "--out", tmp_path)

    assert (tmp_path / "server.pem").read_bytes() != before
    assert Certificate.objects.filter(concentrator=None).count() == 2


def test_every_organisation_reads_of_a_new_authority_in_its_audit(cast: Cast, run: Run) -> None:
    run("pki_init")

    organisations = Entry.objects.filter(action="authority.created").values_list("organisation_id", flat=True)
    assert set(organisations) == {cast.organisation.pk, cast.away.organisation.pk}


def test_lists_are_signed_by_hand_and_told(run: Run, tmp_path: Path) -> None:
    run("pki_init")

    (told,) = json.loads(run("pki_crl", "--json", "--out", tmp_path))

    assert (told["number"], told["entries"]) == (2, 0)
    assert "crlNumber" in openssl("crl", "-in", tmp_path / "crl.pem", "-noout", "-crlnumber").decode()
    assert "list 3, 0 revoked" in run("pki_crl")


@pytest.mark.parametrize(
    ("command", "wants"),
    [
        (("pki_init", "--server-name", "localhost"), "--out"),
        (("pki_crl",), "pki_init"),
    ],
)
def test_what_is_missing_is_named(run: Run, command: tuple[str, ...], wants: str) -> None:
    with pytest.raises(CommandError, match=wants):
        run(*command)


def test_without_the_vaults_key_no_authority_is_made(run: Run, settings: Any) -> None:
    settings.KEK_FILE = ""

    with pytest.raises(CommandError, match="key-encryption key"):
        run("pki_init")
    assert not RevocationList.objects.exists()
