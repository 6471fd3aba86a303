"""Chart data of the radio link: RSSI, SNR and data rate of an adapter's telegrams."""

from typing import Any

from django.db.models import Avg, Max
from django.db.models.functions import TruncHour
from django.utils.translation import gettext as _

from portal.telemetry.models import Telegram
from portal.web.series import HOURS, Chart, Line, Window
from provisioning.fleet.models import Adapter

MAX_POINTS = 1500


def link(adapter: Adapter, window: Window) -> dict[str, Any]:
    """Telegram by telegram up to a day, hourly means (and the fastest data rate) for longer."""
    rows = Telegram.objects.filter(
        adapter=adapter, error=None, received_at__gte=window.start, received_at__lte=window.end
    )
    rssi, snr, dr = Line(_("RSSI"), "dBm", 0), Line(_("SNR"), "dB", 1), Line(_("Data rate"), "DR", 0)
    if window.range in HOURS:
        points = rows.order_by("-received_at").values_list("received_at", "rssi", "snr", "dr")[:MAX_POINTS]
    else:
        points = (
            rows.annotate(hour=TruncHour("received_at"))
            .values("hour")
            .annotate(r=Avg("rssi"), s=Avg("snr"), d=Max("dr"))
            .order_by("hour")
            .values_list("hour", "r", "s", "d")[:MAX_POINTS]
        )
    for at, r, s, d in points:
        t = round(at.timestamp(), 3)
        rssi.points[t], snr.points[t], dr.points[t] = round(r, 1), round(s, 1), d
    return Chart("line", [rssi, snr, dr]).as_json()
