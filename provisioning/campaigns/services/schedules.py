"""Standing schedules: a campaign every so many days."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, System, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.campaigns.models import Campaign, Method, Partner, Schedule
from provisioning.campaigns.services.planning import checked_terms, start
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Site
from provisioning.keys.models import Purpose

SCHEDULER: Final = System("schedule")
MAX_PERIOD_DAYS: Final = 3653
_TERMS = (
    "site", "adapter", "purpose", "method", "partner", "curve", "window_from", "window_to", "per_hour",
    "validity_days", "grace_hours",
)  # fmt: skip


def schedule(
    actor: Actor,
    organisation: Organisation,
    *,
    period_days: int,
    first_at: datetime,
    scope: Site | Adapter | None = None,
    **terms: Any,
) -> Schedule:
    """A campaign at `first_at` and every `period_days` days after it; `terms` as in `plan`. Needs keys.rotate there.

    Keys of meters cannot be scheduled, nor LMN keys: both are made elsewhere.
    """
    defaults: dict[str, Any] = {
        "purpose": Purpose.INNER, "method": Method.DELIVERY, "partner": Partner.PORTAL, "curve": "x25519",
        "window_from": None, "window_to": None, "per_hour": 60, "validity_days": None, "grace_hours": 72,
    }  # fmt: skip
    checked = checked_terms(actor, organisation, scope=scope, **{**defaults, **terms})
    if checked["purpose"] == Purpose.METER:
        raise Invalid("purpose", _("A meter's own key is delivered when it is there, not by the calendar."))
    if isinstance(period_days, bool) or not 1 <= period_days <= MAX_PERIOD_DAYS:
        raise Invalid("period_days", _("This is a number from 1 to {most}.").format(most=MAX_PERIOD_DAYS))
    first_at = validation.moment("first_at", first_at)
    with audited(organisation):
        row = Schedule.objects.create(
            organisation=organisation, period_days=period_days, next_at=first_at, created_by=user_of(actor), **checked
        )
        data = {"purpose": row.purpose, "period_days": period_days, "first_at": first_at}
        record(organisation, actor, "schedule.created", row, {**data, "scope": str(row.adapter or row.site or "")})
    return row


def end_schedule(actor: Actor, row: Schedule, reason: str) -> Schedule:
    """Make no further campaign by it; one that runs goes on."""
    require_at(actor, row.organisation_id, row.site_id, "keys.rotate")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(row.organisation):
        now = validation.moment("at", None)
        if not Schedule.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now):
            raise Conflict(_("This schedule was ended already."))
        row.ended_at = now
        record(row.organisation, actor, "schedule.ended", row, {"reason": reason})
    return row


def run_due(now: datetime) -> list[Campaign]:
    """Make the campaigns of the schedules whose time has come; what was missed while nobody looked is made up once.

    One whose last campaign still goes on, or which finds nobody, is left out this time, with an audit entry.
    """
    made = []
    rows = Schedule.objects.filter(ended_at=None, next_at__lte=now).select_related("organisation", "site", "adapter")
    for row in rows.order_by("next_at", "pk"):
        with audited(row.organisation):
            if not Schedule.objects.filter(pk=row.pk, ended_at=None, next_at=row.next_at).update(
                next_at=_following(row, now)
            ):
                continue  # another worker was quicker
            open_states = [Campaign.State.RUNNING, Campaign.State.PAUSED]
            if row.campaigns.filter(state__in=open_states).exists():
                record(row.organisation, SCHEDULER, "schedule.skipped", row, {"reason": "the last campaign still runs"})
                continue
            terms = {name: getattr(row, name) for name in _TERMS}
            campaign = Campaign(organisation=row.organisation, schedule=row, reason="schedule", **terms)
            try:
                made.append(start(SCHEDULER, campaign))
            except Conflict as error:
                record(row.organisation, SCHEDULER, "schedule.skipped", row, {"reason": str(error)})
    return made


def _following(row: Schedule, now: datetime) -> datetime:
    """The first moment after `now` in the schedule's rhythm."""
    period = timedelta(days=row.period_days)
    return row.next_at + ((now - row.next_at) // period + 1) * period
