"""The keyed digest of a one-time password for an enrolment; the password itself is never kept."""

import hmac
import secrets
from hashlib import sha256
from typing import Final

from provisioning.accounts.tokens import peppers
from provisioning.derivation import derive

PASSWORD_BYTES: Final = 18
MAX_PASSWORD: Final = 100
MAX_WRONG: Final = 5  # tries; then the password is blocked
_NOBODY: Final = "0" * 64


def new_password() -> str:
    """144 random bits in 24 characters."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def current_pepper() -> int:
    """The number of the pepper that new digests are made under."""
    return max(peppers())


def digest(eui: str, password: str, pepper: int) -> str:
    """HMAC-SHA256 over EUI and password under that pepper, 64 hex digits; KeyError for an unknown pepper."""
    key = derive(peppers()[pepper], "mspan enrolment password v1")
    return hmac.new(key, f"{eui}|{password}".encode("utf-8", "surrogatepass"), sha256).hexdigest()


def fits(eui: str, password: str, stored: str | None, pepper: int) -> bool:
    """Whether it is the password of that digest; the same work when there is none (`stored` None)."""
    known = pepper in peppers()
    given = digest(eui, password[:MAX_PASSWORD], pepper if known else current_pepper())
    same = hmac.compare_digest(given, stored or _NOBODY)
    return same and known and stored is not None and len(password) <= MAX_PASSWORD
