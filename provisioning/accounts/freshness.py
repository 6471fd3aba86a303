"""What the person behind a session has shown, and when; kept in the session."""

from datetime import datetime, timedelta
from typing import Final

from django.contrib.sessions.backends.base import SessionBase

from provisioning.accounts.factors import Kind

FRESH: Final = timedelta(minutes=5)
SESSION_KEY: Final = "factor"


def mark(session: SessionBase, kind: Kind, now: datetime) -> None:
    """Note that the person behind `session` has just shown `kind`."""
    session[SESSION_KEY] = {**session.get(SESSION_KEY, {}), kind.value: now.timestamp()}


def shown(session: SessionBase) -> frozenset[Kind]:
    """What was shown in this session, however long ago."""
    kept = session.get(SESSION_KEY, {})
    return frozenset(kind for kind in Kind if kind.value in kept)


def is_fresh(session: SessionBase, accepted: frozenset[Kind], now: datetime) -> bool:
    """Whether one of `accepted` was shown in this session in the last five minutes."""
    kept = session.get(SESSION_KEY, {})
    return any(0 <= now.timestamp() - kept.get(kind.value, 0) <= FRESH.total_seconds() for kind in accepted)
