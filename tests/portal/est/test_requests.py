"""Requests that are refused over EST: each with a sentence, an audit row, and no certificate."""

import base64
from typing import Any

import pytest

from provisioning.audit.models import Entry
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Certificate
from tests.portal.est.client import basic, enrol
from tests.support.openssl import Device

pytestmark = pytest.mark.usefixtures("issuing")

REFUSED = {
    "another curve": ({"curve": "secp384r1"}, "curve"),
    "RSA": ({"kind": "RSA"}, "curve"),
    "another name": ({"subject": "/CN=00800000a0ffffff"}, "subject"),
    "more in the name": ({"subject": "/O=Somebody/CN={eui}"}, "subject"),
    "a name of capitals": ({"subject": "/CN=00800000A0000001"}, "subject"),
    "SHA-1": ({"digest": "sha1"}, "signature"),
    "somebody else's alternative name": ({"names": "DNS:portal.example"}, "alternative_name"),
    "an address": ({"names": "IP:127.0.0.1"}, "alternative_name"),
    "an authority": ({"extra": ["basicConstraints=CA:TRUE"]}, "extension"),
    "a server": ({"extra": ["extendedKeyUsage=serverAuth"]}, "key_usage"),
    "a signer of certificates": ({"extra": ["keyUsage=keyCertSign"]}, "key_usage"),
    "an extension of its own": ({"extra": ["1.2.3.4=DER:0500"]}, "extension"),
}


@pytest.mark.parametrize(("wishes", "fault"), REFUSED.values(), ids=REFUSED)
def test_what_a_concentrator_must_not_ask_for(
    wishes: dict[str, Any], fault: str, concentrator: Concentrator, device: Device, password: str
) -> None:
    wishes = {k: v.format(eui=concentrator.eui) if isinstance(v, str) else v for k, v in wishes.items()}

    answer = enrol(device.request(**wishes), headers=basic(concentrator.eui, password))

    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert Entry.objects.get(action="enrolment.refused").data["fault"] == fault
    assert not Certificate.objects.exists()


@pytest.mark.parametrize("curve", ["prime256v1", "brainpoolP256r1"])
def test_both_curves_and_its_own_names_are_granted(
    curve: str, concentrator: Concentrator, device: Device, password: str
) -> None:
    names = f"DNS:{concentrator.eui},URI:urn:dev:mac:{concentrator.eui}"
    request = device.request(curve=curve, names=names, extra=["extendedKeyUsage=clientAuth"], digest="sha384")

    assert enrol(request, headers=basic(concentrator.eui, password)).status_code == 200


def test_a_request_that_another_key_signed_proves_nothing(
    concentrator: Concentrator, device: Device, password: str
) -> None:
    request = bytearray(device.request())
    request[-1] ^= 1

    answer = enrol(bytes(request), headers=basic(concentrator.eui, password))

    assert (answer.status_code, b"proves no possession" in answer.content) == (400, True)


def test_one_megabyte_of_extensions_is_not_read(concentrator: Concentrator, device: Device, password: str) -> None:
    request = device.request() + bytes(2**20)

    assert enrol(request, headers=basic(concentrator.eui, password)).status_code == 413


def test_nine_kilobytes_of_alternative_names_are_too_many(
    concentrator: Concentrator, device: Device, password: str
) -> None:
    names = ",".join(f"DNS:{number:060d}" for number in range(140))

    answer = enrol(device.request(names=names), headers=basic(concentrator.eui, password))

    assert (answer.status_code, b"at most 8192" in answer.content) == (400, True)


@pytest.mark.parametrize(
    "body", [b"", b"AAAA", b"not base64!", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", base64.b64encode(b"0" * 300)]
)
def test_what_is_no_request(body: bytes, concentrator: Concentrator, password: str) -> None:
    answer = enrol(b"", headers=basic(concentrator.eui, password), body=body)

    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")


def test_another_content_type_is_told_the_right_one(concentrator: Concentrator, device: Device, password: str) -> None:
    answer = enrol(device.request(), headers=basic(concentrator.eui, password), content_type="text/plain")

    assert (answer.status_code, b"application/pkcs10" in answer.content) == (400, True)


def test_a_device_that_tries_on_and_on_fills_no_audit(
    concentrator: Concentrator, device: Device, password: str
) -> None:
    request = device.request(subject="/CN=other")
    for _ in range(4):
        enrol(request, headers=basic(concentrator.eui, password))

    assert Entry.objects.filter(action="enrolment.refused").count() == 1
