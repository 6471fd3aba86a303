"""Setting second factors up and removing them; each change is audited wherever the person belongs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.mfa.utils import encrypt
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts import passkeys
from provisioning.accounts.actors import Actor
from provisioning.accounts.factors import Kind, factors_of
from provisioning.accounts.models import Role, User
from provisioning.accounts.passkeys import Party, State, WrongFactor
from provisioning.accounts.proofs import counter_of
from provisioning.accounts.telling import told
from provisioning.errors import Conflict, Forbidden

MAX_PASSKEYS = 10
MAX_NAME = 60


def new_app_secret() -> str:
    """A secret to be shared with an authenticator app: 160 bits in Base32 (RFC 4226 section 4)."""
    secret: str = generate_totp_secret()
    return secret


def add_app(user: User, secret: str, code: str, now: datetime) -> None:
    """Set up the app that shows codes for `secret` (RFC 6238), once it has shown a right one. WrongFactor otherwise."""
    counter = counter_of(secret, code, now)
    if counter is None:
        raise WrongFactor(_("The code does not fit. Is the clock of the device with the app right?"))
    with told(user, user, "factor.added", {"kind": Kind.APP.value}):
        if Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists():
            raise Conflict(_("An app is set up already; remove it before you set up another one."))
        data = {"secret": encrypt(secret), "counter": counter}
        Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data=data)


def add_passkey(user: User, party: Party, state: State, response: str, name: str) -> None:
    """Keep a passkey that answered `passkeys.begin_registration`. WrongFactor when the answer does not fit."""
    name = validation.text("name", name, MAX_NAME, required=True)
    data = passkeys.finish_registration(party, state, response)
    with told(user, user, "factor.added", {"kind": Kind.PASSKEY.value, "name": name}):
        if len(passkeys.passkeys_of(user)) >= MAX_PASSKEYS:
            raise Conflict(
                _("There are {limit} passkeys already; remove one that you no longer use.").format(limit=MAX_PASSKEYS)
            )
        Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data={"name": name, **data})


def remove(user: User, factor: Authenticator, roles: frozenset[str]) -> None:
    """Remove one's own app or passkey; with the last one the recovery codes end. A custodian keeps one passkey."""
    if factor.user_id != user.pk:
        raise Forbidden(_("This factor belongs to somebody else."))
    with told(user, user, "factor.removed", _named(factor)):
        last = [row.pk for row in passkeys.passkeys_of(user)] == [factor.pk]
        if last and Role.CUSTODIAN in roles:
            raise Conflict(_("Key custodians keep at least one passkey; set up the new one before you remove this."))
        if not Authenticator.objects.filter(pk=factor.pk).delete()[0]:
            raise Conflict(_("This factor is gone already."))
        if not factors_of(user):
            Authenticator.objects.filter(user_id=user.pk).delete()


def renew_codes(user: User) -> list[str]:
    """Ten new recovery codes, to be shown once; older ones end. Conflict for somebody without a factor."""
    with told(user, user, "factor.codes_renewed", {}):
        if not factors_of(user):
            raise Conflict(_("Recovery codes stand in for a factor that was lost; set up one first."))
        kind = Authenticator.Type.RECOVERY_CODES
        Authenticator.objects.filter(user_id=user.pk, type=kind).delete()
        codes: list[str] = RecoveryCodes.activate(user).generate_codes()
    return codes


def reset(actor: Actor, user: User, reason: str) -> int:
    """Remove every factor of somebody who lost them all; for the operator of the portal. How many there were."""
    reason = validation.text("reason", reason, 200, required=True)
    if isinstance(actor, User):
        raise Forbidden(_("Factors of others are removed on the portal's machine, with manage.py factor_reset."))
    with told(actor, user, "factor.reset", {"reason": reason}):
        return int(Authenticator.objects.filter(user_id=user.pk).delete()[0])


def _named(factor: Authenticator) -> Mapping[str, Any]:
    return {"kind": factor.type, **({"name": factor.data["name"]} if factor.type == Kind.PASSKEY else {})}
