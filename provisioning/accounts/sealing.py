"""How allauth keeps the secrets of factors in the database: encrypted, under a key that is not in it."""

import secrets
from base64 import b64decode, b64encode

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils.translation import gettext as _

from meterwire.errors import AuthenticationError
from provisioning.accounts import tokens
from provisioning.derivation import derive

NONCE_BYTES = 12


class Unsealable(AuthenticationError):
    """The secret of a factor was sealed under a pepper that is gone, or was changed in the database."""

    code = "unsealable"


class SealingAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """AES-256-GCM under a key derived from the newest pepper; its number stands in front."""

    def encrypt(self, text: str) -> str:
        """`number:base64`, another one each time."""
        number = max(tokens.peppers())
        nonce = secrets.token_bytes(NONCE_BYTES)
        return f"{number}:{b64encode(nonce + _cipher(number).encrypt(nonce, text.encode(), None)).decode()}"

    def decrypt(self, encrypted_text: str) -> str:
        """What `encrypt` was given. Unsealable when its pepper is gone, or it was changed."""
        number, _colon, sealed = encrypted_text.partition(":")
        try:
            raw = b64decode(sealed, validate=True)
            return _cipher(int(number)).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()
        except (InvalidTag, KeyError, ValueError):
            raise Unsealable(
                _("This factor cannot be opened any more: take another one, or have yours reset.")
            ) from None


def _cipher(number: int) -> AESGCM:
    return AESGCM(derive(tokens.peppers()[number], "mspan secrets of factors v1"))
