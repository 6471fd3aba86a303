"""Passkeys (WebAuthn Level 2): the two ceremonies, in which an authenticator shows that it holds a key for this portal.

Only what the authenticator itself verified its person for counts: by PIN, fingerprint or face.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from allauth.mfa.models import Authenticator
from cryptography.exceptions import InvalidSignature
from django.utils.translation import gettext as _
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from meterwire.errors import AuthenticationError
from provisioning.accounts.models import User

MAX_RESPONSE = 20_000  # characters of what a browser sends back
VERIFIED = UserVerificationRequirement.REQUIRED
State = Mapping[str, Any]
T = TypeVar("T")


class WrongFactor(AuthenticationError):
    """The code or the passkey does not fit; the same for every reason."""

    code = "wrong_factor"


@dataclass(frozen=True, slots=True)
class Party:
    """This portal as a browser knows it: the domain that passkeys are bound to, and the origin of its pages."""

    domain: str
    origin: str


def begin_registration(user: User, party: Party) -> tuple[dict[str, Any], State]:
    """Options for `navigator.credentials.create` (as JSON), and the state that `finish_registration` needs."""
    options, state = _server(party).register_begin(
        PublicKeyCredentialUserEntity(
            id=_handle(user), name=user.email, display_name=user.get_full_name() or user.email
        ),
        credentials=[_credential(row) for row in passkeys_of(user)],
        resident_key_requirement=ResidentKeyRequirement.PREFERRED,
        user_verification=VERIFIED,
        extensions={"credProps": True},
    )
    return dict(options), dict(state)


def finish_registration(party: Party, state: State, response: str) -> dict[str, Any]:
    """What to keep of a new passkey, in allauth's form. WrongFactor when the answer does not fit."""
    answer = _json(response)

    def check() -> AuthenticatorData:
        made = _server(party).register_complete(state, RegistrationResponse.from_dict(answer))
        assert made.credential_data is not None
        _usable(made.credential_data)
        return made

    made = _checked(check)
    kept = {name: answer[name] for name in ("id", "rawId", "type", "clientExtensionResults") if name in answer}
    inner = {name: answer["response"][name] for name in ("clientDataJSON", "attestationObject")}
    return {"credential": {**kept, "response": inner}, "sign_count": made.counter}


def begin_authentication(user: User | None, party: Party) -> tuple[dict[str, Any], State]:
    """Options for `navigator.credentials.get` and the state; without `user` the passkey tells who it is."""
    credentials = None if user is None else [_credential(row) for row in passkeys_of(user)]
    options, state = _server(party).authenticate_begin(credentials, user_verification=VERIFIED)
    return dict(options), dict(state)


def finish_authentication(user: User, party: Party, state: State, response: str) -> tuple[Authenticator, int]:
    """Which passkey of `user` answered, and its counter of signatures. WrongFactor when none did."""
    answer = _json(response)
    rows = {bytes(_credential(row).credential_id): row for row in passkeys_of(user)}

    def check() -> tuple[Authenticator, int]:
        given = AuthenticationResponse.from_dict(answer)
        used = _server(party).authenticate_complete(state, [_credential(row) for row in rows.values()], given)
        return rows[bytes(used.credential_id)], given.response.authenticator_data.counter

    return _checked(check)


def claimed_user(response: str) -> User:
    """Whose passkey a response claims to be, not proven yet. WrongFactor when it names nobody who may log in."""
    answer = _json(response)
    handle = _checked(lambda: int(websafe_decode(answer["response"]["userHandle"]).decode("ascii")))
    user = User.objects.filter(pk=handle, is_active=True).first() if 0 < handle < 2**63 else None
    if user is None:
        raise WrongFactor(_refusal())
    return user


def passkeys_of(user: User) -> list[Authenticator]:
    """The passkeys of `user`, oldest first."""
    return list(Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.WEBAUTHN).order_by("pk"))


def _server(party: Party) -> Fido2Server:
    entity = PublicKeyCredentialRpEntity(id=party.domain, name="Meterspan")
    return Fido2Server(entity, verify_origin=lambda origin: origin == party.origin)


def _handle(user: User) -> bytes:
    return str(user.pk).encode()


def _credential(row: Authenticator) -> AttestedCredentialData:
    credential: AttestedCredentialData = row.wrap().authenticator_data.credential_data
    return credential


def _usable(credential: AttestedCredentialData) -> None:
    """A key of an unknown kind, or one that is no key, is refused now and not at the next login."""
    try:
        credential.public_key.verify(b"", b"")
    except InvalidSignature:
        return
    raise ValueError("verifies an empty signature")


def _json(response: str) -> dict[str, Any]:
    def check() -> dict[str, Any]:
        answer = json.loads(response) if len(response) <= MAX_RESPONSE else None
        if not isinstance(answer, dict):
            raise TypeError
        return answer

    return _checked(check)


def _checked(check: Callable[[], T]) -> T:
    try:
        return check()
    except Exception as error:  # the parsers below raise whatever a hostile answer makes them stumble over
        raise WrongFactor(_refusal()) from error


def _refusal() -> str:
    return _("The passkey was not accepted. Try again, or take another one.")
