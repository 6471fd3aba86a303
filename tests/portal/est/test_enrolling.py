"""First certificates over EST: for a one-time password, after approval, and what stays closed."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from provisioning.audit.models import Entry
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Authority, Certificate, Enrolment, OneTimePassword
from provisioning.pki.services import approve_enrolment, issue_password, refuse_enrolment
from tests.cast import STAGE, Cast
from tests.portal.est.client import EST, basic, certificates, enrol, fetch
from tests.support.openssl import Device

pytestmark = pytest.mark.usefixtures("issuing")


def test_the_authorities_are_told_without_login(issuing: Authority) -> None:
    answer = fetch("cacerts")

    assert [c.subject.rfc4514_string() for c in certificates(answer)] == [f"CN={issuing.name}"]
    assert answer["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"


def test_a_concentrator_comes_to_its_certificate_with_a_one_time_password(
    concentrator: Concentrator, device: Device, password: str
) -> None:
    revision = concentrator.desired_revision

    (certificate,) = certificates(enrol(device.request(), headers=basic(concentrator.eui, password)))

    concentrator.refresh_from_db()
    assert certificate.subject.rfc4514_string() == f"CN={concentrator.eui}"
    assert concentrator.certificate_key == Certificate.objects.get().key != ""
    assert concentrator.whole_since == concentrator.desired_revision > revision, "root keys are wrapped anew"
    life = certificate.not_valid_after_utc - timezone.now()
    assert life == pytest.approx(timedelta(days=90), abs=timedelta(minutes=1))
    assert Entry.objects.filter(action="certificate.issued", object_id=str(concentrator.pk)).count() == 1


@pytest.mark.parametrize("body", [base64.b64encode, base64.encodebytes, lambda der: base64.b64encode(der) + b"\r\n"])
def test_line_breaks_and_transfer_encoding_do_not_matter(
    body: Callable[[bytes], bytes], concentrator: Concentrator, device: Device, password: str
) -> None:
    headers = basic(concentrator.eui, password) | {"content-transfer-encoding": "base64"}

    assert enrol(b"", headers=headers, body=body(device.request())).status_code == 200


def test_an_answer_that_was_lost_can_be_fetched_again(
    concentrator: Concentrator, device: Device, password: str
) -> None:
    request = device.request()

    first = certificates(enrol(request, headers=basic(concentrator.eui, password)))

    assert certificates(enrol(device.again(), headers=basic(concentrator.eui, password))) == first
    assert Certificate.objects.count() == 1


def test_a_used_password_serves_no_other_key(concentrator: Concentrator, device: Device, password: str) -> None:
    enrol(device.request(), headers=basic(concentrator.eui, password))

    answer = enrol(device.request(), headers=basic(concentrator.eui, password))

    assert (answer.status_code, Certificate.objects.count()) == (403, 1)
    assert b"served another key" in answer.content


def test_a_bad_request_does_not_use_the_password_up(concentrator: Concentrator, device: Device, password: str) -> None:
    assert enrol(device.request(subject="/CN=other"), headers=basic(concentrator.eui, password)).status_code == 400

    assert enrol(device.request(), headers=basic(concentrator.eui, password)).status_code == 200


def test_five_wrong_tries_block_the_password(concentrator: Concentrator, device: Device, password: str) -> None:
    request = device.request()
    for _ in range(5):
        assert enrol(request, headers=basic(concentrator.eui, "wrong")).status_code == 401

    answer = enrol(request, headers=basic(concentrator.eui, password))

    assert answer.status_code == 401
    last = Entry.objects.filter(action="enrolment.wrong_password").latest("seq")
    assert last.data == {"tries": 5, "blocked": True}


def test_further_wrong_tries_fill_no_audit(concentrator: Concentrator, device: Device, password: str) -> None:
    request = device.request()
    for _ in range(8):
        enrol(request, headers=basic(concentrator.eui, "wrong"))

    assert Entry.objects.filter(action="enrolment.wrong_password").count() == 5


def test_all_who_are_not_recognised_hear_the_same(
    cast: Cast, concentrator: Concentrator, device: Device, password: str
) -> None:
    other, request = cast.concentrator(), device.request()
    old = issue_password(STAGE, other).password
    OneTimePassword.objects.filter(concentrator=other).update(expires_at=timezone.now())
    tries = [
        basic(concentrator.eui, "wrong"),
        basic("ffffffffffffffff", password),
        basic("no eui\0", password),
        basic(concentrator.eui, password * 9),
        basic(other.eui, old),
        {"authorization": "Basic ???"},
    ]

    answers = {(answer.status_code, answer.content) for answer in (enrol(request, headers=one) for one in tries)}

    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


def test_who_shows_nothing_is_asked_for_a_password(device: Device) -> None:
    answer = enrol(device.request())

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Basic realm="EST", charset="UTF-8"')


def test_a_new_password_ends_the_one_before(concentrator: Concentrator, device: Device, password: str) -> None:
    newer = issue_password(STAGE, concentrator).password

    assert enrol(device.request(), headers=basic(concentrator.eui, password)).status_code == 401
    assert enrol(device.request(), headers=basic(concentrator.eui, newer)).status_code == 200


def test_passwords_are_kept_as_digests_only(concentrator: Concentrator, password: str) -> None:
    row = OneTimePassword.objects.get(concentrator=concentrator)

    assert password not in str(row.__dict__)
    assert password not in repr(issue_password(STAGE, concentrator))


def test_the_address_may_name_the_organisation(
    cast: Cast, concentrator: Concentrator, device: Device, password: str
) -> None:
    request, who = device.request(), basic(concentrator.eui, password)

    assert enrol(request, f"{cast.away.organisation.slug}/simpleenroll", who).status_code == 401
    assert enrol(request, "nobody/simpleenroll", who).status_code == 404
    assert enrol(request, f"{cast.organisation.slug}/simpleenroll", who).status_code == 200


class TestApproval:
    @pytest.fixture
    def password(self, concentrator: Concentrator) -> str:
        return issue_password(STAGE, concentrator, needs_approval=True).password

    def test_while_it_is_pending_the_device_is_told_to_wait(
        self, cast: Cast, concentrator: Concentrator, device: Device, password: str
    ) -> None:
        request, who = device.request(), basic(concentrator.eui, password)
        first, second = enrol(request, headers=who), enrol(request, headers=who)
        approve_enrolment(cast.operator, Enrolment.objects.get())

        assert [(answer.status_code, answer["Retry-After"]) for answer in (first, second)] == [(202, "60")] * 2
        assert len(certificates(enrol(request, headers=who))) == 1

    def test_approval_may_take_longer_than_the_password_holds(
        self, cast: Cast, concentrator: Concentrator, device: Device, password: str
    ) -> None:
        request, who = device.request(), basic(concentrator.eui, password)
        enrol(request, headers=who)
        with time_machine.travel(timezone.now() + timedelta(days=9), tick=False):
            approve_enrolment(cast.operator, Enrolment.objects.get())

            assert enrol(request, headers=who).status_code == 200

    def test_a_refused_request_hears_the_reason(
        self, cast: Cast, concentrator: Concentrator, device: Device, password: str
    ) -> None:
        request, who = device.request(), basic(concentrator.eui, password)
        enrol(request, headers=who)
        refuse_enrolment(cast.operator, Enrolment.objects.get(), "stolen from the van")

        answer = enrol(request, headers=who)

        assert (answer.status_code, b"stolen from the van" in answer.content) == (403, True)


def test_no_key_is_made_for_others_and_no_cmc_is_spoken() -> None:
    for operation in ("serverkeygen", "fullcmc"):
        answer = enrol(b"", operation)
        assert (answer.status_code, answer["Content-Type"]) == (501, "text/plain; charset=utf-8")


def test_without_tls_nothing_is_given_out(concentrator: Concentrator, device: Device, password: str) -> None:
    answer = enrol(device.request(), headers=basic(concentrator.eui, password), secure=False)

    assert (answer.status_code, Certificate.objects.count()) == (403, 0)


def test_the_other_method_is_refused() -> None:
    assert Client().post(f"{EST}/cacerts", secure=True)["Allow"] == "GET"
    assert Client().get(f"{EST}/simpleenroll", secure=True).status_code == 405


def test_an_archived_concentrator_gets_none(concentrator: Concentrator, device: Device, password: str) -> None:
    Concentrator.objects.filter(pk=concentrator.pk).update(archived_at=timezone.now())

    assert enrol(device.request(), headers=basic(concentrator.eui, password)).status_code == 401


class TestWithoutTls:
    @pytest.fixture(autouse=True)
    def redirected(self, settings: Any) -> None:
        settings.SECURE_SSL_REDIRECT = True

    def test_a_password_is_not_carried_over_to_tls(
        self, concentrator: Concentrator, device: Device, password: str
    ) -> None:
        answer = enrol(device.request(), headers=basic(concentrator.eui, password), secure=False)

        assert (answer.status_code, b"use https" in answer.content) == (403, True)

    def test_the_list_of_revoked_certificates_is_read(self, issuing: Authority) -> None:
        for kind in ("crl", "cer"):
            assert Client().get(f"/pki/{issuing.pk}.{kind}").status_code == 200
        assert Client().get(f"/pki/{issuing.pk + 1}.crl").status_code == 404
