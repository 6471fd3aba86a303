"""Makes a key pair on the device and the request for its certificate (PKCS #10, RFC 2986)."""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from concentrator_agent.enrolment.wallet import Held
from meterwire.curves import Curve, PrivateKey

GROUPS: Final[dict[str, ec.EllipticCurve]] = {
    Curve.P256: ec.SECP256R1(),
    Curve.BRAINPOOL: ec.BrainpoolP256R1(),
}


def new(eui: str, curve: Curve) -> Held:
    """A fresh key, and the request with the EUI as common name and alternative names (RFC 9039)."""
    key = ec.generate_private_key(GROUPS[curve])
    names = [x509.DNSName(eui), x509.UniformResourceIdentifier(f"urn:dev:mac:{eui}")]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, eui)]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Held(private, request.public_bytes(serialization.Encoding.DER))


def private_key(held: Held) -> PrivateKey:
    """The key as meterwire uses it: what was wrapped for the certificate opens with it."""
    key = serialization.load_der_private_key(held.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    (curve,) = (Curve(name) for name, group in GROUPS.items() if group.name == key.curve.name)
    return PrivateKey(curve, key.private_numbers().private_value.to_bytes(32))
