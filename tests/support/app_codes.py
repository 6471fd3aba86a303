"""What an authenticator app shows: computed by the cryptography library, not by what the portal checks with."""

from base64 import b32decode
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP


def shown_by_app(secret: str, at: datetime) -> str:
    """The six digits for the Base32 `secret` at that time (RFC 6238)."""
    return TOTP(b32decode(secret), 6, SHA1(), 30, enforce_key_length=False).generate(int(at.timestamp())).decode()
