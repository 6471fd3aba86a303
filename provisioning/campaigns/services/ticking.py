"""What time brings by itself: schedules, ends of campaigns, times of grace, the destruction of old keys.

Needs no key, so a worker runs it every minute. Each part is bounded; what is left over comes the next time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef, Q

from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.campaigns.eligibility import OPEN
from provisioning.campaigns.models import Campaign, Delivery, Notice
from provisioning.campaigns.services.notices import owe_revocations
from provisioning.campaigns.services.outcomes import give_up
from provisioning.campaigns.services.schedules import run_due
from provisioning.errors import Conflict
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.services.lifecycle import GRACE, make_destroyed, make_revoked

CLOCK: Final = System("key clock")
KEPT: Final = timedelta(days=90)  # so long a revoked key is kept, should a revocation have been a mistake of ours
UNHEARD: Final = timedelta(days=30)  # after that a key whose delivery ended without an answer is not waited for
FURTHEST: Final = timedelta(days=2)  # nothing is put off further than that, so a later time comes from a wrong clock
MAX_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Done:
    """How much one tick did."""

    campaigns: int
    ended: int
    revoked: int
    given_up: int
    destroyed: int
    owed: int


def tick(now: datetime) -> Done:
    """Do what is due at `now`. Safe to repeat, and to run twice at once."""
    _mend_clock(now)
    return Done(
        campaigns=len(run_due(now)),
        revoked=_each(_grace_over(now), "time of grace over", make_revoked)
        + _each(_unheard(now), "never heard", make_revoked),
        given_up=give_up(now),
        ended=_end_campaigns(now),
        destroyed=_each(_kept_long(now), "kept long enough", make_destroyed),
        owed=owe_revocations(now),
    )


def _end_campaigns(now: datetime) -> int:
    going = Delivery.objects.filter(campaign=OuterRef("pk"), state__in=OPEN)
    count = 0
    for row in Campaign.objects.filter(~Exists(going), state=Campaign.State.RUNNING).select_related("organisation"):
        with audited(row.organisation):
            rows = Campaign.objects.filter(~Exists(going), pk=row.pk, state=Campaign.State.RUNNING)
            if rows.update(state=Campaign.State.DONE, ended_at=now):
                failed = row.deliveries.filter(state=Delivery.State.FAILED).count()
                record(row.organisation, CLOCK, "campaign.done", row, {"failed": failed})
                count += 1
    return count


def _grace_over(now: datetime) -> Q:
    """Keys that retired before there was a time of grace have the usual one."""
    over = Q(grace_until__lte=now) | Q(grace_until=None, state_at__lte=now - GRACE)
    return Q(over, state=KeyState.RETIRING)


def _unheard(now: datetime) -> Q:
    """Only of keys that a delivery took out: those of a key file may wait in a warehouse for years."""
    over = Delivery.objects.filter(key=OuterRef("pk"))
    return Q(Exists(over), ~Exists(over.filter(state__in=OPEN)), state=KeyState.DELIVERING, state_at__lt=now - UNHEARD)


def _kept_long(now: datetime) -> Q:
    """Forgotten by the adapter, or it never will: it was revoked as a whole, or put away."""
    gone = Q(forgotten_at__isnull=False) | Q(adapter__revoked_at__isnull=False) | Q(adapter__archived_at__isnull=False)
    return Q(gone | Q(slot=None), state=KeyState.REVOKED, state_at__lt=now - KEPT, resealed_at__isnull=False)


def _each(which: Q, reason: str, take: Callable[[System, DeviceKey, str], None]) -> int:
    count = 0
    rows = DeviceKey.objects.filter(which).select_related("organisation", "adapter").order_by("organisation_id", "pk")
    for key in rows[:MAX_AT_ONCE]:
        try:
            with audited(key.organisation):
                take(CLOCK, key, reason)
        except Conflict:
            continue  # somebody was quicker, or history still needs it
        count += 1
    return count


def _mend_clock(now: datetime) -> None:
    """A clock that was ahead and is right again must not hold up what it had put off."""
    late = now + FURTHEST
    Delivery.objects.filter(state__in=OPEN, due_at__gt=late).update(due_at=now)
    Notice.objects.filter(state__in=[Notice.State.WAITING, Notice.State.SENDING], due_at__gt=late).update(due_at=now)
