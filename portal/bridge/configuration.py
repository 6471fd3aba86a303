"""Brings adapters to the configuration that is wanted of them (port 33), and again until they report it.

Nothing is remembered here that a restart would lose: what is wanted, what runs and when it was sent stand in the table.
"""

import logging
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from django.db.models import F, Q, QuerySet

from meterwire import config_records, messages
from meterwire.errors import FormatError
from meterwire.messages import DownlinkCommand
from provisioning.pairing.models import Configuration

log = logging.getLogger(__name__)

EXPIRES = timedelta(minutes=15)
RESEND = timedelta(seconds=45)  # a confirmed downlink is repeated by the concentrator; this covers all else
SWEEP = timedelta(seconds=30)
HEARD_WITHIN = timedelta(hours=26)  # who is silent for longer gets it when it is heard again
AT_ONCE = 200
PRIORITY = 8


class Configurations:
    """`due` runs in a database thread; the bridge sends what it returns."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._swept: datetime | None = None

    def due(self, woken: Iterable[int]) -> list[tuple[str, list[DownlinkCommand]]]:
        """(concentrator, parts in order) for each adapter that should get its configuration now.

        `woken`: adapters that were heard just now and run another version. All others are looked for now and then.
        """
        now = datetime.fromtimestamp(self._time(), UTC)
        found = list(_behind(now).filter(adapter_id__in=list(woken))[:AT_ONCE])
        if self._swept is None or now - self._swept >= SWEEP:
            self._swept = now
            heard = _behind(now).filter(adapter__status__last_seen__gte=now - HEARD_WITHIN)
            found += list(heard.exclude(adapter_id__in=[row.pk for row in found])[:AT_ONCE])
        result = []
        for row in found:
            parts = self._parts(row, now)
            taken = Configuration.objects.filter(pk=row.pk, sent_at=row.sent_at).update(sent_at=now)
            if parts and taken:  # zero rows: another bridge was quicker
                result.append((str(row.adapter.concentrator and row.adapter.concentrator.eui), parts))
        return result

    def _parts(self, row: Configuration, now: datetime) -> list[DownlinkCommand]:
        try:
            records = _records(row.records)
            payloads = config_records.encode(row.version, records)
        except FormatError:
            log.exception("a stored configuration cannot be read", extra={"adapter": row.adapter.dev_eui})
            return []
        unix = now.timestamp()
        return [
            DownlinkCommand(
                id=messages.ulid(unix, secrets.token_bytes(10)),
                time=messages.timestamp(unix),
                dev_eui=row.adapter.dev_eui,
                fport=config_records.PORT,
                payload=payload,
                expires_at=messages.timestamp((now + EXPIRES).timestamp()),
                confirmed=True,
                priority=PRIORITY,
            )
            for payload in payloads
        ]


def _behind(now: datetime) -> QuerySet[Configuration]:
    """Wanted and not running, not sent a moment ago, and served by a concentrator."""
    rows = Configuration.objects.filter(version__gt=0, adapter__archived_at=None, adapter__concentrator__isnull=False)
    rows = rows.filter(Q(running=None) | ~Q(running=F("version")))
    rows = rows.filter(Q(sent_at=None) | Q(sent_at__lte=now - RESEND))
    return rows.select_related("adapter__concentrator").order_by("changed_at")


def _records(stored: str) -> tuple[config_records.Record, ...]:
    header = bytes((0, 1, 1, 1))
    return config_records.decode(header + bytes.fromhex(stored)).records
