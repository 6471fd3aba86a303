"""An authenticator in software, and people who have used it: what a browser's passkey would send, and its traces.

It signs with P-256 and encodes by hand (WebAuthn Level 2, sections 6.1 and 6.5), so that it judges the portal's side.
"""

import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from django.test import Client

from portal.web import second_factor
from provisioning.accounts.factors import Kind
from provisioning.accounts.models import Membership, Role, User

ORIGIN, DOMAIN = "http://testserver", "testserver"
PRESENT, VERIFIED, WITH_KEY = 0x01, 0x04, 0x40


@dataclass
class SoftPasskey:
    """One credential; `counter` is what it will send next, 0 for an authenticator that does not count."""

    origin: str = ORIGIN
    domain: str = DOMAIN
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    handle: str = ""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.create`."""
        self.handle = options["publicKey"]["user"]["id"]
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + self._cose()
        data = self._authenticator_data(self.flags | WITH_KEY) + attested
        head = b"\xa3" + _text("fmt") + _text("none") + _text("attStmt") + b"\xa0" + _text("authData")
        made = head + b"\x59" + len(data).to_bytes(2, "big") + data
        client = self._client("webauthn.create", options)
        return self._answer({"clientDataJSON": _web(client), "attestationObject": _web(made)})

    def get(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.get`."""
        data = self._authenticator_data(self.flags)
        client = self._client("webauthn.get", options)
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        response = {"clientDataJSON": _web(client), "authenticatorData": _web(data), "signature": _web(signature)}
        return self._answer({**response, "userHandle": self.handle})

    def _answer(self, response: dict[str, str]) -> str:
        own = _web(self.id)
        extensions = {"credProps": {"rk": True}}
        return json.dumps(
            {"id": own, "rawId": own, "type": "public-key", "clientExtensionResults": extensions, "response": response}
        )

    def _authenticator_data(self, flags: int) -> bytes:
        return sha256(self.domain.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        challenge = options["publicKey"]["challenge"]
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _cose(self) -> bytes:
        """{1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053, section 7.1.1)."""
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y


def give_passkey(user: User, name: str = "laptop") -> SoftPasskey:
    """`user` has a passkey from now on; the one returned answers for it."""
    made = SoftPasskey(handle=_web(str(user.pk).encode()))
    credential = json.loads(made.create({"publicKey": {"user": {"id": made.handle}, "challenge": "AA"}}))
    data = {"name": name, "credential": credential, "sign_count": 0}
    Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data=data)
    return made


def arrive(client: Client, user: User) -> None:
    """Log `user` in as the login page would: custodians with the passkey they must have, others by password."""
    client.force_login(user)
    custodian = Membership.objects.filter(user=user, role=Role.CUSTODIAN).exists()
    if custodian and not Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).exists():
        give_passkey(user)
    show(client, Kind.PASSKEY if custodian else Kind.PASSWORD)


def show(client: Client, kind: Kind) -> None:
    """The session of `client` has just shown `kind`."""
    session = client.session
    second_factor.mark(session, kind)
    session.save()
    assert session.session_key is not None
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key


def _text(text: str) -> bytes:
    return bytes([0x60 + len(text)]) + text.encode()


def _web(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
