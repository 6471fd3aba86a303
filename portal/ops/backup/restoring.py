"""Restores a backup: everything about it is checked before anything is touched."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, transaction

from portal.ops.backup import postgres, sqlite
from portal.ops.backup.archive import Archive
from portal.ops.backup.errors import BackupDamaged, BackupError, RestoreFailed
from portal.ops.backup.facts import counted, differing_settings, fits
from portal.ops.backup.making import INTAKE, MEDIA, key
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.fleet.desired import everything_changed_everywhere
from provisioning.keys import kek
from provisioning.keys.kek import KeyDamaged, VaultLocked
from provisioning.keys.models import DataKey
from provisioning.keys.vault import Vault

REVISIONS_AHEAD: Final = 10_000
_ACTOR: Final = System("command restore")


@dataclass(frozen=True)
class Restored:
    """`opened` of `data_keys` open with the key-encryption key of this process; `differing` names settings."""

    made_at: str
    rows: int
    photos: int
    data_keys: int
    opened: int
    differing: tuple[str, ...]


def restore(path: Path, *, replace: bool = False, without_kek: bool = False) -> Restored:
    """Put the backup in the place of this installation's database and photos.

    Before anything is touched: BackupDamaged, or BackupError for a backup of another version or kind, for a database
    that holds something (unless `replace`), and for a key-encryption key that is not here (unless `without_kek`).
    RestoreFailed when it broke off later. End all processes of the portal before.
    """
    with Archive.open(path, key()) as archive:
        facts = archive.facts
        fits(facts)
        photos = [name for name in archive.members if name.startswith(MEDIA)]
        targets = {name: _target(name) for name in photos}
        if not without_kek:
            _require_keks(facts["keks"])
        if not replace and _occupied():
            raise BackupError("This database holds an installation already; restore over it with --replace.")
        vendor: Any = postgres if connection.vendor == "postgresql" else sqlite
        vendor.load(archive.read(vendor.MEMBER))
        if differ := sorted(table for table, rows in counted().items() if rows != facts["counts"].get(table, 0)):
            raise RestoreFailed(f"The restored tables do not hold what was saved ({', '.join(differ)}); restore again.")
        for name in photos:
            _write(targets[name], archive.read(name))
        intake = Path(settings.PKCS11["intake_file"] or "-")
        if INTAKE in archive.members and settings.PKCS11["intake_file"] and not intake.exists():
            _write(intake, archive.read(INTAKE))
    differing = tuple(differing_settings(facts))
    _settle(facts)
    data_keys, opened = _openable()
    return Restored(facts["made_at"], sum(facts["counts"].values()), len(photos), data_keys, opened, differing)


def _require_keks(needed: list[str]) -> None:
    if not needed:
        return
    try:
        held = {provider.kek_id for provider in (kek.current(), kek.previous()) if provider is not None}
    except VaultLocked as error:
        raise BackupError(
            f"The keys in this backup open with the key-encryption key {', '.join(needed)} only, and this process has"
            f" none that works: {error} Or restore the rest with --without-kek."
        ) from None
    if missing := sorted(set(needed) - held):
        raise BackupError(
            f"The keys in this backup need the key-encryption key {', '.join(missing)}, and this process holds"
            f" {', '.join(sorted(held))}. Give it the right one (as MSPAN_OLD_KEK_* when it was replaced since),"
            " or restore the rest with --without-kek."
        )


def _occupied() -> bool:
    if Organisation._meta.db_table not in connection.introspection.table_names():
        return False
    return Organisation.objects.exists()


def _target(name: str) -> Path:
    """Where a photo goes; a name that leads elsewhere is none of ours."""
    inner = PurePosixPath(name[len(MEDIA) :])
    if inner.is_absolute() or ".." in inner.parts or not inner.parts:
        raise BackupDamaged(f"The backup names a photo outside its folder ({name[:80]!r}); it was not made by us.")
    return Path(settings.MEDIA_ROOT) / inner


def _write(target: Path, chunks: Iterable[bytes]) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    part.rename(target)


def _settle(facts: dict[str, Any]) -> None:
    """What must not simply continue where the backup was made."""
    with transaction.atomic():
        Session.objects.all().delete()  # one that was ended since would live again
        # Revisions that went out since must not be given out again for another content.
        everything_changed_everywhere(REVISIONS_AHEAD)
        for organisation in Organisation.objects.order_by("pk"):
            with audited(organisation):
                record(organisation, _ACTOR, "backup.restored", organisation, {"made_at": facts["made_at"]})


def _openable() -> tuple[int, int]:
    rows = list(DataKey.objects.all())
    if not kek.held():
        return len(rows), 0
    opened = 0
    try:
        vault = Vault.from_settings()
        for row in rows:
            try:
                vault.data_keys.unwrap(row)
                opened += 1
            except KeyDamaged:
                continue
    except VaultLocked:
        pass  # hardware that went away meanwhile; the caller tells how many opened
    return len(rows), opened
