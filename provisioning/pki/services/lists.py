"""Lists of revoked certificates: signed anew at once after a revocation, and long before they end."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from meterwire.errors import MeterspanError
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_operations import Nothing
from provisioning.pki import build, signing
from provisioning.pki.models import Authority, Certificate, RevocationList
from provisioning.pki.queries import latest_list, trusted_authorities

logger = logging.getLogger(__name__)

REFRESH: Final = "pki_refresh_lists"
KEPT: Final = 3
DUE, STALE = 0.25, 0.75  # parts of a list's life: signed anew after, alarm after


class Refreshed(msgspec.Struct, frozen=True):
    """How many lists were signed."""

    signed: int


def publish(vault: Vault, authority: Authority, now: datetime) -> RevocationList:
    """Sign the list of `authority` anew, where the vault is."""
    with transaction.atomic():
        row = Authority.objects.select_for_update().get(pk=authority.pk)
        columns = _listed(row, now).values_list("serial", "revoked_at", "revocation")
        entries = [build.Revoked(int(serial, 16), at, kind) for serial, at, kind in columns if at is not None]
        until = now + timedelta(hours=float(settings.PKI["list_hours"]))
        number = row.list_number + 1
        since = (
            now - signing.BACKDATED
        )  # a broker whose clock is behind would refuse a list of the future, and everybody
        made = build.revocation_list(signing.signer(vault, row), entries, number, this_update=since, next_update=until)
        Authority.objects.filter(pk=row.pk).update(list_number=number)
        RevocationList.objects.filter(authority=row, number__lte=number - KEPT).delete()
        return RevocationList.objects.create(
            authority=row,
            number=number,
            der=made.public_bytes(Encoding.DER),
            this_update=now,
            next_update=until,
            entries=len(entries),
        )


def refresh(vault: Vault, now: datetime) -> int:
    """Sign those lists anew that are due; returns how many. Where the vault is."""
    return publish_each(vault, [authority for authority in trusted_authorities() if due(authority, now)], now)


def publish_each(vault: Vault, authorities: Iterable[Authority], now: datetime) -> int:
    """Sign these lists anew; returns how many. One whose key cannot be used keeps none of the others back."""
    signed, failure = 0, None
    for authority in authorities:
        try:
            publish(vault, authority, now)
            signed += 1
        except MeterspanError as error:
            failure = error
    if failure is not None:
        raise failure
    return signed


def any_due(now: datetime) -> bool:
    """Whether some list is due; asks no vault."""
    return any(due(authority, now) for authority in trusted_authorities())


def refresh_by_vault() -> int:
    """The same, asked of the vault by a process that may hold none. Raises VaultAway, VaultRefused."""
    return ask(REFRESH, Nothing(), Refreshed).signed


def refresh_soon() -> None:
    """Let the lists be signed anew after the commit; when the vault is away, the next round does it."""
    transaction.on_commit(_try, robust=True)


def due(authority: Authority, now: datetime) -> bool:
    """Whether its list is missing, grows old, or lacks a revocation."""
    latest = latest_list(authority)
    if latest is None or _age(latest, now) >= DUE or latest.this_update > now:
        return True
    revoked = _listed(authority, now)
    return revoked.count() != latest.entries or revoked.filter(revoked_at__gte=latest.this_update).exists()


def stale(now: datetime) -> str:
    """Which list is over or nearly so, in a sentence; empty: none is."""
    for authority in trusted_authorities():
        latest = latest_list(authority)
        if latest is None:
            return f"{authority.name} has no list of revoked certificates; run manage.py pki_crl"
        if is_stale(latest, now):
            return (
                f"the list of revoked certificates of {authority.name} ends {latest.next_update:%Y-%m-%d %H:%M} UTC and"
                " is not signed anew: is the vault away, or the scheduler? When it is over, no concentrator can connect"
            )
    return ""


def is_stale(row: RevocationList, now: datetime) -> bool:
    """Whether it should have been signed anew long ago."""
    return _age(row, now) >= STALE


def _try() -> None:
    try:
        refresh_by_vault()
    except MeterspanError as error:
        logger.warning("the list of revoked certificates could not be signed yet: %s", error)


def _listed(authority: Authority, now: datetime) -> QuerySet[Certificate]:
    """Revoked, and not over for so long that a list after its end has named it (RFC 5280, 3.3)."""
    ended = now - timedelta(hours=float(settings.PKI["list_hours"]))
    return Certificate.objects.filter(authority=authority, revoked_at__isnull=False, not_after__gt=ended).order_by("pk")


def _age(row: RevocationList, now: datetime) -> float:
    return (now - row.this_update) / (row.next_update - row.this_update)


def run_refresh(vault: Vault, _: Nothing) -> Refreshed:
    """The vault's operation."""
    return Refreshed(refresh(vault, timezone.now()))
