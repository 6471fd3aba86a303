"""An authority whose key is in a PKCS#11 token: SoftHSM2 signs, openssl judges, and a pulled token loses nothing."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone
from pkcs11 import Attribute, KeyType, ObjectClass

from meterwire.curves import Curve
from provisioning.keys.vault import Vault
from provisioning.pki import hardware, queries
from provisioning.pki.errors import NoAuthority
from provisioning.pki.models import Certificate
from provisioning.pki.services import create_authority, issue_password, revoke
from provisioning.pki.services.lists import refresh
from tests.cast import STAGE, Cast
from tests.portal.est.client import basic, certificates, enrol
from tests.provisioning.pki.authority import INSTALLER, enrolled
from tests.support.openssl import Device, openssl
from tests.support.softhsm import SoftToken, soft_token


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> SoftToken:
    made = soft_token(tmp_path / "hsm", f"token of {tmp_path.name}"[:32])
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    settings.PKCS11 = made.settings
    return made


@pytest.mark.parametrize("curve", [Curve.P256, Curve.BRAINPOOL])
def test_the_token_signs_what_openssl_accepts(curve: Curve, cast: Cast, token: SoftToken, tmp_path: Path) -> None:
    vault = Vault.from_settings()
    row = create_authority(INSTALLER, vault, name="HSM", curve=curve, now=timezone.now(), in_token=True)
    certificate = enrolled(cast.concentrator(), tmp_path / "device")
    revoke(STAGE, enrolled(cast.concentrator(), tmp_path / "other"), "lost")
    refresh(vault, timezone.now())

    assert (bytes(row.sealed), row.token_label) == (b"", "mspan pki HSM G1")
    authorities, lists = queries.broker_trust()
    (tmp_path / "ca.pem").write_text(authorities)
    (tmp_path / "crl.pem").write_text(lists)
    loaded = x509.load_der_x509_certificate(bytes(certificate.der))
    (tmp_path / "one.pem").write_bytes(loaded.public_bytes(Encoding.PEM))
    openssl(
        "verify", "-crl_check", "-CAfile", tmp_path / "ca.pem", "-CRLfile", tmp_path / "crl.pem", tmp_path / "one.pem"
    )


def test_the_key_cannot_leave_the_token(db: None, token: SoftToken) -> None:
    hardware.generate("mine", Curve.P256)

    def attributes(session: Any) -> tuple[bool, bool]:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, key_type=KeyType.EC, label="mine")
        return key[Attribute.EXTRACTABLE], key[Attribute.SENSITIVE]

    assert hardware.token().run(attributes) == (False, True)


def test_a_label_is_taken_once(db: None, token: SoftToken) -> None:
    hardware.generate("mine", Curve.P256)

    with pytest.raises(NoAuthority, match="already"):
        hardware.generate("mine", Curve.P256)


def test_while_the_token_is_away_the_device_comes_again(cast: Cast, token: SoftToken, tmp_path: Path) -> None:
    create_authority(INSTALLER, Vault.from_settings(), name="HSM", curve=Curve.P256, now=timezone.now(), in_token=True)
    concentrator = cast.concentrator()
    request = Device(tmp_path / "device", concentrator.eui).request()
    who = basic(concentrator.eui, issue_password(STAGE, concentrator).password)

    token.pull_out()
    away = enrol(request, headers=who)
    token.plug_in()

    assert (away.status_code, away["Retry-After"]) == (503, "30")
    assert len(certificates(enrol(request, headers=who))) == 1
    assert Certificate.objects.count() == 1


def test_without_settings_the_cure_is_named(db: None) -> None:
    with pytest.raises(NoAuthority, match="MSPAN_PKCS11_MODULE"):
        hardware.generate("mine", Curve.P256)
