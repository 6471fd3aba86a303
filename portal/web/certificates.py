"""Reads for the pages about certificates: how each is, and how the issuing authority and its list are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from portal.web.states import State
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Authority, Certificate, OneTimePassword, RevocationList
from provisioning.pki.passwords import MAX_WRONG
from provisioning.pki.queries import latest_list, trusted_authorities
from provisioning.pki.services import fingerprint
from provisioning.pki.services.authorities import ends
from provisioning.pki.services.lists import is_stale

RENEWED_BY = 0.8  # of its life: a concentrator renews at two thirds
SUCCESSOR_DUE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class AuthorityLine:
    """A trusted authority as the page shows it."""

    row: Authority
    state: State
    fingerprint: str
    ends: datetime
    list: RevocationList | None
    list_state: State


def authorities(now: datetime) -> list[AuthorityLine]:
    """The active one first."""
    return [_line(row, now) for row in trusted_authorities()]


def of_certificate(row: Certificate, now: datetime) -> State:
    """Valid, due for renewal, over, revoked."""
    if row.revoked_at is not None:
        return State("bad", _("revoked"))
    if row.not_after <= now:
        return State("idle", _("over"))
    if now - row.not_before > RENEWED_BY * (row.not_after - row.not_before):
        return State("warn", _("not renewed yet"))
    return State("ok", _("valid"))


def of_password(concentrator: Concentrator, now: datetime) -> tuple[OneTimePassword | None, State]:
    """The present one-time password of a concentrator and how it is."""
    row = concentrator.enrolment_passwords.filter(withdrawn_at=None).first()
    if row is None:
        return None, State("idle", _("none"))
    if row.wrong_tries >= MAX_WRONG:
        return row, State("bad", _("blocked after wrong tries"))
    if row.key:
        return row, State("ok", _("used"))
    if row.expires_at <= now:
        return row, State("idle", _("over"))
    return row, State("warn", _("waits for its use"))


def _line(row: Authority, now: datetime) -> AuthorityLine:
    end, latest = ends(row), latest_list(row)
    if not row.active:
        state = State("idle", _("replaced, still trusted"))
    elif end - now < SUCCESSOR_DUE:
        state = State("warn", _("needs a successor"))
    else:
        state = State("ok", _("issues certificates"))
    if latest is None or latest.next_update <= now:
        list_state = State("bad", _("over"))
    elif is_stale(latest, now):
        list_state = State("bad", _("not signed anew"))
    else:
        list_state = State("ok", _("fresh"))
    return AuthorityLine(row, state, fingerprint(row), end, latest, list_state)
