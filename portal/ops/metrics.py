"""Figures for Prometheus, read from the database when they are asked for, at most every few seconds."""

from collections.abc import Iterator
from time import monotonic

from django.db.models import Count, Max, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from portal.bridge.models import Bridge
from portal.telemetry.models import AdapterStatus, Silence
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Certificate
from provisioning.pki.queries import latest_list, trusted_authorities

KEEP_S = 5.0


class PortalCollector(Collector):
    """Bridges, concentrators and adapters of all organisations, as totals only."""

    def collect(self) -> Iterator[Metric]:
        yield from _bridges()
        yield from _concentrators()
        yield from _adapters()
        yield from _certificates()


class Exposition:
    """The text of the last collection, made anew when it is older than KEEP_S."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(PortalCollector())
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._text, self._made = b"", -KEEP_S

    def text(self) -> bytes:
        if monotonic() - self._made >= KEEP_S:
            self._text, self._made = generate_latest(self._registry), monotonic()
        return self._text


def _bridges() -> Iterator[Metric]:
    now = timezone.now()
    names = ["bridge"]
    age = GaugeMetricFamily("mspan_bridge_heartbeat_age_seconds", "Since the last heartbeat.", labels=names)
    connected = GaugeMetricFamily("mspan_bridge_connected", "Whether it is connected to the broker.", labels=names)
    waiting = GaugeMetricFamily("mspan_bridge_waiting_messages", "Messages that wait for the database.", labels=names)
    done = CounterMetricFamily("mspan_bridge", "What it did since it started.", labels=[*names, "what"])
    for row in Bridge.objects.order_by("name"):
        age.add_metric([row.name], (now - row.at).total_seconds())
        connected.add_metric([row.name], int(row.connected))
        for what, value in sorted(row.figures.items()):
            if what == "waiting":
                waiting.add_metric([row.name], value)
            else:
                done.add_metric([row.name, what], value)
    yield from (age, connected, waiting, done)


def _concentrators() -> Iterator[Metric]:
    rows = Concentrator.objects.filter(archived_at=None)
    count = GaugeMetricFamily("mspan_concentrators", "Concentrators.", labels=["online"])
    for online in (True, False):
        count.add_metric([str(online).lower()], rows.filter(online=online).count())
    outbox = rows.aggregate(depth=Sum("queue_depth"), age=Max("oldest_age_s"), dropped=Sum("dropped"))
    yield count
    yield GaugeMetricFamily("mspan_outbox_entries", "Entries in all outboxes.", value=outbox["depth"] or 0)
    yield GaugeMetricFamily("mspan_outbox_oldest_seconds", "Age of the oldest entry.", value=outbox["age"] or 0)
    yield CounterMetricFamily("mspan_outbox_dropped", "Entries that had to be dropped.", value=outbox["dropped"] or 0)


def _adapters() -> Iterator[Metric]:
    heard = GaugeMetricFamily("mspan_adapters", "Adapters that were ever heard.", labels=["state"])
    for row in AdapterStatus.objects.order_by().values("state").annotate(count=Count("pk")):
        heard.add_metric([row["state"]], row["count"])
    yield heard
    silences = Silence.objects.filter(until=None).count()
    yield GaugeMetricFamily("mspan_silences", "Open silences, a concentrator's counted once.", value=silences)


def _certificates() -> Iterator[Metric]:
    now = timezone.now()
    held = GaugeMetricFamily(
        "mspan_certificates", "Certificates of concentrators that have not ended.", labels=["state"]
    )
    rows = Certificate.objects.filter(concentrator__isnull=False, not_after__gt=now)
    held.add_metric(["valid"], rows.filter(revoked_at=None).count())
    held.add_metric(["revoked"], rows.filter(revoked_at__isnull=False).count())
    left = GaugeMetricFamily(
        "mspan_revocation_list_seconds_left", "Until a list of revoked certificates ends.", labels=["authority"]
    )
    for authority in trusted_authorities():
        latest = latest_list(authority)
        end = (latest.next_update - now).total_seconds() if latest is not None else 0.0
        left.add_metric([authority.name], end)
    yield from (held, left)
