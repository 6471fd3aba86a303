"""Second factors: which kinds there are, who has which, who must have one, and what counts before what."""

from enum import StrEnum

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.conf import settings

from provisioning.accounts.models import Role, User


class Kind(StrEnum):
    """What somebody can prove who they are with."""

    PASSWORD = "password"  # noqa: S105
    APP = "totp"
    RECOVERY = "recovery_codes"
    PASSKEY = "webauthn"


_SECOND = frozenset({Kind.APP, Kind.RECOVERY, Kind.PASSKEY})


def kinds_of(user: User) -> frozenset[Kind]:
    """Which kinds of second factors `user` has."""
    return frozenset(
        Kind(kind) for kind in Authenticator.objects.filter(user_id=user.pk).values_list("type", flat=True)
    )


def factors_of(user: User) -> list[Authenticator]:
    """App and passkeys of `user`, oldest first; recovery codes only stand in for them."""
    rows = Authenticator.objects.filter(user_id=user.pk).exclude(type=Authenticator.Type.RECOVERY_CODES)
    return list(rows.order_by("pk"))


def codes_left(user: User) -> int | None:
    """How many recovery codes `user` has not used yet; None when there are none at all."""
    row = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).first()
    return None if row is None else app_settings.RECOVERY_CODE_COUNT - int(row.data["used_mask"]).bit_count()


def demanded(roles: frozenset[str]) -> bool:
    """Whether people with these roles must have a second factor: key custodians, and administrators when set so."""
    return Role.CUSTODIAN in roles or (settings.DEMAND_SECOND_FACTOR and Role.ADMINISTRATOR in roles)


def missing(user: User, roles: frozenset[str]) -> bool:
    """Whether `user` still lacks the demanded one: a custodian a passkey, an administrator any."""
    if not demanded(roles):
        return False
    kinds = kinds_of(user)
    return Kind.PASSKEY not in kinds if Role.CUSTODIAN in roles else not kinds


def for_keys(user: User, roles: frozenset[str]) -> frozenset[Kind]:
    """What counts before a deed with keys: for custodians their passkey, for others any second factor they have."""
    if Role.CUSTODIAN in roles:
        return frozenset({Kind.PASSKEY})
    return _SECOND if kinds_of(user) else frozenset({Kind.PASSWORD})


def for_changes(user: User) -> frozenset[Kind]:
    """What counts before factors are changed. A code from the app is too little to replace a passkey."""
    kinds = kinds_of(user)
    if Kind.PASSKEY in kinds:
        return frozenset({Kind.PASSKEY, Kind.RECOVERY})
    return _SECOND if kinds else frozenset({Kind.PASSWORD})
