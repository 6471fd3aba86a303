"""Deliveries and notices that fail in a way nobody foresaw wait, or end, so that all others go on."""

from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from provisioning.campaigns import services
from provisioning.campaigns.models import Delivery, Notice

UNFORESEEN: Final = "unforeseen"
FOR: Final = timedelta(hours=1)


def later(pk: int, now: datetime) -> None:
    """The delivery is tried again in an hour, and says why."""
    row = Delivery.objects.select_related("organisation").get(pk=pk)
    services.failed(row, UNFORESEEN, _("The portal could not work on it; look at the bridge's log."), now, now + FOR)


def drop(pk: int, now: datetime) -> None:
    """The notice is given up; a revocation is owed anew tomorrow."""
    services.notice_failed(Notice.objects.get(pk=pk), UNFORESEEN, now)
