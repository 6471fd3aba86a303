"""Separate keys for separate duties out of one secret (HKDF-SHA256, RFC 5869)."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(secret: bytes, label: str, length: int = 32, salt: bytes | None = None) -> bytes:
    """`length` bytes that only holders of `secret` can compute; another label gives unrelated bytes."""
    return HKDF(SHA256(), length, salt, label.encode()).derive(secret)
