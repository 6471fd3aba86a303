"""What a request should look like (RFC 7030, 4.5.2): an EC key on the authority's curve, signed with SHA-256."""

from collections.abc import Sequence
from typing import Final

from cryptography.x509.oid import ObjectIdentifier, PublicKeyAlgorithmOID, SignatureAlgorithmOID

from meterwire.curves import Curve

_CURVES: Final = {
    Curve.P256: ObjectIdentifier("1.2.840.10045.3.1.7"),
    Curve.BRAINPOOL: ObjectIdentifier("1.3.36.3.3.2.8.1.1.7"),
}
_OID, _SEQUENCE, _SET = 0x06, 0x30, 0x31


def wanted(curve: Curve) -> bytes:
    """CsrAttrs in DER: the attribute id-ecPublicKey with the curve, and ecdsa-with-SHA256."""
    key = _tlv(_SEQUENCE, _oid(PublicKeyAlgorithmOID.EC_PUBLIC_KEY) + _tlv(_SET, _oid(_CURVES[curve])))
    return _tlv(_SEQUENCE, key + _oid(SignatureAlgorithmOID.ECDSA_WITH_SHA256))


def _oid(identifier: ObjectIdentifier) -> bytes:
    first, second, *rest = (int(arc) for arc in identifier.dotted_string.split("."))
    return _tlv(_OID, b"".join(_base128([40 * first + second, *rest])))


def _base128(arcs: Sequence[int]) -> list[bytes]:
    found = []
    for arc in arcs:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        found.append(bytes(reversed(digits)))
    return found


def _tlv(tag: int, content: bytes) -> bytes:
    assert len(content) < 0x80, "short form only: these attributes are small"
    return bytes([tag, len(content)]) + content
