"""Who is shut out loses the session, once; the broker's files follow; lists of one second are signed once more."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.conf import settings
from django.utils import timezone

from portal.bridge.doorkeeper import AFTER_S, Doorkeeper
from portal.ops import broker
from provisioning.fleet.models import Concentrator
from provisioning.fleet.services import reset_password, revoke_concentrator
from provisioning.keys.vault import Vault
from provisioning.pki.models import Authority, Certificate, RevocationList
from provisioning.pki.queries import broker_trust
from provisioning.pki.services import publish, revoke
from provisioning.pki.signing import BACKDATED
from tests.cast import STAGE, Cast, cast
from tests.provisioning.pki.authority import authority, enrolled

__all__ = ["cast"]
pytestmark = pytest.mark.django_db


class Watch:
    """A monotonic clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def issuing(db: None) -> Authority:
    return authority()


@pytest.fixture
def folder(issuing: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What broker_config wrote."""
    monkeypatch.setattr(settings, "BROKER_DIR", str(tmp_path))
    monkeypatch.setitem(settings.MQTT, "password", "the portal's own")
    (tmp_path / broker.PASSWORDS).touch(0o600)
    broker.write_trust(tmp_path, broker_trust())
    return tmp_path


def look(keeper: Doorkeeper, watch: Watch, after_s: float = 0.0) -> list[str]:
    """Whose sessions are ended by now."""
    keeper.look()
    watch.now += after_s
    return keeper.due()


@pytest.fixture
def keeper(folder: Path, watch: Watch) -> Doorkeeper:
    return Doorkeeper(Vault.from_settings(), watch)


def serials(folder: Path) -> set[int]:
    """Who is named by the list that the broker reads."""
    return {one.serial_number for one in x509.load_pem_x509_crl((folder / broker.REVOKED).read_bytes())}


def void(certificate: Certificate) -> int:
    revoke(STAGE, certificate, "stolen")
    return int(certificate.serial, 16)


def test_a_revoked_certificate_reaches_the_broker_and_its_session_is_ended_twice(
    cast: Cast, keeper: Doorkeeper, watch: Watch, folder: Path, tmp_path: Path
) -> None:
    concentrator = cast.concentrator()
    certificate = enrolled(concentrator, tmp_path / "device")
    assert look(keeper, watch) == []
    serial = void(certificate)
    assert look(keeper, watch) == [], "the broker reads its files first"
    assert serials(folder) == {serial}
    assert look(keeper, watch, AFTER_S[0]) == [concentrator.eui]
    assert look(keeper, watch, AFTER_S[1]) == [concentrator.eui]
    assert look(keeper, watch, 3600.0) == []


def test_with_another_certificate_in_force_it_may_come_back_but_the_session_ends(
    cast: Cast, keeper: Doorkeeper, watch: Watch, tmp_path: Path
) -> None:
    concentrator = cast.concentrator()
    old = enrolled(concentrator, tmp_path / "old")
    enrolled(concentrator, tmp_path / "new")
    look(keeper, watch)
    void(old)
    look(keeper, watch)
    assert look(keeper, watch, AFTER_S[0]) == [concentrator.eui]


def test_who_was_revoked_while_no_bridge_ran_is_put_out_by_the_next_one(
    cast: Cast, keeper: Doorkeeper, watch: Watch, folder: Path, tmp_path: Path
) -> None:
    concentrator = cast.concentrator()
    serial = void(enrolled(concentrator, tmp_path / "device"))
    Certificate.objects.update(revoked_at=timezone.now() - timedelta(hours=3))
    look(keeper, watch)
    assert serials(folder) == {serial}
    assert look(keeper, watch, AFTER_S[0]) == [concentrator.eui]


def test_a_concentrator_with_a_password_loses_account_and_session(
    cast: Cast, keeper: Doorkeeper, watch: Watch, folder: Path
) -> None:
    one, other = cast.concentrator(), cast.concentrator()
    for concentrator in (one, other):
        reset_password(STAGE, concentrator)
    assert look(keeper, watch) == []
    assert broker.accounts_in(folder) == {"portal", one.eui, other.eui}
    revoke_concentrator(STAGE, one, "stolen")
    look(keeper, watch)
    assert broker.accounts_in(folder) == {"portal", other.eui}
    assert look(keeper, watch, AFTER_S[0]) == [one.eui]


def test_an_account_that_is_gone_ends_its_session_even_after_a_restart(
    cast: Cast, keeper: Doorkeeper, watch: Watch, folder: Path
) -> None:
    concentrator = cast.concentrator()
    reset_password(STAGE, concentrator)
    look(keeper, watch)
    Concentrator.objects.update(archived_at=timezone.now())
    restarted = Doorkeeper(Vault.from_settings(), watch)
    look(restarted, watch)
    assert look(restarted, watch, AFTER_S[0]) == [concentrator.eui]


def test_what_failed_is_tried_again(keeper: Doorkeeper, watch: Watch) -> None:
    keeper.again("0016c001f1a20001")
    assert look(keeper, watch) == []
    assert look(keeper, watch, AFTER_S[1]) == ["0016c001f1a20001"]


def test_two_lists_of_one_second_are_followed_by_a_third_that_the_broker_goes_by(
    cast: Cast, keeper: Doorkeeper, watch: Watch, folder: Path, issuing: Authority, tmp_path: Path
) -> None:
    void(enrolled(cast.concentrator(), tmp_path / "device"))
    begun = next(iter(broker.lists_begin(folder)))[1]
    earlier = begun - timedelta(seconds=1)  # else the list is due, in whatever second it is
    Certificate.objects.exclude(revoked_at=None).update(revoked_at=earlier)
    publish(Vault.from_settings(), issuing, begun + BACKDATED)  # in the second of the one that the broker has read
    number = RevocationList.objects.latest("number").number
    keeper.look()
    assert broker.lists_begin(folder) == {(issuing_name(folder), begun)}
    RevocationList.objects.update(this_update=begun + timedelta(seconds=1))
    keeper.look()
    assert RevocationList.objects.latest("number").number > number


def issuing_name(folder: Path) -> str:
    return x509.load_pem_x509_crl((folder / broker.REVOKED).read_bytes()).issuer.rfc4514_string()


def test_a_list_that_nearly_ends_is_an_alarm_once_an_hour(
    keeper: Doorkeeper, watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def alarms() -> int:
        return sum("refuses every certificate" in record.message for record in caplog.records)

    with caplog.at_level(logging.ERROR):
        keeper.look()
        assert alarms() == 0
        monkeypatch.setattr(broker, "lists_end", lambda folder: timezone.now() + timedelta(hours=5))
        keeper.look()
        keeper.look()
        assert alarms() == 1
        watch.now += 3601
        keeper.look()
        assert alarms() == 2


def test_without_the_brokers_folder_sessions_are_ended_all_the_same(
    cast: Cast, issuing: Authority, watch: Watch, tmp_path: Path
) -> None:
    keeper = Doorkeeper(Vault.from_settings(), watch)
    concentrator = cast.concentrator()
    certificate = enrolled(concentrator, tmp_path / "device")
    look(keeper, watch)
    void(certificate)
    look(keeper, watch)
    assert look(keeper, watch, AFTER_S[0]) == [concentrator.eui]
    assert not (tmp_path / broker.REVOKED).exists()


def test_files_that_broker_config_did_not_write_are_not_made(
    issuing: Authority, tmp_path: Path, watch: Watch, monkeypatch: Any
) -> None:
    monkeypatch.setattr(settings, "BROKER_DIR", str(tmp_path))
    Doorkeeper(Vault.from_settings(), watch).look()
    assert list(tmp_path.iterdir()) == []
