"""A small authority for tests, of OpenSSL's making by way of `cryptography`: independent of the portal's own."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = timedelta(hours=1)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    """Signs certificates and lists; `certificate` is its own."""

    def __init__(self, name: str = "Test authority", curve: ec.EllipticCurve | None = None) -> None:
        self.key = ec.generate_private_key(curve or ec.SECP256R1())
        self.name = named(name)
        now = datetime.now(UTC)
        self.certificate = (
            self._builder(self.name, self.key.public_key(), now - HOUR, now + 1000 * HOUR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.revoked: list[int] = []
        self.made_at = now - 2 * HOUR

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def issue(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        *,
        server: bool = False,
        begins: datetime | None = None,
        life: timedelta = 100 * HOUR,
    ) -> x509.Certificate:
        begins = begins or datetime.now(UTC) - HOUR
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if server:
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        return (
            self._builder(named(name), key, begins, begins + life)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def list_pem(self, ends: timedelta = 24 * HOUR, second: int | None = None) -> bytes:
        """The list of revoked certificates, ending so long from now; the more it names the later it was made.

        `second`: made in that second instead.
        """
        now = datetime.now(UTC)
        begins = self.made_at + timedelta(seconds=len(self.revoked) if second is None else second)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(begins).next_update(now + ends)
        for serial in self.revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - HOUR).build()
            builder = builder.add_revoked_certificate(one)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def write_server(self, folder: Path, name: str = "localhost") -> tuple[Path, Path]:
        """(certificate, key) of a server on this machine, as files."""
        certificate, key = self.pair(name, server=True)
        files = folder / f"{name}.pem", folder / f"{name}.key"
        for file, body in zip(files, (certificate.public_bytes(Encoding.PEM), pem_of(key)), strict=True):
            file.write_bytes(body)
            file.chmod(0o600)
        return files

    def pair(self, name: str, *, server: bool = False) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        return self.issue(name, key.public_key(), server=server), key

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )
