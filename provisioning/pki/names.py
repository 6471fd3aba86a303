"""How a concentrator is called in a certificate: its EUI-64 as common name, and twice as alternative name.

RFC 9039 gives devices with an EUI-64 the name `urn:dev:mac:<eui>`; the DNS name is for programs that know no URI.
"""

import re
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_EUI: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SEPARATORS: Final = re.compile(r"[\s:.-]", re.ASCII)


def subject(eui: str) -> x509.Name:
    """The subject of that concentrator's certificate."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, eui)])


def alternatives(eui: str) -> list[x509.GeneralName]:
    """Its alternative names."""
    return [x509.DNSName(eui), x509.UniformResourceIdentifier(f"urn:dev:mac:{eui}")]


def euis_in(certificate: x509.Certificate) -> frozenset[str]:
    """Every EUI-64 that a manufacturer's certificate names: serialNumber, common name, alternative names."""
    texts = [
        str(attribute.value)
        for kind in (NameOID.SERIAL_NUMBER, NameOID.COMMON_NAME)
        for attribute in certificate.subject.get_attributes_for_oid(kind)
    ]
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        texts += [*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.UniformResourceIdentifier)]
    except x509.ExtensionNotFound:
        pass
    found = {_SEPARATORS.sub("", text.lower().removeprefix("urn:dev:mac:")) for text in texts}
    return frozenset(text for text in found if _EUI.fullmatch(text))
