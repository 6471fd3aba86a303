"""Revoking: void at once, named in a list that is signed right after, and never trusted again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from meterwire.curves import Curve
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet import services as fleet
from provisioning.fleet.models import Concentrator
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.vault import Vault
from provisioning.pki import checks, queries
from provisioning.pki.models import Authority, Certificate, OneTimePassword, Reason, RevocationList
from provisioning.pki.services import create_authority, issue_password, publish, refresh, revoke, stale
from provisioning.pki.services.authorities import retire_ended
from provisioning.pki.tasks import refresh_lists
from tests.cast import STAGE, Cast
from tests.provisioning.pki.authority import INSTALLER, authority, enrolled
from tests.support.openssl import openssl

Commit = Callable[..., Any]


@pytest.fixture
def issuing(db: None) -> Authority:
    return authority()


@pytest.fixture
def certificate(cast: Cast, issuing: Authority, tmp_path: Path) -> Certificate:
    return enrolled(cast.concentrator(), tmp_path / "device")


@pytest.fixture
def commits(django_capture_on_commit_callbacks: Commit) -> Commit:
    return lambda: django_capture_on_commit_callbacks(execute=True)


def listed(authority: Authority) -> dict[str, x509.RevokedCertificate]:
    latest = queries.latest_list(authority)
    assert latest is not None
    return {f"{entry.serial_number:x}": entry for entry in x509.load_der_x509_crl(bytes(latest.der))}


def test_a_revoked_certificate_is_in_the_list_with_the_commit(
    cast: Cast, issuing: Authority, certificate: Certificate, commits: Commit
) -> None:
    with commits():
        revoke(cast.operator, certificate, "the cellar was broken into", Reason.KEY_COMPROMISE)

    entry = listed(issuing)[certificate.serial]
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    assert queries.revoked_names() == {certificate.name}
    row = Entry.objects.get(action="certificate.revoked")
    assert row.data["reason"] == "the cellar was broken into"


def test_nobody_revokes_twice(cast: Cast, certificate: Certificate) -> None:
    revoke(cast.operator, certificate, "once")

    with pytest.raises(Conflict):
        revoke(cast.operator, certificate, "twice")


def test_a_reason_is_wanted(cast: Cast, certificate: Certificate) -> None:
    with pytest.raises(Invalid):
        revoke(cast.operator, certificate, " ")


@pytest.mark.parametrize("who", ["viewer", "installer", "auditor", "outsider"])
def test_who_may_not_revoke(cast: Cast, certificate: Certificate, who: str) -> None:
    with pytest.raises(Forbidden):
        revoke(getattr(cast, who), certificate, "no")


def test_keys_are_wrapped_for_the_newest_that_is_left(cast: Cast, certificate: Certificate, tmp_path: Path) -> None:
    concentrator = certificate.concentrator
    assert concentrator is not None
    newer = enrolled(concentrator, tmp_path / "newer")
    concentrator.refresh_from_db()
    revision = concentrator.desired_revision

    revoke(cast.operator, newer, "lost")

    concentrator.refresh_from_db()
    assert concentrator.certificate_key == certificate.key
    assert concentrator.whole_since == concentrator.desired_revision == revision + 1
    assert queries.revoked_names() == frozenset(), "it may still connect with the other one"
    assert [name for name, _ in queries.revoked_since(newer.issued_at)] == [concentrator.eui]


def test_with_its_last_certificate_the_key_goes(cast: Cast, certificate: Certificate) -> None:
    revoke(cast.operator, certificate, "lost")

    assert Concentrator.objects.get(pk=certificate.concentrator_id).certificate_key == ""


def test_archiving_a_concentrator_ends_its_certificates_and_passwords(
    cast: Cast, issuing: Authority, certificate: Certificate, commits: Commit
) -> None:
    concentrator = certificate.concentrator
    assert concentrator is not None
    issue_password(STAGE, concentrator)
    with commits():
        fleet.archive_concentrator(cast.operator, concentrator)

    certificate.refresh_from_db()
    assert certificate.revocation == Reason.CESSATION
    assert certificate.serial in listed(issuing)
    assert not OneTimePassword.objects.filter(withdrawn_at=None).exists()


def test_openssl_reads_list_and_certificate_alike(
    cast: Cast, issuing: Authority, certificate: Certificate, tmp_path: Path, commits: Commit
) -> None:
    with commits():
        revoke(cast.operator, certificate, "lost")
    authorities, lists = queries.broker_trust()
    for name, text in {"ca": authorities, "crl": lists}.items():
        (tmp_path / f"{name}.pem").write_text(text)
    shown = x509.load_der_x509_certificate(bytes(certificate.der)).public_bytes(Encoding.PEM)
    (tmp_path / "one.pem").write_bytes(shown)
    order = ["verify", "-CAfile", tmp_path / "ca.pem", "-CRLfile", tmp_path / "crl.pem"]

    openssl(*order, tmp_path / "one.pem")
    with pytest.raises(AssertionError, match="certificate revoked"):
        openssl(*order, "-crl_check", tmp_path / "one.pem")


class TestLists:
    def test_a_fresh_list_is_left_alone(self, issuing: Authority) -> None:
        assert refresh(Vault.from_settings(), timezone.now()) == 0
        assert RevocationList.objects.count() == 1

    @pytest.mark.parametrize(("age", "signed"), [(41, 0), (43, 1)])
    def test_after_a_quarter_of_its_life_it_is_signed_anew(self, issuing: Authority, age: int, signed: int) -> None:
        assert refresh(Vault.from_settings(), timezone.now() + timedelta(hours=age)) == signed

    def test_numbers_rise_and_old_lists_go(self, issuing: Authority) -> None:
        vault, now = Vault.from_settings(), timezone.now()
        for hour in range(5):
            publish(vault, issuing, now + timedelta(hours=hour))

        assert list(RevocationList.objects.values_list("number", flat=True)) == [6, 5, 4]

    def test_an_authority_whose_key_is_lost_keeps_no_other_list_back(self, issuing: Authority) -> None:
        vault, now = Vault.from_settings(), timezone.now()
        lost = create_authority(INSTALLER, vault, name="Issuing", curve=Curve.P256, now=now, replace=True)
        Authority.objects.filter(pk=lost.pk).update(sealed=issuing.sealed)
        assert queries.trusted_authorities().first() == lost

        with pytest.raises(KeyDamaged):
            refresh(vault, now + timedelta(days=3))
        assert [latest.number for one in (lost, issuing) if (latest := queries.latest_list(one))] == [1, 2]

    def test_the_scheduler_lets_it_be_signed(self, issuing: Authority) -> None:
        with time_machine.travel(timezone.now() + timedelta(days=3), tick=False):
            assert refresh_lists() == 1
            assert refresh_lists() == 0

    def test_a_revocation_that_the_vault_missed_is_made_up_for(self, cast: Cast, certificate: Certificate) -> None:
        revoke(cast.operator, certificate, "the vault is away just now")

        assert refresh_lists() == 1

    def test_one_that_nears_its_end_is_an_alarm(self, issuing: Authority) -> None:
        late = timezone.now() + timedelta(days=6)
        with time_machine.travel(late, tick=False):
            assert "is not signed anew" in stale(late)
            (warning,) = checks.revocation_lists()
        assert warning.id == "pki.W001"

    def test_a_certificate_stays_listed_beyond_its_own_end(self, cast: Cast, certificate: Certificate) -> None:
        revoke(cast.operator, certificate, "lost")
        vault, authority = Vault.from_settings(), certificate.authority

        def entries(at: datetime) -> int:
            return publish(vault, authority, at).entries

        assert entries(certificate.not_after + timedelta(days=6)) == 1
        assert entries(certificate.not_after + timedelta(days=8)) == 0

    def test_ten_thousand_entries_are_no_burden(self, issuing: Authority, cast: Cast) -> None:
        concentrator, now = cast.concentrator(), timezone.now()
        Certificate.objects.bulk_create(
            Certificate(
                organisation=concentrator.organisation,
                concentrator=concentrator,
                authority=issuing,
                name=concentrator.eui,
                serial=f"{number:x}",
                key=f"{number:066x}",
                der=b"-",
                not_before=now,
                not_after=now + timedelta(days=9),
                revoked_at=now,
                revocation=Reason.SUPERSEDED,
            )
            for number in range(1, 10_001)
        )

        assert publish(Vault.from_settings(), issuing, now).entries == 10_000
        assert len(queries.broker_trust()[1]) < 1_000_000


class TestSuccession:
    def test_there_is_one_active_authority(self, issuing: Authority) -> None:
        with pytest.raises(Conflict, match="--replace"):
            authority()

    def test_both_are_trusted_until_the_last_certificate_of_the_old_one_ends(
        self, issuing: Authority, certificate: Certificate
    ) -> None:
        now = timezone.now()
        successor = create_authority(
            INSTALLER, Vault.from_settings(), name="Issuing", curve=Curve.BRAINPOOL, now=now, replace=True
        )

        assert list(queries.trusted_authorities()) == [successor, issuing]
        assert queries.broker_trust()[0].count("BEGIN CERTIFICATE") == 2
        assert queries.broker_trust()[1].count("BEGIN X509 CRL") == 2
        assert retire_ended(now) == 0
        assert retire_ended(certificate.not_after) == 1
        assert list(queries.trusted_authorities()) == [successor]

    def test_only_commands_make_authorities(self, cast: Cast) -> None:
        with pytest.raises(Forbidden):
            create_authority(cast.custodian, Vault.from_settings(), name="Mine", curve=Curve.P256, now=timezone.now())

    def test_without_authority_nobody_is_trusted(self, db: None) -> None:
        assert queries.broker_trust() == ("", "")
        assert stale(timezone.now()) == ""


def test_revoking_a_concentrator_ends_all_its_certificates(
    cast: Cast, issuing: Authority, certificate: Certificate, tmp_path: Path, commits: Commit
) -> None:
    concentrator = certificate.concentrator
    assert concentrator is not None
    newer = enrolled(concentrator, tmp_path / "newer")
    with commits():
        fleet.revoke_concentrator(cast.operator, concentrator, "stolen with its cabinet")

    assert set(listed(issuing)) == {certificate.serial, newer.serial}
    assert queries.revoked_names() == {concentrator.eui}
    with pytest.raises(Conflict):
        issue_password(cast.operator, concentrator)


def test_a_broker_whose_clock_is_behind_takes_the_list(issuing: Authority) -> None:
    latest = queries.latest_list(issuing)
    assert latest is not None

    begins = x509.load_der_x509_crl(bytes(latest.der)).last_update_utc
    assert timedelta(minutes=4) < latest.this_update - begins < timedelta(minutes=6)
