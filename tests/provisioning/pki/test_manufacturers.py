"""Which certificates of manufacturers are trusted: those of an authority, which every listener can read."""

import base64
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.errors import Invalid
from provisioning.pki.models import ManufacturerAuthority
from provisioning.pki.services import trust_manufacturer
from tests.cast import Cast
from tests.provisioning.pki.authority import some_authority


def test_a_certificate_that_openssl_does_not_read_is_refused_for_everybodys_sake(cast: Cast) -> None:
    good = ssl.PEM_cert_to_DER_cert(some_authority())
    odd = good.replace(b"\x13\x02DE", b"\x11\x02DE", 1)  # the country as a videotex string
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(odd).decode()}-----END CERTIFICATE-----\n"
    assert x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER) == odd != good

    with pytest.raises(Invalid) as refused:
        trust_manufacturer(cast.custodian, cast.organisation, name="Maker", pem=pem)
    assert refused.value.field == "pem"
    assert not ManufacturerAuthority.objects.exists()
