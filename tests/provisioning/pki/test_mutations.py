"""Whatever bytes come as a request or a certificate: a named refusal, never another error, and never another key."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provisioning.pki import build, claims, names, request
from provisioning.pki.errors import NotEntitled, NotRecognised, RequestRefused

EUI = "00800000a0000001"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
REQUEST = (
    x509.CertificateSigningRequestBuilder(names.subject(EUI))
    .add_extension(x509.SubjectAlternativeName(names.alternatives(EUI)), critical=False)
    .sign(KEY, SHA256())
    .public_bytes(Encoding.DER)
)
GOOD = request.checked(REQUEST, EUI)
ISSUER = build.authority(names.subject("somebody"), KEY, build.Term(1, NOW, NOW + timedelta(days=9)))
SHOWN = build.concentrator(
    build.Signer(ISSUER, KEY), EUI, KEY.public_key(), build.Term(2, NOW, NOW + timedelta(days=9))
).public_bytes(Encoding.DER)


def changed(original: bytes, at: int, value: int) -> bytes:
    return original[: at % len(original)] + bytes([value]) + original[at % len(original) + 1 :]


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x30\x80")
@example(bytes(9000))
def test_any_bytes_as_a_request(der: bytes) -> None:
    with pytest.raises(RequestRefused):
        request.checked(der, EUI)


@settings(max_examples=400)
@given(st.integers(0, len(REQUEST) - 1), st.integers(0, 255))
def test_a_request_with_one_byte_changed(at: int, value: int) -> None:
    der = changed(REQUEST, at, value)
    try:
        found = request.checked(der, EUI)
    except RequestRefused:
        return
    assert found.key == GOOD.key
    assert der == REQUEST


@settings(max_examples=100)
@given(st.integers(0, len(REQUEST) - 1))
def test_a_request_that_ends_too_early(length: int) -> None:
    with pytest.raises(RequestRefused):
        request.checked(REQUEST[:length], EUI)


@pytest.mark.django_db
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(SHOWN) - 1), st.integers(0, 255))
def test_a_certificate_with_one_byte_changed_is_nobodys(at: int, value: int) -> None:
    for recognise in (claims.by_certificate, claims.by_manufacturer):
        with pytest.raises((NotRecognised, NotEntitled)):
            recognise(changed(SHOWN, at, value), "", NOW)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=16))
def test_names_in_a_certificate_are_euis_or_nothing(text: str) -> None:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    term = build.Term(3, NOW, NOW + timedelta(days=9))
    made = build.blank(subject, subject, KEY.public_key(), term).sign(KEY, SHA256())

    assert all(len(eui) == 16 and int(eui, 16) >= 0 for eui in names.euis_in(made))
