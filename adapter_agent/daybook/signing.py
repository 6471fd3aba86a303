"""The adapter's signing key: made on the device, sealed, and never leaving it."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from adapter_agent.durable import Durable
from meterwire.curves import ENTROPY_BYTES, Curve, PrivateKey
from meterwire.errors import MeterspanError


class SigningKeyError(MeterspanError):
    """The signing key cannot be read: restore the state folder, or remove the file and let a new key be made."""

    code = "signing_key"


class _Stored(Struct, forbid_unknown_fields=True):
    curve: Curve
    private: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Signer:
    """The key in use; `seq` counts the adapter's signing keys from 1."""

    key: PrivateKey
    seq: int


class SigningKeyFile:
    """`entropy` gives so many random octets as it is asked for."""

    def __init__(self, file: Durable, entropy: Callable[[int], bytes]) -> None:
        self._file, self._entropy = file, entropy

    def load(self, curve: Curve, known_seq: int = 0) -> Signer:
        """The key, made at the first start and when another curve is wanted; its seq is above `known_seq` then.

        Raises SigningKeyError, or the file's error.
        """
        content = self._file.read()
        stored = None
        if content is not None:
            try:
                stored = msgspec.json.decode(content, type=_Stored)
                signer = Signer(PrivateKey(stored.curve, stored.private), stored.seq)
            except (msgspec.DecodeError, MeterspanError):
                raise SigningKeyError("the signing key is damaged; remove it, then a new one is made") from None
            if signer.key.curve is curve:
                return signer
        made = Signer(
            PrivateKey.generate(curve, self._entropy(ENTROPY_BYTES)), max(known_seq, stored.seq if stored else 0) + 1
        )
        self._file.write(msgspec.json.encode(_Stored(curve, made.key.reveal(), made.seq)))
        return made
