"""Showing a second factor: a code serves once, a passkey signs a fresh challenge."""

from datetime import datetime
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.mfa.utils import decrypt
from django.db import transaction
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from provisioning.accounts import passkeys
from provisioning.accounts.factors import Kind, codes_left
from provisioning.accounts.models import User
from provisioning.accounts.passkeys import Party, State, WrongFactor
from provisioning.accounts.sealing import Unsealable
from provisioning.accounts.telling import told

MAX_CODE = 20  # characters of a typed code, blanks included


def use_code(user: User, code: str, now: datetime) -> Kind:
    """Spend a code of the app or a recovery code; neither serves twice. WrongFactor, the same for every reason.

    Unsealable when no recovery code fits and the app cannot be asked.
    """
    code = "".join(code.split()) if len(code) <= MAX_CODE else ""
    try:
        with transaction.atomic():
            if _use_app_code(user, code, now):
                return Kind.APP
    except Unsealable as error:
        try:
            return _use_recovery_code(user, code, now)
        except WrongFactor:
            raise error from None
    return _use_recovery_code(user, code, now)


def _use_recovery_code(user: User, code: str, now: datetime) -> Kind:
    detail: dict[str, Any] = {}
    with told(user, user, "factor.recovery_used", detail):
        row = _locked(user, Authenticator.Type.RECOVERY_CODES)
        if row is None or not row.wrap().validate_code(code):
            raise WrongFactor(_("The code does not fit, or it was used before. Wait for the next one and try again."))
        Authenticator.objects.filter(pk=row.pk).update(last_used_at=now)
        detail["left"] = codes_left(user)
    return Kind.RECOVERY


def use_passkey(user: User, party: Party, state: State, response: str, now: datetime) -> Kind:
    """Check what a passkey of `user` answered. WrongFactor, also for a copied one: its counter has gone back."""
    used, counter = passkeys.finish_authentication(user, party, state, response)
    with transaction.atomic():
        row = Authenticator.objects.select_for_update().filter(pk=used.pk).first()
        before = 0 if row is None else row.data.get("sign_count", 0)
        if row is None or (max(counter, before) > 0 and counter <= before):
            raise WrongFactor(_("The passkey was not accepted. Try again, or take another one."))
        row.data["sign_count"] = counter
        _noted(row, now)
    return Kind.PASSKEY


def counter_of(secret: str, code: str, now: datetime) -> int | None:
    current = int(now.timestamp()) // app_settings.TOTP_PERIOD
    near = range(current - app_settings.TOTP_TOLERANCE, current + app_settings.TOTP_TOLERANCE + 1)
    fitting = [
        n for n in near if constant_time_compare(format_hotp_value(hotp_value(secret, n)), "".join(code.split()))
    ]
    return max(fitting, default=None)


def _use_app_code(user: User, code: str, now: datetime) -> bool:
    row = _locked(user, Authenticator.Type.TOTP)
    counter = None if row is None else counter_of(decrypt(row.data["secret"]), code, now)
    if row is None or counter is None or counter <= row.data.get("counter", 0):
        return False
    row.data["counter"] = counter  # RFC 6238 section 5.2: a code is accepted once
    _noted(row, now)
    return True


def _locked(user: User, kind: Authenticator.Type) -> Authenticator | None:
    return Authenticator.objects.select_for_update().filter(user_id=user.pk, type=kind).first()


def _noted(row: Authenticator, now: datetime) -> None:
    row.last_used_at = now
    row.save(update_fields=["data", "last_used_at"])
