"""The test PKI in the shape of the SM-PKI, judged by openssl."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.support.openssl import openssl

ENDS = ("emt-tls", "emt-sign", "emt-enc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "test"
    call_command("pki_test", "--out", folder, "--name", "Lindenhof", stdout=StringIO())
    return folder


def text(path: Path) -> str:
    return openssl("x509", "-in", path, "-noout", "-text").decode()


@pytest.mark.parametrize("end", ENDS)
def test_every_chain_holds_with_the_lists_of_all_authorities(folder: Path, end: str, tmp_path: Path) -> None:
    lists = tmp_path / "lists.pem"
    lists.write_text((folder / "root.crl.pem").read_text() + (folder / "sub.crl.pem").read_text())

    openssl(
        "verify", "-x509_strict", "-crl_check_all", "-CAfile", folder / "root.pem", "-untrusted", folder / "sub.pem",
        "-CRLfile", lists, folder / f"{end}.pem",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["root", "sub", *ENDS])
def test_all_of_it_says_test_and_lies_on_the_brainpool_curve(folder: Path, name: str) -> None:
    printed = text(folder / f"{name}.pem")

    assert "CN = TEST " in printed
    assert "ASN1 OID: brainpoolP256r1" in printed
    assert (folder / f"{name}.key").stat().st_mode & 0o077 == 0


def test_the_participant_has_a_pair_for_each_duty(folder: Path) -> None:
    tls, sign, enc = (text(folder / f"{end}.pem") for end in ENDS)

    assert "TLS Web Client Authentication, TLS Web Server Authentication" in tls
    assert "Digital Signature" in sign
    assert "Extended Key Usage" not in sign
    assert "Key Agreement" in enc
    assert "Digital Signature" not in enc.split("Signature Algorithm")[1].split("X509v3 Subject Key")[0]
    assert len({(folder / f"{end}.key").read_bytes() for end in ENDS}) == 3


def test_end_entities_hold_for_two_years(folder: Path) -> None:
    openssl("x509", "-in", folder / "emt-tls.pem", "-noout", "-checkend", 2 * 365 * 86400 - 3600)
    with pytest.raises(AssertionError):
        openssl("x509", "-in", folder / "emt-tls.pem", "-noout", "-checkend", 2 * 365 * 86400 + 3600)


def test_the_sub_authority_makes_no_further_ones(folder: Path) -> None:
    assert "CA:TRUE, pathlen:0" in text(folder / "sub.pem")


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(CommandError, match="not empty"):
        call_command("pki_test", "--out", folder, stdout=StringIO())
