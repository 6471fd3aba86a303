"""What meters sign by themselves and adapters pass through on port 18: checked where the meter's key is known."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.errors import AuthenticationError, FormatError
from meterwire.meter_signature import PORT, MeterCurve, MeterPublicKey
from portal.days.models import MeterKey
from portal.telemetry.models import Telegram
from portal.telemetry.services import note_event
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Meter

MAX_CHECKED: Final = 2_000  # in one call


@dataclass(frozen=True, slots=True)
class Passed:
    """A telegram that was passed through. `fits`: under a key of the adapter's meters; None while none is known."""

    received_at: datetime
    payload: bytes
    fits: bool | None


def know_meter_key(actor: Actor, meter: Meter, *, curve: str, public: str) -> MeterKey:
    """Keep the public key of a meter (hex of x and y). Needs fleet.edit at its site. Invalid, Conflict."""
    require_at(actor, meter.organisation_id, meter.metering_point.site_id, "fleet.edit")
    if curve not in list(MeterCurve):
        known = ", ".join(MeterCurve)
        raise Invalid("curve", _("'{curve}' is no curve of meters; known: {known}").format(curve=curve, known=known))
    try:
        key = MeterPublicKey(MeterCurve(curve), bytes.fromhex(public[:200]))
    except (ValueError, FormatError) as error:
        raise Invalid("public", str(error)) from None
    with audited(meter.organisation):
        if MeterKey.objects.filter(meter=meter, public=key.octets.hex()).exists():
            raise Conflict(_("This key of the meter is known already."))
        row = MeterKey.objects.create(
            organisation=meter.organisation,
            meter=meter,
            curve=key.curve,
            public=key.octets.hex(),
            added_at=timezone.now(),
        )
        data = {"meter": meter.meter_id, "curve": row.curve, "public": row.public}
        record(meter.organisation, actor, "meter_key.added", row, data)
    return row


def passed_through(adapter: Adapter, begin: datetime, end: datetime) -> list[Passed]:
    """The adapter's telegrams on port 18 received from `begin` until before `end`, checked; at most MAX_CHECKED."""
    rows = Telegram.objects.filter(
        adapter=adapter, fport=PORT, error=None, received_at__gte=begin, received_at__lt=end
    ).order_by("received_at")
    keys = _keys([adapter.pk], end).get(adapter.pk, [])
    found = rows.values_list("received_at", "payload")[:MAX_CHECKED]
    return [Passed(at, bytes(payload), fits(keys, bytes(payload))) for at, payload in found]


def check_arrived(items: Iterable[tuple[int, datetime, bytes, str]]) -> int:
    """Telegrams of port 18 as (adapter, received at, bytes, id): a wrong signature is a security event; how many."""
    waiting = list(items)
    if not waiting:
        return 0
    keys = _keys({adapter for adapter, *_ in waiting}, max(at for _, at, *_ in waiting))
    wrong = [item for item in waiting if fits(keys.get(item[0], []), item[2]) is False]
    adapters = Adapter.objects.in_bulk({adapter for adapter, *_ in wrong})
    for adapter, at, _payload, name in wrong:
        note_event(adapters[adapter], "security", "meter_signature_wrong", {"telegram": name}, at=at, once=name)
    return len(wrong)


def fits(keys: Iterable[MeterPublicKey], payload: bytes) -> bool | None:
    """Whether the signature at the end of `payload` is one of these meters'; None without any key."""
    answer: bool | None = None
    for key in keys:
        try:
            key.verify(payload)
        except (AuthenticationError, FormatError):
            answer = False
        else:
            return True
    return answer


def _keys(adapters: Iterable[int], at: datetime) -> dict[int, list[MeterPublicKey]]:
    """By adapter, the keys of the meters that it has read until `at`."""
    read = Q(meter__pairings__adapter__in=list(adapters), meter__pairings__from_at__lte=at)
    rows = MeterKey.objects.filter(read).values_list("meter__pairings__adapter", "curve", "public").distinct()
    found: dict[int, list[MeterPublicKey]] = defaultdict(list)
    for adapter, curve, public in rows:
        found[adapter].append(MeterPublicKey(MeterCurve(curve), bytes.fromhex(public)))
    return found
