"""What every provider of a key-encryption key offers, and how it refuses."""

from typing import ClassVar, Final, Protocol

from meterwire.errors import AuthenticationError, MeterspanError

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
MAX_WRAPPED: Final = 4096  # what is wrapped under the key-encryption key itself is a key, or a few


class VaultLocked(MeterspanError):
    """This process has no key-encryption key, or it cannot be used, so it can open no device key."""

    code = "vault_locked"


class KekAway(VaultLocked):
    """The hardware that holds the key-encryption key does not answer; nothing was done."""

    code = "kek_away"
    temporary: ClassVar[bool] = True


class KeyDamaged(AuthenticationError):
    """A stored key does not open: changed, copied from another row, or sealed under another key-encryption key."""

    code = "key_damaged"


class KekMissing(KeyDamaged):
    """Sealed under a key-encryption key that this process does not hold; the message names it."""

    code = "kek_missing"


class KekProvider(Protocol):
    """A source of wrapping. `context` is authenticated: what was wrapped for one context opens for no other."""

    @property
    def kek_id(self) -> str:
        """Names the key-encryption key without telling anything about it; at most 40 characters."""

    @property
    def check_value(self) -> str:
        """First 3 bytes of AES-ECB over a zero block, 6 hex digits, as on protocols of key ceremonies."""

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Nonce 12, ciphertext, tag 16 (AES-256-GCM). Raises KekAway."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """What was wrapped for this context. Raises KeyDamaged, KekAway."""

    def intake_private(self) -> bytes:
        """The X25519 private key (32 bytes) for keys handed in by processes without this provider."""


def damaged() -> KeyDamaged:
    """The one answer to every wrapped key that does not open, whatever is wrong with it."""
    return KeyDamaged("The wrapped key does not open with this key-encryption key; restore the right one.")
