"""Signed days on port 34: what adapters tell of them is taken in, and what the portal lacks is asked for."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from meterwire import messages, signed_day
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.messages import DownlinkCommand, Receipt
from meterwire.meter_signature import PORT as METER_PORT
from meterwire.signed_day import PORT
from portal.bridge.models import KeyMail
from portal.days import services
from portal.days.services.announcing import macs, transport_keys
from portal.days.services.requests import Due
from portal.telemetry.arrivals import Arrival, moment
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)

EXPIRY: Final = timedelta(hours=1)
PRIORITY: Final = 2  # after configurations and keys
SWEEP: Final = timedelta(minutes=30)


class Days:
    """A party on port 34 (see portal.bridge.key_port)."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._swept_at: datetime | None = None

    def takes(self, kind: int) -> bool:
        return signed_day.is_day_frame(bytes([kind]), up=True)

    def take(self, mail: KeyMail, now: datetime) -> None:
        services.take(mail.adapter, bytes(mail.payload), mail.received_at, self._vault, now)

    def due(self, now: datetime) -> list[tuple[str, DownlinkCommand]]:
        if self._swept_at is None or not timedelta() <= now - self._swept_at < SWEEP:
            self._swept_at = now
            services.find_unsigned(now)
        commands = [self._command(one, now) for one in services.due(now)]
        return [command for command in commands if command is not None]

    def receipt(self, eui: str, receipt: Receipt) -> None:
        """Nothing waits for it: what brings no answer is asked for again."""

    def _command(self, due: Due, now: datetime) -> tuple[str, DownlinkCommand] | None:
        adapter = due.row.adapter
        assert adapter.concentrator is not None
        keys = transport_keys(adapter)
        if not keys:
            log.warning("no transport key: an adapter cannot be asked", extra={"adapter": adapter.dev_eui})
            return None
        try:
            mac_key = macs(self._vault, keys[0]).down
        except MeterspanError as error:
            log.error("an adapter cannot be asked: %s", error, extra={"adapter": adapter.dev_eui, "code": error.code})
            return None
        unix = now.timestamp()
        name = f"day {due.row.pk} {unix} {due.number}"
        return adapter.concentrator.eui, DownlinkCommand(
            id=messages.ulid(unix, sha256(name.encode()).digest()[:10]),
            time=messages.timestamp(unix),
            dev_eui=adapter.dev_eui,
            fport=PORT,
            payload=signed_day.encode(due.request, mac_key, DevEUI.parse(adapter.dev_eui)),
            expires_at=messages.timestamp(unix + EXPIRY.total_seconds()),
            priority=PRIORITY,
        )


def look_again(arrivals: Sequence[Arrival], now: datetime) -> None:
    """Telegrams that came late may be just those that a day lacks. What will not be stored as it was sent is noted,
    what meters signed themselves is checked.
    """
    stored = [one for one in arrivals if one.adapter is not None and one.error is None and not one.known]
    late = {one.adapter.pk for one in stored if one.adapter and not one.fresh and one.counter is not None}
    services.arrived_late(late, now)
    services.note_leaves(
        (
            (one.adapter.pk, one.telegram.dev_eui, one.counter, one.telegram.fport, one.telegram.payload)
            for one in stored
            if one.adapter and one.counter is not None and one.stored != one.telegram.payload
        ),
        now,
    )
    services.check_arrived(
        (one.adapter.pk, moment(one.received_us), one.telegram.payload, one.telegram.id)
        for one in stored
        if one.adapter and one.telegram.fport == METER_PORT
    )
