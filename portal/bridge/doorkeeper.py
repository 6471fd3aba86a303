"""Keeps the broker's files current, and ends the sessions of those who may no longer be connected.

A broker checks accounts and certificates when somebody connects; who is connected already is put out by taking over
the client id, once the broker has read its files again.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from meterwire.errors import MeterspanError
from portal.ops import broker
from provisioning.fleet.queries import revoked_concentrators
from provisioning.keys.vault import Vault
from provisioning.pki.queries import broker_trust, revoked_names, revoked_since, trusted_authorities
from provisioning.pki.services import publish, refresh

log = logging.getLogger(__name__)

AFTER_S: Final = (0.4, 2.5)  # after the broker was told: it reads its files in between
ALARM_S: Final = 3600.0
NEARLY_OVER: Final = timedelta(hours=6)
OVERLAP: Final = timedelta(minutes=5)  # a revocation may be committed later than the time it bears


class Doorkeeper:
    """`look` and `due` run in a database thread; several bridges may do the same, it harms nobody."""

    INTERVAL_S = 1.0

    def __init__(self, vault: Vault, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._vault = vault
        self._monotonic = monotonic
        self._folder = Path(settings.BROKER_DIR) if settings.BROKER_DIR else None
        self._accounts = broker.accounts_in(self._folder) if self._folder is not None else frozenset()
        self._barred: frozenset[str] = frozenset()
        self._revoked: frozenset[tuple[str, datetime]] = frozenset()
        self._waiting: list[tuple[float, str]] = []  # when, whose session
        self._alarmed_at = -ALARM_S
        self._twins = False  # the last list and the one before it are of one second

    def look(self) -> None:
        """Bring the broker's files up to date and note who was shut out since the last look."""
        self._refresh()
        if self._folder is not None:
            self._keep(self._folder)
            self._alarm(self._folder)
        for name in sorted(self._shut_out()):
            log.warning("the session of a concentrator that was shut out is ended", extra={"concentrator": name})
            self._waiting += [(self._monotonic() + after, name) for after in AFTER_S]

    def due(self) -> list[str]:
        """Whose sessions to end now."""
        now = self._monotonic()
        found = [name for at, name in self._waiting if at <= now]
        self._waiting = [(at, name) for at, name in self._waiting if at > now]
        return found

    def again(self, name: str) -> None:
        """It could not be ended: once more in a moment."""
        self._waiting.append((self._monotonic() + AFTER_S[-1], name))

    def _shut_out(self) -> frozenset[str]:
        """Whom nothing lets in any more, who lost one of several certificates, whose account is gone."""
        barred = revoked_names() | revoked_concentrators()
        revoked = frozenset(revoked_since(timezone.now() - OVERLAP))
        accounts = broker.accounts_in(self._folder) if self._folder is not None else frozenset()
        news = (barred - self._barred) | {name for name, _ in revoked - self._revoked} | (self._accounts - accounts)
        self._barred, self._revoked, self._accounts = barred, revoked, accounts
        return frozenset(news)

    def _keep(self, folder: Path) -> None:
        before, trust = _begins(folder), broker_trust()
        stale = bool(before) and trust[1] != _text(folder)
        mqtt: dict[str, Any] = settings.MQTT
        if broker.keep(folder, mqtt["username"], mqtt["password"], trust):
            log.info("the broker was told of new accounts or certificates")
        self._twins = stale and bool(before & _begins(folder))

    def _refresh(self) -> None:
        """The lists of revoked certificates; normally the vault process has signed them already."""
        try:
            if self._twins:  # signed within one second: the broker may go by the first
                for authority in trusted_authorities():
                    publish(self._vault, authority, timezone.now())
            if signed := refresh(self._vault, timezone.now()):
                log.info("lists of revoked certificates signed", extra={"count": signed})
        except MeterspanError as error:
            log.error("the list of revoked certificates could not be signed", extra={"error": str(error)})

    def _alarm(self, folder: Path) -> None:
        try:
            end = broker.lists_end(folder)
        except ValueError:
            end = timezone.now()
        if end is None or end - timezone.now() > NEARLY_OVER or self._monotonic() - self._alarmed_at < ALARM_S:
            return
        self._alarmed_at = self._monotonic()
        log.error(
            "the broker's list of revoked certificates is over or nearly: then it refuses every certificate",
            extra={"file": str(folder / broker.REVOKED), "ends": end.isoformat()},
        )


def _begins(folder: Path) -> frozenset[tuple[str, datetime]]:
    try:
        return broker.lists_begin(folder)
    except ValueError:
        return frozenset()


def _text(folder: Path) -> str:
    try:
        return (folder / broker.REVOKED).read_text()
    except (OSError, ValueError):
        return ""
