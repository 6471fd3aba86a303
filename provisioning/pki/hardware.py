"""An authority's key in a PKCS#11 token: made there, never out of it, signing there."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from django.utils.translation import gettext as _
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, exceptions
from pkcs11.types import Session

from meterwire.curves import Curve
from provisioning.keys.providers.token import Token, TokenPlace
from provisioning.pki.curves import GROUPS
from provisioning.pki.errors import NoAuthority

# The curves' names as CKA_EC_PARAMS wants them: object identifiers in DER.
_PARAMETERS: Final = {
    Curve.P256: bytes.fromhex("06082a8648ce3d030107"),
    Curve.BRAINPOOL: bytes.fromhex("06092b2403030208010107"),
}
_NEVER_OUT: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DERIVE: False,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
}
T = TypeVar("T")


class TokenKey(ec.EllipticCurvePrivateKey):
    """Signs ECDSA with SHA-256 in the token; whatever else a private key can do, this one refuses."""

    def __init__(self, label: str, public: ec.EllipticCurvePublicKey) -> None:
        self._label, self._public = label, public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """The DER signature. NoAuthority while the token does not do its work."""
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(signature_algorithm.algorithm, SHA256):
            raise NotImplementedError("an authority signs ECDSA with SHA-256")
        digest = hashlib.sha256(data).digest()

        def signed(session: Session) -> bytes:
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, key_type=KeyType.EC, label=self._label)
            return bytes(key.sign(digest, mechanism=Mechanism.ECDSA))  # type: ignore[attr-defined]

        raw = _asked(lambda: token().run(signed))
        half = len(raw) // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise NotImplementedError("an authority's key agrees on nothing")

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError("the key stays in its token")

    def private_bytes(self, *_: Any) -> NoReturn:
        raise NotImplementedError("the key stays in its token")

    def __copy__(self) -> "TokenKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "TokenKey":
        return self

    def __repr__(self) -> str:
        return f"TokenKey({self._label!r})"


def token() -> Token:
    """The token that the setting PKCS11 names. NoAuthority when it names none."""
    named = settings.PKCS11
    if missing := [name for name in ("module", "token", "pin_file") if not named[name]]:
        raise NoAuthority(
            _("The authority's key is in a token, but this process knows none: set MSPAN_PKCS11_{names}.").format(
                names=", _".join(name.upper() for name in missing)
            )
        )
    return Token.at(TokenPlace(named["module"], named["token"], named["pin_file"]))


def generate(label: str, curve: Curve) -> TokenKey:
    """Make a key pair in the token under a label that nothing there has yet. NoAuthority when it does not."""

    def made() -> bytes:
        with token().writing() as session:
            if list(session.get_objects({Attribute.LABEL: label})):
                raise NoAuthority(_("The token holds a key {label} already.").format(label=label))
            parameters = session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: _PARAMETERS[curve]}, local=True
            )
            public, _private = parameters.generate_keypair(
                label=label, id=secrets.token_bytes(8), store=True, private_template=_NEVER_OUT
            )
            return bytes(public[Attribute.EC_POINT])

    point = _asked(made)
    # CKA_EC_POINT is an OCTET STRING around the point.
    return TokenKey(label, ec.EllipticCurvePublicKey.from_encoded_point(GROUPS[curve], point[2:]))


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except exceptions.PKCS11Error as error:
        raise NoAuthority(
            _("The token with the authority's key does not do its work ({error}); look at the hardware.").format(
                error=type(error).__name__
            )
        ) from None
