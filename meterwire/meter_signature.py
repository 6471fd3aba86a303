"""Signatures that meters make themselves: verified, never made, and on curves that we use for nothing else (port 18).

MSB-DSS meters hold a key on secp192r1 ("ECC192"; its public key is the register 129-129:199.130.5 of their SML lists)
or on brainpoolP256r1. What was passed through is the signed content and, at its end, r and s; the hash is SHA-256.
"""

from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from meterwire.errors import AuthenticationError, FormatError

PORT: Final = 18


class MeterCurve(StrEnum):
    SECP192R1 = "secp192r1"
    BRAINPOOL = "brainpoolP256r1"


_GROUPS: Final[dict[MeterCurve, ec.EllipticCurve]] = {
    MeterCurve.SECP192R1: ec.SECP192R1(),
    MeterCurve.BRAINPOOL: ec.BrainpoolP256R1(),
}


class MeterPublicKey:
    """A meter's public key: x and y, 24 octets each on secp192r1, 32 each on brainpoolP256r1."""

    __slots__ = ("_key", "curve", "octets")

    def __init__(self, curve: MeterCurve, octets: bytes) -> None:
        """FormatError for what is no point of the curve."""
        self.curve, self.octets = MeterCurve(curve), bytes(octets)
        group = _GROUPS[self.curve]
        if len(octets) != self.signature_bytes:
            raise FormatError(f"a public key on {curve} has {self.signature_bytes} octets (x and y), not {len(octets)}")
        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(group, b"\x04" + self.octets)
        except ValueError:
            raise FormatError(f"this is no point of {curve}: compare the digits with the meter's") from None

    @property
    def signature_bytes(self) -> int:
        """The length of r and s together, which is also that of the key."""
        return 2 * ((_GROUPS[self.curve].key_size + 7) // 8)

    def verify(self, passed: bytes) -> bytes:
        """The content of what was passed through, once its signature fits. AuthenticationError, FormatError."""
        length = self.signature_bytes
        if len(passed) <= length:
            raise FormatError(f"{len(passed)} octets hold no content with a signature of {length} octets behind it")
        content, r, s = passed[:-length], passed[-length : -length // 2], passed[-length // 2 :]
        try:
            signature = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
            self._key.verify(signature, content, ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise AuthenticationError("the meter's signature does not fit: another meter's, or changed data") from None
        return content

    def __repr__(self) -> str:
        return f"MeterPublicKey({self.curve}, {self.octets.hex()})"
