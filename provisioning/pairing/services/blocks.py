"""Guessing owner tokens blocks the person who guesses, never the adapter; an operator lets the person scan again."""

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.permissions import require
from provisioning.audit.services import audited, record
from provisioning.errors import Forbidden
from provisioning.pairing.models import MAX_WRONG, WrongClaim
from provisioning.pairing.services.answers import Refusal


def clear_wrong_claims(actor: Actor, organisation: Organisation, user: User) -> int:
    """Let `user` scan again; how many wrong attempts were cleared. Nobody does this for themselves."""
    require(actor, organisation, "pairing.unblock")
    own = user_of(actor)
    if own is not None and own.pk == user.pk:
        raise Forbidden(_("Somebody else has to unblock you; ask another operator."))
    with audited(organisation):
        held = WrongClaim.objects.filter(organisation=organisation, user=user, cleared_at=None)
        if cleared := held.update(cleared_at=timezone.now(), cleared_by=own):
            record(organisation, actor, "pairing.unblocked", user, {"wrong": cleared})
    return cleared


def refuse_if_blocked(organisation: Organisation, user: User) -> None:
    """Refuse a claim of somebody with MAX_WRONG wrong owner tokens. Under the organisation's lock, so none slips by."""
    if _wrong(organisation, user) >= MAX_WRONG:
        message = _("Too many wrong labels were tried from your account; ask an operator to unblock you.")
        raise Refusal(403, "blocked", message, kept=False)


def count_wrong(actor: Actor, organisation: Organisation, user: User, dev_eui: str, now: datetime) -> None:
    """Note a wrong owner token; the one that blocks is audited as `pairing.blocked`, which operators are shown."""
    WrongClaim.objects.create(organisation=organisation, user=user, dev_eui=dev_eui, at=now)
    wrong = _wrong(organisation, user)
    action = "pairing.blocked" if wrong == MAX_WRONG else "pairing.wrong_token"
    record(organisation, actor, action, user, {"dev_eui": dev_eui, "wrong": wrong})


def _wrong(organisation: Organisation, user: User) -> int:
    return WrongClaim.objects.filter(organisation=organisation, user=user, cleared_at=None).count()
