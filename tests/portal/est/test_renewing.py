"""Certificates for certificates: renewal with another key, and a manufacturer's word for a first one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from provisioning.fleet import services as fleet
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Certificate, Enrolment, ManufacturerAuthority
from provisioning.pki.services import revoke, trust_manufacturer
from provisioning.pki.services.enrolments import MAX_VALID, MAX_WAITING
from tests.cast import Cast
from tests.portal.est.client import HEADER, basic, certificates, enrol, shown
from tests.provisioning.pki.authority import enrolled
from tests.support.openssl import Device, openssl

pytestmark = pytest.mark.usefixtures("issuing", "proxy")


@pytest.fixture
def proxy(settings: Any) -> None:
    settings.EST_CERTIFICATE_HEADER = HEADER


@pytest.fixture
def present(concentrator: Concentrator, tmp_path: Path) -> Certificate:
    return enrolled(concentrator, tmp_path / "present")


def renew(device: Device, present: Certificate, **wishes: Any) -> Any:
    return enrol(device.request(**wishes), "simplereenroll", shown(bytes(present.der)))


class TestRenewal:
    def test_another_key_takes_over_and_both_certificates_hold(
        self, concentrator: Concentrator, device: Device, present: Certificate
    ) -> None:
        (certificate,) = certificates(renew(device, present))

        new, old = Certificate.objects.all()
        concentrator.refresh_from_db()
        assert certificate.serial_number == int(new.serial, 16)
        assert (concentrator.certificate_key, old.revoked_at) == (new.key, None)
        assert certificate.subject.rfc4514_string() == f"CN={concentrator.eui}"

    def test_the_old_key_is_refused(self, tmp_path: Path, concentrator: Concentrator, present: Certificate) -> None:
        request = Device(tmp_path / "present", concentrator.eui).again()

        answer = enrol(request, "simplereenroll", shown(bytes(present.der)))

        assert (answer.status_code, b"used before" in answer.content) == (400, True)

    def test_a_key_of_another_concentrator_is_refused(
        self, cast: Cast, tmp_path: Path, present: Certificate, concentrator: Concentrator
    ) -> None:
        enrolled(cast.concentrator(), tmp_path / "other")
        request = Device(tmp_path / "other", concentrator.eui).again()

        assert enrol(request, "simplereenroll", shown(bytes(present.der))).status_code == 400

    def test_a_lost_answer_is_fetched_again(self, device: Device, present: Certificate) -> None:
        first = certificates(renew(device, present))

        again = enrol(device.again(), "simplereenroll", shown(bytes(present.der)))

        assert certificates(again) == first

    def test_the_name_stays(self, device: Device, present: Certificate) -> None:
        assert renew(device, present, subject="/CN=00800000a0999999").status_code == 400

    def test_an_expired_certificate_renews_nothing(self, device: Device, present: Certificate) -> None:
        with time_machine.travel(present.not_after + timedelta(seconds=1), tick=False):
            answer = renew(device, present)

        assert (answer.status_code, b"one-time password" in answer.content) == (403, True)

    def test_a_revoked_certificate_renews_nothing(self, cast: Cast, device: Device, present: Certificate) -> None:
        revoke(cast.operator, present, "stolen")

        assert renew(device, present).status_code == 403

    def test_an_archived_concentrator_renews_nothing(
        self, cast: Cast, concentrator: Concentrator, device: Device, present: Certificate
    ) -> None:
        fleet.archive_concentrator(cast.operator, concentrator)

        assert renew(device, present).status_code == 403

    def test_a_foreign_certificate_with_the_same_serial_and_name_is_not_known(
        self, device: Device, present: Certificate
    ) -> None:
        device.request()
        openssl(
            "req", "-x509", "-new", "-key", device.key, "-subj", f"/CN={device.eui}", "-days", "9",
            "-set_serial", f"0x{present.serial}", "-out", device.certificate,
        )  # fmt: skip
        der = openssl("x509", "-in", device.certificate, "-outform", "DER")

        assert enrol(device.again(), "simplereenroll", shown(der)).status_code == 401

    def test_it_is_no_first_enrolment(self, device: Device, present: Certificate) -> None:
        assert enrol(device.request(), "simpleenroll", shown(bytes(present.der))).status_code == 401

    def test_certificates_cannot_be_collected_without_end(self, device: Device, present: Certificate) -> None:
        answers = [renew(device, present).status_code for _ in range(MAX_VALID)]

        assert answers == [200] * (MAX_VALID - 1) + [403]

    @pytest.mark.parametrize("value", ["garbage", "%2D%2D", "A" * 20_000])
    def test_a_header_that_is_no_certificate(self, value: str, device: Device) -> None:
        assert enrol(device.request(), "simplereenroll", {HEADER: value}).status_code == 401

    def test_the_header_counts_for_nothing_unless_a_proxy_is_trusted(
        self, settings: Any, device: Device, present: Certificate
    ) -> None:
        settings.EST_CERTIFICATE_HEADER = ""

        assert renew(device, present).status_code == 401


class TestManufacturer:
    @pytest.fixture
    def maker(self, tmp_path: Path) -> Path:
        """The manufacturer's authority, made by openssl."""
        folder = tmp_path / "maker"
        folder.mkdir()
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-days", "30", "-subj", "/O=Maker/CN=Maker CA",
        )  # fmt: skip
        return folder

    @pytest.fixture
    def birth(self, maker: Path, tmp_path: Path, concentrator: Concentrator) -> bytes:
        """The certificate that the device left the factory with: its EUI as serial number, in capitals."""
        return self.certified(maker, Device(tmp_path / "birth", concentrator.eui))

    @staticmethod
    def certified(maker: Path, device: Device) -> bytes:
        request = device.request(subject=f"/O=Maker/CN=MC-100/serialNumber={device.eui.upper()}")
        return openssl(
            "x509", "-req", "-inform", "DER", "-CA", maker / "ca.pem", "-CAkey", maker / "ca.key",
            "-CAcreateserial", "-days", "20", "-outform", "DER", given=request,
        )  # fmt: skip

    def trust(self, cast: Cast, maker: Path, *, needs_approval: bool) -> ManufacturerAuthority:
        return trust_manufacturer(
            cast.custodian,
            cast.organisation,
            name="Maker",
            pem=(maker / "ca.pem").read_text(),
            needs_approval=needs_approval,
        )

    def test_a_trusted_manufacturers_device_enrols(self, cast: Cast, maker: Path, birth: bytes, device: Device) -> None:
        self.trust(cast, maker, needs_approval=False)

        (certificate,) = certificates(enrol(device.request(), headers=shown(birth)))

        assert certificate.subject.rfc4514_string() == f"CN={device.eui}"

    def test_by_default_somebody_approves_it(self, cast: Cast, maker: Path, birth: bytes, device: Device) -> None:
        self.trust(cast, maker, needs_approval=True)

        assert enrol(device.request(), headers=shown(birth)).status_code == 202

    def test_a_device_that_has_a_certificate_waits_for_approval_in_any_case(
        self, cast: Cast, maker: Path, birth: bytes, device: Device, present: Certificate
    ) -> None:
        self.trust(cast, maker, needs_approval=False)

        assert enrol(device.request(), headers=shown(birth)).status_code == 202

    def test_requests_that_wait_are_bounded(self, cast: Cast, maker: Path, birth: bytes, device: Device) -> None:
        self.trust(cast, maker, needs_approval=True)

        answers = [enrol(device.request(), headers=shown(birth)).status_code for _ in range(MAX_WAITING + 1)]

        assert answers == [202] * MAX_WAITING + [403]
        assert Enrolment.objects.count() == MAX_WAITING

    def test_another_organisations_manufacturer_is_nobody_here(
        self, cast: Cast, maker: Path, birth: bytes, device: Device
    ) -> None:
        trust_manufacturer(
            cast.away.people["custodian"], cast.away.organisation, name="Maker", pem=(maker / "ca.pem").read_text()
        )

        assert enrol(device.request(), headers=shown(birth)).status_code == 401

    def test_an_unregistered_device_gets_none(self, cast: Cast, maker: Path, tmp_path: Path) -> None:
        self.trust(cast, maker, needs_approval=False)
        stranger = Device(tmp_path / "stranger", "00800000a0999999")
        birth = self.certified(maker, stranger)

        assert enrol(stranger.request(), headers=shown(birth)).status_code == 401

    def test_its_certificate_asks_for_no_other_concentrator(
        self, cast: Cast, maker: Path, birth: bytes, tmp_path: Path
    ) -> None:
        self.trust(cast, maker, needs_approval=False)
        other = Device(tmp_path / "other", cast.concentrator().eui)

        assert enrol(other.request(), headers=shown(birth)).status_code == 400

    def test_one_that_has_ended_is_not_believed(self, cast: Cast, maker: Path, birth: bytes, device: Device) -> None:
        self.trust(cast, maker, needs_approval=False)
        with time_machine.travel(timezone.now() + timedelta(days=21), tick=False):
            assert enrol(device.request(), headers=shown(birth)).status_code == 401

    def test_a_password_counts_before_the_certificate(
        self, cast: Cast, maker: Path, birth: bytes, device: Device, password: str
    ) -> None:
        headers = shown(birth) | basic(device.eui, password)

        assert enrol(device.request(), headers=headers).status_code == 200
