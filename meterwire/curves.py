"""Key pairs for agreement and signatures: X25519, P-256 and brainpoolP256r1, each public key in 33 octets.

The first octet names the curve: 01 X25519 (RFC 7748), 02 or 03 P-256 and 12 or 13 brainpoolP256r1 (RFC 5639), both
compressed as in SEC 1 section 2.3.3 with the curve in the upper half of the octet.
"""

from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from meterwire.errors import AuthenticationError, FormatError, ValueOutOfRange

PUBLIC_BYTES: Final = 33
PRIVATE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ENTROPY_BYTES: Final = 48  # for a new key: so many that a number below the order is as good as uniform


class Curve(StrEnum):
    X25519 = "x25519"
    P256 = "p-256"
    BRAINPOOL = "brainpoolP256r1"


_EC: Final[dict[Curve, tuple[ec.EllipticCurve, int, int]]] = {
    # The curve, its order, the upper half of a public key's first octet.
    Curve.P256: (ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, 0x00),
    Curve.BRAINPOOL: (
        ec.BrainpoolP256R1(),
        0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
        0x10,
    ),
}
SIGNING: Final = frozenset(_EC)


class PublicKey:
    """A point that was checked to lie on its curve; equal when its octets are."""

    __slots__ = ("_key", "curve", "octets")

    def __init__(self, octets: bytes) -> None:
        """FormatError for what is no 33-octet public key of a known curve."""
        if len(octets) != PUBLIC_BYTES:
            raise FormatError(f"a public key has {PUBLIC_BYTES} octets, not {len(octets)}")
        self.octets = bytes(octets)
        self.curve, self._key = _decoded(self.octets)

    def verify(self, signature: bytes, message: bytes) -> None:
        """AuthenticationError unless `signature` (r and s, 64 octets) is this key's over SHA-256 of `message`."""
        if not isinstance(self._key, ec.EllipticCurvePublicKey) or len(signature) != SIGNATURE_BYTES:
            raise AuthenticationError("the signature does not fit its key: another curve or another length")
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        try:
            self._key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise AuthenticationError("the signature does not fit: another key, or changed data") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"PublicKey({self.curve}, {self.octets.hex()})"


class PrivateKey:
    """Shows itself nowhere."""

    __slots__ = ("_key", "curve", "public")

    def __init__(self, curve: Curve, octets: bytes) -> None:
        """From its 32 octets. ValueOutOfRange for a number that is none of the curve's."""
        if len(octets) != PRIVATE_BYTES:
            raise ValueOutOfRange(f"a private key has {PRIVATE_BYTES} octets, not {len(octets)}")
        self.curve = Curve(curve)
        self._key: X25519PrivateKey | ec.EllipticCurvePrivateKey
        if self.curve is Curve.X25519:
            self._key = X25519PrivateKey.from_private_bytes(octets)
        else:
            group, order, _ = _EC[self.curve]
            number = int.from_bytes(octets)
            if not 0 < number < order:
                raise ValueOutOfRange(f"this is no private key of {self.curve}")
            self._key = ec.derive_private_key(number, group)
        self.public = PublicKey(_encoded(self.curve, self._key))

    @classmethod
    def generate(cls, curve: Curve, entropy: bytes) -> "PrivateKey":
        """A new key out of 48 random octets that serve for nothing else."""
        if len(entropy) != ENTROPY_BYTES:
            raise ValueOutOfRange(f"a new private key takes {ENTROPY_BYTES} random octets, not {len(entropy)}")
        if curve is Curve.X25519:
            return cls(curve, entropy[:PRIVATE_BYTES])
        number = int.from_bytes(entropy) % (_EC[curve][1] - 1) + 1  # FIPS 186-5, A.2.1
        return cls(curve, number.to_bytes(PRIVATE_BYTES))

    def reveal(self) -> bytes:
        """The 32 octets; only to be sealed."""
        if isinstance(self._key, X25519PrivateKey):
            return self._key.private_bytes_raw()
        return self._key.private_numbers().private_value.to_bytes(PRIVATE_BYTES)

    def exchange(self, peer: PublicKey) -> bytes:
        """The 32 octets shared with `peer`, for a key derivation only. ValueOutOfRange for a key of no use."""
        if peer.curve is not self.curve:
            raise ValueOutOfRange(f"a key of {peer.curve} cannot be used with one of {self.curve}")
        try:
            if isinstance(self._key, X25519PrivateKey):
                assert isinstance(peer._key, X25519PublicKey)
                return self._key.exchange(peer._key)
            assert isinstance(peer._key, ec.EllipticCurvePublicKey)
            return self._key.exchange(ec.ECDH(), peer._key)
        except ValueError:
            raise ValueOutOfRange("the partner's public key is of small order: it gives no secret") from None

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of `message`: r and s, 64 octets. ValueOutOfRange for X25519, which signs nothing."""
        if isinstance(self._key, X25519PrivateKey):
            raise ValueOutOfRange("X25519 signs nothing: take P-256 or brainpoolP256r1")
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def __repr__(self) -> str:
        return f"PrivateKey({self.curve}, hidden)"


def _encoded(curve: Curve, key: X25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    if isinstance(key, X25519PrivateKey):
        return b"\x01" + key.public_key().public_bytes_raw()
    numbers = key.public_key().public_numbers()
    return bytes([_EC[curve][2] | 2 | numbers.y & 1]) + numbers.x.to_bytes(32)


def _decoded(octets: bytes) -> tuple[Curve, X25519PublicKey | ec.EllipticCurvePublicKey]:
    if octets[0] == 1:
        return Curve.X25519, X25519PublicKey.from_public_bytes(octets[1:])
    for curve, (group, _, upper) in _EC.items():
        if octets[0] & 0xFE == upper | 2:
            try:
                point = bytes([octets[0] & 0x0F]) + octets[1:]
                return curve, ec.EllipticCurvePublicKey.from_encoded_point(group, point)
            except ValueError:
                raise FormatError(f"this is no point of {curve}") from None
    raise FormatError(f"0x{octets[0]:02x} names no curve that is known here")
