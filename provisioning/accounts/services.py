"""Every change to organisations, members and tokens: permission, change, audit, in one transaction."""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from meterwire.errors import AuthenticationError
from provisioning import validation
from provisioning.accounts import tokens
from provisioning.accounts.actors import Actor, System, user_of
from provisioning.accounts.models import ApiToken, Membership, Organisation, Role, User
from provisioning.accounts.permissions import membership_of, require
from provisioning.accounts.queries import own_tokens
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Forbidden, Invalid

LAST_USED_RESOLUTION = timedelta(minutes=1)
MAX_TOKENS_PER_USER = 50


class InvalidToken(AuthenticationError):
    """The token is unknown, expired, revoked or its owner may no longer log in."""

    code = "invalid_token"


class NewToken(NamedTuple):
    """A token and its text, which exists nowhere else and is shown once."""

    token: ApiToken
    text: str

    def __repr__(self) -> str:
        return f"NewToken({self.token}, text hidden)"


def create_organisation(actor: Actor, name: str, slug: str = "") -> Organisation:
    """A new tenant. Only the system and superusers may; nobody becomes a member by it."""
    if not isinstance(actor, System) and not (isinstance(actor, User) and actor.is_active and actor.is_superuser):
        raise Forbidden(_("Only the operator of the portal creates organisations."))
    name = validation.text("name", name, 120, required=True)
    slug = slugify(slug or name)[:60]
    if not slug:
        raise Invalid("slug", _("The short name needs at least one letter or digit."))
    with transaction.atomic():
        with validation.unique(
            _("There is an organisation with the short name '{slug}' already; choose another.").format(slug=slug)
        ):
            organisation = Organisation.objects.create(name=name, slug=slug)
        record(organisation, actor, "organisation.created", organisation)
    return organisation


def add_member(
    actor: Actor,
    organisation: Organisation,
    email: str,
    role: str,
    *,
    password: str | None = None,
    first_name: str = "",
    last_name: str = "",
    language: str = "",
    all_sites: bool = True,
) -> Membership:
    """Make the person with `email` a member. An unknown person gets an account, with `password` when given.

    `password` and names never change an account that exists.
    """
    email = _email(email)
    role = validation.choice("role", role, Role.values)
    require(actor, organisation, "accounts.manage")
    with audited(organisation):
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            user = _new_user(email, password, first_name, last_name, language)
        if Membership.objects.filter(user=user, organisation=organisation).exists():
            raise Conflict(_("{email} is a member already; change the role instead.").format(email=user.email))
        membership = Membership.objects.create(user=user, organisation=organisation, role=role, all_sites=all_sites)
        record(organisation, actor, "member.added", user, {"role": role, "all_sites": all_sites})
    return membership


def change_member(actor: Actor, membership: Membership, *, role: str, all_sites: bool = True) -> Membership:
    """Give a member another role or reach. Nobody changes their own; one administrator always stays."""
    role = validation.choice("role", role, Role.values)
    require(actor, membership.organisation, "accounts.manage")
    with audited(membership.organisation):
        _not_oneself(actor, membership)
        if role != Role.ADMINISTRATOR:
            _one_administrator_stays(membership)
        before = membership.role
        if not Membership.objects.filter(pk=membership.pk, role=before).update(role=role, all_sites=all_sites):
            raise Conflict(_("The member was changed by somebody else meanwhile; look again."))
        membership.role, membership.all_sites = role, all_sites
        data = {"from": before, "to": role, "all_sites": all_sites}
        record(membership.organisation, actor, "member.changed", membership.user, data)
    return membership


def remove_member(actor: Actor, membership: Membership) -> None:
    """End a membership and revoke the member's tokens here. Nobody removes themselves; one administrator stays."""
    require(actor, membership.organisation, "accounts.manage")
    with audited(membership.organisation):
        _not_oneself(actor, membership)
        _one_administrator_stays(membership)
        ApiToken.objects.filter(
            user_id=membership.user_id, organisation_id=membership.organisation_id, revoked_at=None
        ).update(revoked_at=timezone.now())
        record(membership.organisation, actor, "member.removed", membership.user, {"role": membership.role})
        membership.delete()


def set_preferences(user: User, *, language: str | None = None, theme: str | None = None) -> User:
    """Change one's own language (`en`, `de` or empty: as the browser) and theme."""
    if language is not None:
        user.language = validation.choice("language", language, ["", "en", "de"])
    if theme is not None:
        user.theme = validation.choice("theme", theme, User.Theme.values)
    user.save(update_fields=["language", "theme"])
    return user


def create_token(
    actor: Actor,
    organisation: Organisation,
    name: str,
    *,
    role: str | None = None,
    read_only: bool = True,
    expires_at: datetime | None = None,
) -> NewToken:
    """A token that acts for the calling user with at most `role` (None: the user's own). Its text is shown once."""
    name = validation.text("name", name, 80, required=True)
    if expires_at is not None and validation.moment("expires_at", expires_at) <= timezone.now():
        raise Invalid("expires_at", _("The expiry must lie in the future."))
    if not isinstance(actor, User):
        raise Forbidden(_("Tokens are made by the person for whom they act, not by a program."))
    require(actor, organisation, "token.own")
    with audited(organisation):
        membership = membership_of(actor, organisation)
        assert membership is not None
        role = validation.choice("role", role or membership.role, Role.values)
        if own_tokens(actor, organisation).filter(revoked_at=None).count() >= MAX_TOKENS_PER_USER:
            raise Conflict(
                _("There are {limit} tokens already; revoke one that is no longer used.").format(
                    limit=MAX_TOKENS_PER_USER
                )
            )
        parts = tokens.Parts(secrets.token_hex(tokens.PREFIX_BYTES), secrets.token_hex(tokens.SECRET_BYTES))
        peppers = tokens.peppers()
        newest = max(peppers)
        token = ApiToken.objects.create(
            organisation=organisation,
            user=actor,
            name=name,
            prefix=parts.prefix,
            digest=tokens.digest(parts, peppers[newest]),
            pepper=newest,
            role=role,
            read_only=read_only,
            expires_at=expires_at,
        )
        data = {"role": role, "read_only": read_only, "expires_at": expires_at}
        record(organisation, actor, "token.created", token, data)
    return NewToken(token, tokens.compose(*parts))


def revoke_token(actor: Actor, token: ApiToken) -> None:
    """End a token at once: one's own, or anybody's with accounts.manage. A second time changes nothing."""
    with audited(token.organisation):
        user = user_of(actor)
        own = user is not None and user.pk == token.user_id
        require(actor, token.organisation, "token.own" if own else "accounts.manage")
        now = timezone.now()
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
            token.revoked_at = now
            record(token.organisation, actor, "token.revoked", token)


def authenticate_token(text: str) -> ApiToken:
    """The live token with that text, its user and organisation loaded. Raises InvalidToken, the same for every reason.

    Takes the same time for an unknown prefix as for a wrong secret. `last_used_at` is written once a minute at most.
    """
    parts = tokens.parse(text) or tokens.Parts("0" * 10, "0" * 48)
    token = ApiToken.objects.select_related("user", "organisation").filter(prefix=parts.prefix).first()
    peppers = tokens.peppers()
    pepper = peppers.get(token.pepper) if token is not None else None
    offered = tokens.digest(parts, pepper or b"\0" * tokens.MIN_PEPPER_BYTES)
    fits = hmac.compare_digest(offered, token.digest if token is not None else "0" * 64)
    now = timezone.now()
    if not fits or token is None or pepper is None or not _usable(token, now):
        raise InvalidToken(_("This token is not valid: make a new one in your settings."))
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_RESOLUTION)
    if token.last_used_at is None or token.last_used_at < now - LAST_USED_RESOLUTION:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


def _usable(token: ApiToken, now: datetime) -> bool:
    alive = token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
    return alive and membership_of(token, token.organisation) is not None


def _email(email: str) -> str:
    email = User.objects.normalize_email(validation.text("email", email, 254, required=True))
    try:
        validate_email(email)
    except ValidationError:
        raise Invalid("email", _("'{email}' is no email address.").format(email=email)) from None
    return email


def _new_user(email: str, password: str | None, first_name: str, last_name: str, language: str) -> User:
    user = User(
        email=email,
        first_name=validation.text("first_name", first_name, 150),
        last_name=validation.text("last_name", last_name, 150),
        language=validation.choice("language", language, ["", "en", "de"]),
    )
    if password is not None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise Invalid("password", " ".join(error.messages)) from None
    user.set_password(password)
    with validation.unique(_("There is an account for {email} already; try again.").format(email=email)):
        user.save()
    return user


def _not_oneself(actor: Actor, membership: Membership) -> None:
    user = user_of(actor)
    if user is not None and user.pk == membership.user_id:
        raise Forbidden(_("Nobody changes their own membership; ask another administrator."))


def _one_administrator_stays(membership: Membership) -> None:
    if membership.role != Role.ADMINISTRATOR:
        return
    others = Membership.objects.filter(organisation_id=membership.organisation_id, role=Role.ADMINISTRATOR)
    if not others.exclude(pk=membership.pk).exists():
        raise Conflict(_("This is the last administrator; make another one first."))
