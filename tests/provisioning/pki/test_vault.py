"""The authority's key stays with the vault: what it signs, for whom, and what happens while it is away."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from django.conf import settings as django_settings
from django.utils import timezone

from meterwire.curves import Curve
from meterwire.errors import MeterspanError
from provisioning.errors import Conflict
from provisioning.fleet.models import Concentrator
from provisioning.keys import holdings
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.providers.file import FileKek
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_server import VaultServer
from provisioning.pki import signing
from provisioning.pki.errors import NoAuthority, RequestRefused
from provisioning.pki.models import Authority, Certificate, Enrolment
from provisioning.pki.services import issue, issue_password, revoke
from provisioning.pki.services.issue import ISSUE, Issued, IssueFor
from tests.cast import STAGE, Cast
from tests.portal.est.client import basic, certificates, enrol
from tests.provisioning.pki.authority import asked, authority, enrolled
from tests.support.openssl import Device, openssl


@pytest.fixture
def vault() -> Vault:
    return Vault.from_settings()


def test_the_stored_key_is_sealed_for_its_authority(db: None, vault: Vault) -> None:
    row = authority()
    key = signing.signer(vault, row).key.private_numbers().private_value.to_bytes(32)
    assert key not in bytes(row.sealed)

    row.name = "Another"

    with pytest.raises(KeyDamaged):
        signing.signer(vault, row)


def test_it_signs_for_nobody_who_was_not_approved(cast: Cast, vault: Vault, tmp_path: Path) -> None:
    authority()
    concentrator = cast.concentrator()
    enrolment = asked(concentrator, Device(tmp_path, concentrator.eui).request())
    for state in (Enrolment.State.WAITING, Enrolment.State.REFUSED):
        Enrolment.objects.filter(pk=enrolment.pk).update(state=state)
        with pytest.raises(Conflict, match="approved"):
            issue(vault, enrolment.pk, timezone.now())


def test_it_checks_the_stored_request_once_more(cast: Cast, vault: Vault, tmp_path: Path) -> None:
    """Whoever can write to the database cannot have another name signed, nor another key than the one proved."""
    authority()
    concentrator = cast.concentrator()
    device = Device(tmp_path, concentrator.eui)
    enrolment = asked(concentrator, device.request())

    Enrolment.objects.filter(pk=enrolment.pk).update(request=device.request(subject="/CN=portal"))
    with pytest.raises(RequestRefused):
        issue(vault, enrolment.pk, timezone.now())
    Enrolment.objects.filter(pk=enrolment.pk).update(request=device.request())
    with pytest.raises(Conflict, match="belong together"):
        issue(vault, enrolment.pk, timezone.now())


@pytest.mark.parametrize("column", ["archived_at", "revoked_at"])
def test_a_concentrator_that_has_gone_meanwhile_gets_none(
    column: str, cast: Cast, vault: Vault, tmp_path: Path
) -> None:
    authority()
    concentrator = cast.concentrator()
    enrolment = asked(concentrator, Device(tmp_path, concentrator.eui).request())
    Concentrator.objects.filter(pk=concentrator.pk).update(**{column: timezone.now()})

    with pytest.raises(Conflict):
        issue(vault, enrolment.pk, timezone.now())


def test_one_enrolment_gives_one_certificate(cast: Cast, vault: Vault, tmp_path: Path) -> None:
    authority()
    concentrator = cast.concentrator()
    enrolment = asked(concentrator, Device(tmp_path, concentrator.eui).request())

    assert issue(vault, enrolment.pk, timezone.now()) == issue(vault, enrolment.pk, timezone.now())


def test_without_authority_the_cure_is_named(cast: Cast, vault: Vault, tmp_path: Path) -> None:
    concentrator = cast.concentrator()
    enrolment = asked(concentrator, Device(tmp_path, concentrator.eui).request())

    with pytest.raises(NoAuthority, match="pki_init"):
        issue(vault, enrolment.pk, timezone.now())


def test_a_certificate_does_not_outlive_its_authority(cast: Cast, vault: Vault, tmp_path: Path, settings: Any) -> None:
    settings.PKI = {**settings.PKI, "days": 10_000.0}
    row = authority(Curve.BRAINPOOL)

    certificate = enrolled(cast.concentrator(), tmp_path)

    assert certificate.not_after == signing.signer(vault, row).certificate.not_valid_after_utc


class TestProcess:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[VaultServer]:
        server = VaultServer(tmp_path / "vault.sock", Vault.from_settings(), {os.geteuid()})
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
        server.server_close()

    @pytest.fixture
    def issuing(self, transactional_cast: Cast) -> Authority:
        return authority()

    @pytest.fixture
    def web(self, issuing: Authority, settings: Any, server: VaultServer, tmp_path: Path) -> Any:
        """A process without key-encryption key, beside a vault."""
        private = X25519PrivateKey.from_private_bytes(FileKek(Path(settings.KEK_FILE)).intake_private())
        public = tmp_path / "kek.pub"
        public.write_text(private.public_key().public_bytes_raw().hex())
        settings.KEK_PUBLIC_FILE, settings.KEK_FILE = str(public), ""
        settings.VAULT_SOCKET = str(server.server_address)
        return settings

    def test_a_web_worker_issues_and_revokes_through_it(
        self, transactional_cast: Cast, web: Any, issuing: Authority, tmp_path: Path
    ) -> None:
        certificate = enrolled(transactional_cast.concentrator(), tmp_path / "device")

        revoke(transactional_cast.operator, certificate, "stolen")

        assert issuing.lists.first().entries == 1  # type: ignore[union-attr]

    def test_while_it_is_away_the_device_comes_again(
        self, transactional_cast: Cast, web: Any, server: VaultServer, tmp_path: Path
    ) -> None:
        there, web.VAULT_SOCKET = web.VAULT_SOCKET, str(tmp_path / "nobody")
        concentrator = transactional_cast.concentrator()
        request = Device(tmp_path / "device", concentrator.eui).request()
        who = basic(concentrator.eui, issue_password(STAGE, concentrator).password)

        away = enrol(request, headers=who)
        web.VAULT_SOCKET = there

        assert (away.status_code, away["Retry-After"]) == (503, "30")
        assert len(certificates(enrol(request, headers=who))) == 1

    def test_a_revocation_holds_even_when_the_vault_is_away(
        self, transactional_cast: Cast, web: Any, tmp_path: Path
    ) -> None:
        certificate = enrolled(transactional_cast.concentrator(), tmp_path / "device")
        web.VAULT_SOCKET = str(tmp_path / "nobody")

        revoke(transactional_cast.operator, certificate, "stolen")

        assert Certificate.objects.get(pk=certificate.pk).revoked_at is not None

    def test_there_is_no_operation_that_signs_bytes(self, web: Any) -> None:
        with pytest.raises(MeterspanError):
            ask(ISSUE, IssueFor(1 << 40), Issued)


def test_certificates_name_the_address_of_the_list_when_there_is_one(cast: Cast, tmp_path: Path, settings: Any) -> None:
    row = authority()
    settings.PKI = {**settings.PKI, "crl_url": "http://portal.example/pki/"}

    certificate = enrolled(cast.concentrator(), tmp_path)

    text = openssl("x509", "-inform", "DER", "-noout", "-text", given=bytes(certificate.der)).decode()
    assert f"URI:http://portal.example/pki/{row.pk}.crl" in text


def test_serial_numbers_are_long_and_never_the_same(cast: Cast, tmp_path: Path) -> None:
    authority()
    serials = {int(enrolled(cast.concentrator(), tmp_path / str(n)).serial, 16) for n in range(4)}

    assert len(serials) == 4
    assert all(2**120 < serial < 2**159 for serial in serials)


def test_the_key_follows_a_new_key_encryption_key(db: None, tmp_path: Path) -> None:
    """The holding that is registered opens under the old key and is sealed anew under the next one."""
    row = authority()
    old = Vault.from_settings()
    public = signing.signer(old, row).key.public_key()
    next_file = tmp_path / "kek"
    next_file.touch(mode=0o600)
    next_file.write_bytes(os.urandom(32))
    both = Vault(FileKek(next_file), FileKek(Path(django_settings.KEK_FILE)))
    holding = next(one for one in holdings.holdings() if one.name == signing.HOLDING.name)

    (found,) = holding.rows()
    secret = both.open_secret(bytes(getattr(found, holding.column)), holding.place(found), holding.organisation(found))
    found.sealed = both.seal_secret(secret, holding.place(found), holding.organisation(found))

    assert signing.signer(Vault(FileKek(next_file)), found).key.public_key() == public
    with pytest.raises(MeterspanError):
        signing.signer(old, found)
