"""What is not our certificate is not taken for it."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from concentrator_agent.enrolment.chain import CertificateRefused, own_first
from concentrator_agent.enrolment.request import new
from meterwire.curves import Curve
from tests.concentrator_agent.enrolment.conftest import EUI
from tests.support.certificates import HOUR, Authority, named

HELD = new(EUI, Curve.P256)
ROOT = Authority("Root")


def own_key() -> ec.EllipticCurvePublicKey:
    key = load_der_private_key(HELD.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.public_key()


def intermediate() -> tuple[Authority, x509.Certificate]:
    """(authority, its certificate by the root)."""
    below = Authority("Below")
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(below.name).issuer_name(ROOT.name)
    builder = builder.public_key(below.key.public_key())
    builder = builder.serial_number(7).not_valid_before(now - HOUR).not_valid_after(now + HOUR)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return below, builder.sign(ROOT.key, hashes.SHA256())


def test_ours_comes_first_and_the_root_is_left_out() -> None:
    own = ROOT.issue(EUI, own_key())
    other, _ = ROOT.pair("other")
    assert own_first(HELD, EUI, [other, own], [ROOT.certificate]) == [own]


def test_intermediates_follow_up_to_the_root() -> None:
    below, certificate = intermediate()
    own = below.issue(EUI, own_key())
    assert own_first(HELD, EUI, [own, certificate], [ROOT.certificate]) == [own, certificate]
    assert own_first(HELD, EUI, [own], [certificate, ROOT.certificate]) == [own, certificate]


@pytest.mark.parametrize(
    "came, words",
    [
        ([], "other keys"),
        ([ROOT.pair(EUI)[0]], "other keys"),
        ([ROOT.issue("ffffffffffffffff", own_key())], "not for 0011223344556677"),
        ([ROOT.issue(EUI, own_key(), server=True)], "does not authenticate a client"),
        ([Authority("Root").issue(EUI, own_key())], "not issued by the portal's authority"),
        ([Authority("Stranger").issue(EUI, own_key())], "not issued by the portal's authority"),
    ],
)
def test_everything_else_is_refused(came: list[x509.Certificate], words: str) -> None:
    with pytest.raises(CertificateRefused, match=words):
        own_first(HELD, EUI, came, [ROOT.certificate])


def with_octets(certificate: x509.Certificate, old: str, new_: str) -> x509.Certificate:
    changed = certificate.public_bytes(Encoding.DER).replace(bytes.fromhex(old), bytes.fromhex(new_))
    return x509.load_der_x509_certificate(changed)


@pytest.mark.parametrize(
    "old, new_",
    [
        ("2a8648ce3d030107", "2a8648ce3d03017f"),  # a key on a curve that nobody knows
        ("06082b06010505070302", "05082b06010505070302"),  # a purpose that is no identifier
    ],
)
def test_what_cannot_be_read_is_refused_as_well(old: str, new_: str) -> None:
    came = [with_octets(ROOT.issue(EUI, own_key()), old, new_)]
    with pytest.raises(CertificateRefused, match="cannot be read"):
        own_first(HELD, EUI, came, [ROOT.certificate])


def test_a_root_that_comes_along_uninvited_vouches_for_nothing() -> None:
    stranger = Authority("Stranger")
    with pytest.raises(CertificateRefused, match="not issued"):
        own_first(HELD, EUI, [stranger.issue(EUI, own_key()), stranger.certificate], [ROOT.certificate])


def test_a_certificate_that_is_no_authoritys_issues_none() -> None:
    leaf, key = ROOT.pair("a device")
    liar = Authority("a device")
    liar.key, liar.name = key, named("a device")
    with pytest.raises(CertificateRefused, match="not issued"):
        own_first(HELD, EUI, [liar.issue(EUI, own_key()), leaf], [ROOT.certificate])
