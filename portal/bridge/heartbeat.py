"""The bridge's sign of life, and the small chores that only a process with the key-encryption key can do."""

import logging
import time
from datetime import timedelta

from django.utils import timezone

from portal.bridge.models import Bridge
from provisioning.keys.services import take_in
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)

FORGOTTEN = timedelta(days=1)  # a bridge that was taken away


class Heartbeat:
    """Runs in a database thread of its own."""

    INTERVAL_S = 5.0
    CHORES_S = 20.0

    def __init__(self, name: str, vault: Vault) -> None:
        self._name, self._vault = name, vault
        self._started_at = timezone.now()
        self._chores_at = 0.0

    def beat(self, connected: bool, figures: dict[str, int]) -> None:
        """Write the heartbeat; now and then take handed-in keys into the vault."""
        values = {"started_at": self._started_at, "at": timezone.now(), "connected": connected, "figures": figures}
        Bridge.objects.update_or_create(name=self._name, defaults=values)
        Bridge.objects.filter(at__lt=timezone.now() - FORGOTTEN).delete()
        if time.monotonic() - self._chores_at >= self.CHORES_S:
            self._chores_at = time.monotonic()
            if taken := take_in(self._vault):
                log.info("keys taken into the vault", extra={"count": taken})
