"""Seals stored telegrams under an adapter's storage key, so that the key they came under can be destroyed."""

import logging
from typing import Final

from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.resting import StoredOpener, rest
from portal.telemetry.models import Telegram
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)

PIECE: Final = 200  # rows in one statement


class TelegramResealer:
    """A provisioning.keys.resealing.Resealer for telegrams in which values rest; each piece changes whole or not."""

    def waiting(self, key: DeviceKey) -> int:
        return Telegram.objects.filter(adapter_id=key.adapter_id, key=key).count()

    def reseal(self, vault: Vault, key: DeviceKey, storage_key: DeviceKey, limit: int) -> int:
        """What does not open under `key` stays as it is, and no longer waits: no key of ours will ever open it.

        A key that does not open itself may come back with the right key-encryption key; its rows wait.
        """
        dev_eui = DevEUI.parse(key.adapter.dev_eui)
        try:
            opener, storage = StoredOpener(vault.open(key), dev_eui), vault.open(storage_key)
        except KeyDamaged as error:
            log.error("telemetry cannot be sealed anew", extra={"adapter": str(dev_eui), "reason": str(error)})
            return 0
        rows = Telegram.objects.select_for_update().filter(adapter_id=key.adapter_id, key=key)
        found = list(rows.order_by("pk").only("pk", "counter", "payload", "key_id", "sealed")[:limit])
        lost = 0
        for row in found:
            payload, counter = bytes(row.payload), row.counter or 0
            try:
                row.payload = rest(storage, dev_eui, payload, counter, opener.open(payload, counter))
                row.key = storage_key
            except MeterspanError:
                row.key, row.sealed = None, True
                lost += 1
        Telegram.objects.bulk_update(found, ["payload", "key", "sealed"], batch_size=PIECE)
        if lost:
            log.error("stored telegrams open under no key", extra={"adapter": str(dev_eui), "telegrams": lost})
        return len(found)


RESEALER: Final = TelegramResealer()
