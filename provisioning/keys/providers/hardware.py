"""The key-encryption key in hardware (PKCS#11): an AES-256 key that never leaves its token wraps with AES-GCM."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, exceptions
from pkcs11.mechanisms import GCMParams
from pkcs11.types import Session

from provisioning.keys.providers.base import MAX_WRAPPED, NONCE_BYTES, TAG_BYTES, KekAway, VaultLocked, damaged
from provisioning.keys.providers.public import write_once, write_public
from provisioning.keys.providers.token import Token, TokenPlace

T = TypeVar("T")

_ID_BYTES: Final = 8
_INTAKE = b"mspan intake v1"
_NEVER_OUT: Final = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ENCRYPT: True,
    Attribute.DECRYPT: True,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
    Attribute.SIGN: False,
    Attribute.VERIFY: False,
    Attribute.DERIVE: False,
}


@dataclass(frozen=True)
class KekPlace:
    """A key in a token by its label, and the file with the intake's private key, which is wrapped under that key."""

    token: TokenPlace
    label: str
    intake_file: str

    @classmethod
    def of(cls, named: Mapping[str, str]) -> "KekPlace":
        """From the setting PKCS11. Raises VaultLocked naming what is not set."""
        if missing := sorted(
            name for name in ("module", "token", "label", "pin_file", "intake_file") if not named[name]
        ):
            raise VaultLocked(
                f"The PKCS#11 settings lack {', '.join(missing)}; see MSPAN_PKCS11_* in docs/custodian.md."
            )
        place = TokenPlace(named["module"], named["token"], named["pin_file"])
        return cls(place, named["label"], named["intake_file"])


class Pkcs11Kek:
    """The provider `pkcs11`. The token is asked once for each data key and process, never for a device key."""

    def __init__(self, place: KekPlace) -> None:
        """Raises VaultLocked when the key is missing, ambiguous or could leave the token, KekAway without a token."""
        self._place, self._token = place, Token.at(place.token)
        self._key_id: bytes | None = None
        try:
            key_id, self._check_value = self._call(_identity)
        except exceptions.PKCS11Error as error:
            raise self._away(error) from None
        self._key_id, self._id = key_id, f"pkcs11:{key_id.hex()[:32]}"
        self._intake = b""

    @classmethod
    def at(cls, place: KekPlace) -> "Pkcs11Kek":
        """The one of this process."""
        return _kek_at(place)

    @property
    def kek_id(self) -> str:
        return self._id

    @property
    def check_value(self) -> str:
        return self._check_value

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        try:
            return nonce + self._call(lambda key: bytes(key.encrypt(data_key, **_gcm(nonce, context))))
        except exceptions.PKCS11Error as error:
            raise self._away(error) from None

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if not NONCE_BYTES + TAG_BYTES < len(wrapped) <= MAX_WRAPPED:
            raise damaged()
        nonce, body = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self._call(lambda key: bytes(key.decrypt(body, **_gcm(nonce, context))))
        except exceptions.PKCS11Error as error:
            # A token names a wrong tag as it likes, SoftHSM as GeneralError: one that still works has found it wrong.
            if self._works():
                raise damaged() from None
            raise self._away(error) from None

    def intake_private(self) -> bytes:
        if not self._intake:
            try:
                wrapped = Path(self._place.intake_file).read_bytes()
            except OSError as error:
                raise VaultLocked(
                    f"The wrapped intake key {self._place.intake_file} cannot be read ({error.strerror});"
                    " restore it, it is in every backup."
                ) from None
            self._intake = self.unwrap(wrapped, _INTAKE)
        return self._intake

    def __repr__(self) -> str:
        return f"Pkcs11Kek({self._id})"

    def _call(self, use: Callable[[Any], T]) -> T:
        """What `use` makes of the key. In a session that was lost unnoticed the key seems gone: run looks again."""
        label = self._place.label
        try:
            return self._token.run(lambda session: use(_find(session, label, self._key_id)))
        except exceptions.NoSuchKey:
            raise VaultLocked(f"The token holds no AES key {label}; make it with manage.py kek_init.") from None
        except exceptions.MultipleObjectsReturned:
            raise VaultLocked(f"The token holds several keys {label}; give the right one a label of its own.") from None

    def _works(self) -> bool:
        try:
            return bool(self._call(_identity) == (self._key_id, self._check_value))
        except (exceptions.PKCS11Error, VaultLocked):
            return False

    def _away(self, error: exceptions.PKCS11Error) -> KekAway:
        return KekAway(
            f"The token {self._place.token.token} does not do its work ({type(error).__name__});"
            " look at the hardware and its service."
        )


def create(place: KekPlace) -> Path:
    """Make the key in the token, the wrapped intake key, and beside it `<intake file>.pub`.

    FileExistsError rather than a second key with that label or an overwritten file. When it was interrupted after the
    key was made, calling it again makes the files.
    """
    if Path(place.intake_file).exists():
        raise FileExistsError(17, "File exists", place.intake_file)
    with Token.at(place.token).writing() as session:
        if not _labelled(session, place.label):
            session.generate_key(
                KeyType.AES, 256, id=secrets.token_bytes(_ID_BYTES), label=place.label, store=True, template=_NEVER_OUT
            )
    kek = Pkcs11Kek(place)
    write_once(Path(place.intake_file), kek.wrap(secrets.token_bytes(32), _INTAKE), 0o600)
    return write_public(Path(place.intake_file), kek)


def holds(place: KekPlace) -> bool:
    """Whether the token has a secret key of that label. Raises VaultLocked, KekAway."""
    return Token.at(place.token).run(lambda session: bool(_labelled(session, place.label)))


def destroy(place: KekPlace) -> None:
    """Remove the keys of that label from the token, such as a rehearsal's; what they wrapped is lost."""
    with Token.at(place.token).writing() as session:
        for key in _labelled(session, place.label):
            key.destroy()


@cache
def _kek_at(place: KekPlace) -> Pkcs11Kek:
    return Pkcs11Kek(place)


def _labelled(session: Session, label: str) -> list[Any]:
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}))


def _gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, context, 8 * TAG_BYTES)}


def _find(session: Session, label: str, key_id: bytes | None) -> Any:
    return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=label, id=key_id)


def _identity(key: Any) -> tuple[bytes, str]:
    """Its CKA_ID and its check value; refuses a key that the token would give out."""
    if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
        raise VaultLocked(
            "The key-encryption key could leave its token; make one that cannot, with manage.py kek_init."
        )
    block = key.encrypt(bytes(16), mechanism=Mechanism.AES_ECB)
    return key.id, block[:3].hex()
