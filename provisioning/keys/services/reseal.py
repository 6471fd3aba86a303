"""Seals history anew under storage keys when its inner key was revoked, in small steps. Needs a vault."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.utils import timezone

from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.resealing import resealers, waiting
from provisioning.keys.services.issue import issue_storage_key
from provisioning.keys.vault import Vault

RESEALING: Final = System("re-sealing")
KEYS_AT_ONCE: Final = 50
SETTLED: Final = timedelta(minutes=10)


def reseal_step(vault: Vault, limit: int = 1000) -> int:
    """Seal at most `limit` stored rows anew; returns how many. For a process with the vault, now and then.

    Revoked keys that nothing stored needs any more are marked so (`resealed_at`); a crash in between repeats the step.
    """
    done = 0
    rows = DeviceKey.objects.filter(state=KeyState.REVOKED, resealed_at=None).select_related("adapter__organisation")
    for key in rows.order_by("state_at", "pk")[:KEYS_AT_ONCE]:
        if done < limit and waiting(key):
            done += _reseal(vault, key, limit - done)
        if not waiting(key):
            # A batch that was under way when the key was revoked may still store something under it.
            settled = DeviceKey.objects.filter(
                pk=key.pk, state=KeyState.REVOKED, state_at__lte=timezone.now() - SETTLED
            )
            settled.update(resealed_at=timezone.now())
        elif done >= limit:
            break
    return done


def needed_again(key_ids: Collection[int]) -> None:
    """Stored rows came to rest under these keys, some of which may have been revoked and found unneeded long ago."""
    DeviceKey.objects.filter(pk__in=key_ids, resealed_at__isnull=False).update(resealed_at=None)


def _reseal(vault: Vault, key: DeviceKey, limit: int) -> int:
    done = 0
    with audited(key.organisation):
        storage = storage_key(key)
        for resealer in resealers():
            done += resealer.reseal(vault, key, storage, limit - done)
            if done >= limit:
                break
        if done:
            data = {"adapter": key.adapter.dev_eui, "version": key.version, "rows": done, "storage": storage.version}
            record(key.organisation, RESEALING, "key.resealed", key, data)
    return done


def storage_key(key: DeviceKey) -> DeviceKey:
    """The active storage key of the adapter of `key`, made when there is none."""
    held = DeviceKey.objects.filter(adapter_id=key.adapter_id, purpose=Purpose.STORAGE, state=KeyState.ACTIVE).first()
    if held is None:
        held = issue_storage_key(RESEALING, key.adapter)
    return held
