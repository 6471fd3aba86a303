"""Takes keys into the vault that processes without the key-encryption key have handed in."""

import logging

from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey
from provisioning.keys.vault import Vault

BATCH = 500

logger = logging.getLogger(__name__)


def take_in(vault: Vault) -> int:
    """Seal handed-in keys anew under their organisation's data key; returns how many. For the bridge, now and then.

    The state does not change and no value is seen, so there is no audit entry; a key that does not open stays as it
    is and is logged.
    """
    waiting = DeviceKey.objects.filter(intake=True).select_related("adapter").order_by("pk")
    taken, after = 0, 0
    while not taken and (rows := list(waiting.filter(pk__gt=after)[:BATCH])):
        taken, after = _take(vault, rows), rows[-1].pk  # keys that do not open hold nobody else up
    return taken


def _take(vault: Vault, rows: list[DeviceKey]) -> int:
    taken = 0
    for row in rows:
        try:
            sealed = vault.seal(row, vault.open(row))
        except KeyDamaged:
            logger.exception("key %s cannot be taken into the vault", row.pk)
            continue
        taken += DeviceKey.objects.filter(pk=row.pk, intake=True).update(sealed=sealed, intake=False)
    return taken
