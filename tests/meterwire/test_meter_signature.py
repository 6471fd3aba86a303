"""Signatures of meters against RFC 6979 on secp192r1, and against openssl on both curves."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import meterwire.meter_signature as module
from meterwire.curves import Curve
from meterwire.errors import AuthenticationError, FormatError
from meterwire.meter_signature import MeterCurve, MeterPublicKey
from tests.meterwire.vectors import load

VECTOR = load("meter_signatures")
KEY = MeterPublicKey(MeterCurve.SECP192R1, bytes.fromhex(VECTOR["public"]))
PASSED = [one["message"].encode() + bytes.fromhex(one["r"]) + bytes.fromhex(one["s"]) for one in VECTOR["signatures"]]


@pytest.mark.parametrize("passed", PASSED)
def test_the_published_signatures_fit(passed: bytes) -> None:
    assert KEY.verify(passed) == passed[:-48]


@given(st.integers(0, len(PASSED[0]) * 8 - 1))
def test_every_changed_bit_shows(bit: int) -> None:
    changed = bytearray(PASSED[0])
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthenticationError):
        KEY.verify(bytes(changed))


@given(st.binary(max_size=120))
def test_any_bytes_raise_nothing_else(passed: bytes) -> None:
    with pytest.raises((AuthenticationError, FormatError)):
        KEY.verify(passed)


@pytest.mark.parametrize(
    ("curve", "octets"),
    [
        (MeterCurve.SECP192R1, b""),
        (MeterCurve.SECP192R1, bytes(48)),
        (MeterCurve.SECP192R1, bytes.fromhex(VECTOR["public"])[:-1] + b"\0"),
        (MeterCurve.BRAINPOOL, bytes.fromhex(VECTOR["public"])),
        (MeterCurve.BRAINPOOL, bytes(64)),
    ],
)
def test_what_is_no_point_is_refused(curve: MeterCurve, octets: bytes) -> None:
    with pytest.raises(FormatError):
        MeterPublicKey(curve, octets)


@pytest.mark.parametrize(("curve", "size"), [(MeterCurve.SECP192R1, 24), (MeterCurve.BRAINPOOL, 32)])
def test_what_openssl_signed_fits(curve: MeterCurve, size: int, tmp_path: Path) -> None:
    names = {MeterCurve.SECP192R1: "prime192v1"}

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=True).stdout

    (tmp_path / "content").write_bytes(b"what the meter says")
    openssl("ecparam", "-name", names.get(curve, curve.value), "-genkey", "-noout", "-out", "key.pem")
    point = openssl("ec", "-in", "key.pem", "-pubout", "-outform", "DER")[-2 * size :]
    openssl("dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "content")
    shown = openssl("asn1parse", "-inform", "DER", "-in", "signature").decode()
    r, s = (bytes.fromhex(one.rjust(2 * size, "0")) for one in re.findall(r"INTEGER\s*:([0-9A-F]+)", shown))
    key = MeterPublicKey(curve, point)
    assert key.verify(b"what the meter says" + r + s) == b"what the meter says"


def test_nothing_of_ours_signs_on_secp192r1() -> None:
    assert "secp192r1" not in set(Curve)
    assert not hasattr(module.MeterPublicKey, "sign")
