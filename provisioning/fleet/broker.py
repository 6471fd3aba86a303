"""Passwords of concentrators at the broker, in the form that Mosquitto's password file holds."""

import hashlib
import secrets
from base64 import b64encode

ITERATIONS = 10_000  # passwords are 192 random bits; the broker computes this at every connection
SALT_BYTES = 12  # Mosquitto takes no other length
PASSWORD_BYTES = 24


def new_password() -> str:
    """A random password; the only copy of its text."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def password_hash(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """`$7$iterations$salt$hash`, PBKDF2-HMAC-SHA512 as mosquitto_passwd writes it."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    return f"$7${iterations}${b64encode(salt).decode()}${b64encode(digest).decode()}"
