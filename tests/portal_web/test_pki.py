"""The pages about certificates: passwords shown once, requests decided, certificates revoked, authorities told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from portal.web import certificates_due
from provisioning.accounts.models import User
from provisioning.pki import claims
from provisioning.pki.errors import NotRecognised
from provisioning.pki.models import Certificate, Enrolment, ManufacturerAuthority, OneTimePassword
from tests.portal_web.world import World
from tests.provisioning.pki import authority as pki

Browse = Callable[[User | None], Client]


def body(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def operator(world: World, browse: Browse) -> Client:
    """Who has just logged in."""
    return browse(world.cast.operator)


def test_without_authority_the_first_step_is_told(world: World, browse: Browse) -> None:
    assert "manage.py pki_init" in body(browse(world.cast.auditor).get(reverse("certificates")))


def test_the_page_tells_authority_list_and_certificates(world: World, browse: Browse) -> None:
    certificate = world.certificate

    text = body(browse(world.cast.auditor).get(reverse("certificates")))

    assert certificate.serial in text
    assert certificate.authority.name in text
    assert "fresh" in text
    assert reverse("certificate-revoke", args=[certificate.pk]) not in text, "an auditor only looks"


def test_a_one_time_password_is_shown_once_and_works(world: World, operator: Client) -> None:
    answer = operator.post(reverse("enrolment-password", args=[world.concentrator.pk]), {"days": 3})

    password = answer.context["password"]
    row = OneTimePassword.objects.get()
    assert password in body(answer)
    assert answer["Cache-Control"] == "no-store"
    assert claims.by_password(world.concentrator.eui, password, "", row.created_at).password == row
    page = operator.get(reverse("concentrator-certificates", args=[world.concentrator.pk]))
    assert password not in body(page)
    assert "waits for its use" in body(page)


def test_a_password_cannot_hold_for_ever(world: World, operator: Client) -> None:
    operator.post(reverse("enrolment-password", args=[world.concentrator.pk]), {"days": 1000})

    assert not OneTimePassword.objects.exists()


def test_who_was_logged_in_for_long_shows_the_second_factor_first(world: World, browse: Browse) -> None:
    url = reverse("enrolment-password", args=[world.concentrator.pk])
    client = browse(world.cast.custodian)
    session = client.session
    session["factor"] = {"kind": "passkey", "at": 0}
    session.save()

    answer = client.post(url, {"days": 3})

    assert answer.status_code == 302
    assert not OneTimePassword.objects.exists()


@pytest.mark.parametrize(
    ("sent", "state"),
    [
        ({"decision": "approve"}, Enrolment.State.APPROVED),
        ({"decision": "refuse", "reason": "not ours"}, Enrolment.State.REFUSED),
        ({"decision": "refuse", "reason": ""}, Enrolment.State.WAITING),
    ],
)
def test_a_request_is_decided(world: World, operator: Client, sent: dict[str, str], state: str) -> None:
    waiting = world.enrolment
    assert waiting.concentrator.name in body(operator.get(reverse("certificates")))

    operator.post(reverse("enrolment", args=[waiting.pk]), sent)

    assert Enrolment.objects.get().state == state


def test_revoking_needs_a_reason_and_says_what_follows(world: World, operator: Client) -> None:
    certificate = world.certificate
    url = reverse("certificate-revoke", args=[certificate.pk])
    assert "renews nothing" in body(operator.get(url))

    operator.post(url, {"kind": "key_compromise", "reason": ""})
    assert Certificate.objects.get(pk=certificate.pk).revoked_at is None
    operator.post(url, {"kind": "key_compromise", "reason": "stolen"})

    assert Certificate.objects.get(pk=certificate.pk).revocation == "key_compromise"
    assert operator.get(url).status_code == 404
    assert "stolen" in body(operator.get(reverse("concentrator-certificates", args=[world.concentrator.pk])))


def test_a_custodian_trusts_a_manufacturer_and_takes_it_back(world: World, browse: Browse) -> None:
    client = browse(world.cast.custodian)
    form = {"name": "Maker", "pem": pki.some_authority(), "needs_approval": "on"}

    client.post(reverse("manufacturer-new"), form)
    row = ManufacturerAuthority.objects.get(removed_at=None)
    client.post(reverse("manufacturer-remove", args=[row.pk]))

    assert not ManufacturerAuthority.objects.filter(removed_at=None).exists()


@pytest.mark.parametrize("pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_authority_is_not_trusted(world: World, browse: Browse, pem: str) -> None:
    answer = browse(world.cast.custodian).post(reverse("manufacturer-new"), {"name": "Maker", "pem": pem})

    assert answer.status_code == 200
    assert not ManufacturerAuthority.objects.exists()


def test_a_withdrawn_password_is_worth_nothing(world: World, operator: Client) -> None:
    first = operator.post(reverse("enrolment-password", args=[world.concentrator.pk]), {"days": 3})
    operator.post(reverse("enrolment-password", args=[world.concentrator.pk]), {"days": 3})

    made = OneTimePassword.objects.latest("pk").created_at
    with pytest.raises(NotRecognised):
        claims.by_password(world.concentrator.eui, first.context["password"], "", made)


class TestIncidents:
    @staticmethod
    def told(browse: Browse, user: User) -> str:
        return body(browse(user).get(reverse("incidents")))

    def test_a_renewal_that_does_not_come_is_one_incident(self, world: World, browse: Browse) -> None:
        certificate = world.certificate
        with time_machine.travel(certificate.not_before + timedelta(days=71), tick=False):
            assert "does not renew" not in self.told(browse, world.cast.operator)
        certificates_due.shelf.forget()
        with time_machine.travel(certificate.not_before + timedelta(days=73), tick=False):
            assert "1 concentrator does not renew its certificate" in self.told(browse, world.cast.operator)

    def test_a_request_that_waits_is_shown_to_those_who_may_look(self, world: World, browse: Browse) -> None:
        assert world.enrolment

        assert "1 request for a certificate waits" in self.told(browse, world.cast.operator)
        assert "request for a certificate" not in self.told(browse, world.cast.installer)

    def test_a_list_that_nears_its_end_is_the_worst(self, world: World, browse: Browse) -> None:
        certificate = world.certificate
        with time_machine.travel(certificate.issued_at + timedelta(days=6), tick=False):
            assert "not signed anew" in self.told(browse, world.cast.operator)
