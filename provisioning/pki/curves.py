"""The two curves of this installation's certificates, between `meterwire.curves` and X.509."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meterwire.curves import Curve

GROUPS: Final[dict[Curve, ec.EllipticCurve]] = {Curve.P256: ec.SECP256R1(), Curve.BRAINPOOL: ec.BrainpoolP256R1()}
_UPPER: Final = {Curve.P256: 0x00, Curve.BRAINPOOL: 0x10}


def curve_of(key: object) -> Curve | None:
    """The curve of a public key out of a request or certificate; None when it is none of the two."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return next((curve for curve, group in GROUPS.items() if group.name == key.curve.name), None)
    return None


def octets(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 33 octets of a public key as `meterwire.curves` writes them. KeyError for another curve."""
    curve = Curve(curve_of(key) or "")
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return bytes([compressed[0] | _UPPER[curve]]) + compressed[1:]
