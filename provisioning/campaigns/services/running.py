"""What people do with a campaign under way: pause, resume, cancel, try failed deliveries again."""

from datetime import datetime

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.campaigns.models import Campaign, Delivery, Notice
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter

_C, _D = Campaign.State, Delivery.State


def pause(actor: Actor, campaign: Campaign, reason: str = "") -> Campaign:
    """Begin no further delivery; those under way are finished. Conflict when it is not running."""
    return _move(actor, campaign, (_C.RUNNING, _C.PAUSED), "campaign.paused", reason)


def resume(actor: Actor, campaign: Campaign, reason: str = "") -> Campaign:
    """Go on with a paused campaign."""
    return _move(actor, campaign, (_C.PAUSED, _C.RUNNING), "campaign.resumed", reason)


def cancel(actor: Actor, campaign: Campaign, reason: str) -> Campaign:
    """End it: what is planned or waits for an answer is cancelled; a key that its adapter confirmed becomes active yet.

    A key that was sent may be in its adapter, so it goes on opening what may come under it.
    """
    allowed(actor, campaign)
    reason = validation.text("reason", reason, 200, required=True)
    with audited(campaign.organisation):
        now = timezone.now()
        open_ones = Campaign.objects.filter(pk=campaign.pk, state__in=[_C.RUNNING, _C.PAUSED])
        if not open_ones.update(state=_C.CANCELLED, ended_at=now):
            raise _over(campaign)
        cancelled = cancel_deliveries(Q(campaign=campaign), now)
        data = {"reason": reason, "deliveries": cancelled}
        record(campaign.organisation, actor, "campaign.cancelled", campaign, data)
    campaign.refresh_from_db()
    return campaign


def retry(actor: Actor, delivery: Delivery) -> Delivery:
    """Plan a failed delivery again, at once. Conflict when it has not failed, or its campaign was cancelled."""
    allowed(actor, delivery.campaign, delivery.adapter.site_id)
    with audited(delivery.organisation):
        if not _again(delivery.campaign, Q(pk=delivery.pk)):
            raise Conflict(_("This delivery has not failed; look again."))
        data = {"adapter": delivery.adapter.dev_eui, "campaign": delivery.campaign_id, "code": delivery.code}
        record(delivery.organisation, actor, "delivery.retried", delivery, data)
    delivery.refresh_from_db()
    return delivery


def retry_failed(actor: Actor, campaign: Campaign) -> int:
    """Plan all failed deliveries of a campaign again; returns how many."""
    allowed(actor, campaign)
    with audited(campaign.organisation):
        count = _again(campaign, Q(campaign=campaign))
        if count:
            record(campaign.organisation, actor, "campaign.retried", campaign, {"deliveries": count})
    return count


def allowed(actor: Actor, campaign: Campaign, site_id: int | None = None) -> None:
    """Raise Forbidden unless `actor` may steer it: keys.rotate over its whole scope, or at `site_id`."""
    require_at(actor, campaign.organisation_id, site_id or campaign.site_id, "keys.rotate")


def end_of_adapter(_: Actor, adapter: Adapter, __: str) -> None:
    """Nothing more is delivered to a revoked adapter, nor told to it."""
    now = timezone.now()
    cancel_deliveries(Q(adapter=adapter), now)
    Delivery.objects.filter(adapter=adapter, state=_D.CONFIRMED).update(state=_D.CANCELLED, state_at=now)
    Notice.objects.filter(adapter=adapter, state__in=[Notice.State.WAITING, Notice.State.SENDING]).update(
        state=Notice.State.FAILED, code="revoked", state_at=now
    )


def cancel_deliveries(which: Q, now: datetime) -> int:
    """Cancel those that are planned or wait for an answer; returns how many. The caller has checked the permission."""
    rows = Delivery.objects.filter(which, state__in=[_D.PLANNED, _D.DELIVERING])
    return rows.update(state=_D.CANCELLED, state_at=now, private=b"", slot=None)


def _again(campaign: Campaign, which: Q) -> int:
    now = timezone.now()
    state = Campaign.objects.select_for_update().values_list("state", flat=True).get(pk=campaign.pk)
    if state == _C.CANCELLED:
        raise Conflict(_("The campaign was cancelled; plan a new one."))
    rows = Delivery.objects.filter(which, state=_D.FAILED)
    count = rows.update(state=_D.PLANNED, state_at=now, due_at=now, code="", message="")
    if count and state == _C.DONE:
        Campaign.objects.filter(pk=campaign.pk).update(state=_C.RUNNING, ended_at=None)
        campaign.state, campaign.ended_at = _C.RUNNING, None
    return count


def _move(
    actor: Actor, campaign: Campaign, step: tuple[Campaign.State, Campaign.State], action: str, reason: str
) -> Campaign:
    before, to = step
    allowed(actor, campaign)
    reason = validation.text("reason", reason, 200)
    with audited(campaign.organisation):
        if not Campaign.objects.filter(pk=campaign.pk, state=before).update(state=to):
            raise _over(campaign)
        campaign.state = to
        record(campaign.organisation, actor, action, campaign, {"reason": reason})
    return campaign


def _over(campaign: Campaign) -> Conflict:
    campaign.refresh_from_db()
    state = str(_C(campaign.state).label).lower()
    return Conflict(_("The campaign is {state}; this is not possible now.").format(state=state))
