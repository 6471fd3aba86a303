"""Plans campaigns and standing schedules: who takes part, when, and at what pace."""

from datetime import time
from typing import Any, Final, TypedDict

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.curves import Curve
from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.campaigns.eligibility import Candidate, candidates, waiting_keys
from provisioning.campaigns.models import Campaign, Delivery, Method, Partner
from provisioning.campaigns.places import WAITING
from provisioning.campaigns.reasons import REASONS
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Site
from provisioning.keys.models import Purpose

MAX_PER_HOUR: Final = 3600
MAX_VALIDITY_DAYS: Final = 3653
MAX_GRACE_HOURS: Final = 24 * 60
# LMN keys are known to the gateway: they are delivered by their hand-over, never by a campaign that people plan.
REPLACED: Final = frozenset(
    {Purpose.INNER, Purpose.CONTROL_UP, Purpose.CONTROL_DOWN, Purpose.GROUP_CONTROL, Purpose.TRANSPORT}
)
_BATCH: Final = 1000


class Terms(TypedDict):
    """What a campaign and a schedule have in common, checked."""

    site: Site | None
    adapter: Adapter | None
    purpose: str
    method: str
    partner: str
    curve: str
    window_from: time | None
    window_to: time | None
    per_hour: int
    validity_days: int | None
    grace_hours: int


def plan(
    actor: Actor,
    organisation: Organisation,
    *,
    scope: Site | Adapter | None = None,
    purpose: str = Purpose.INNER,
    method: str = Method.DELIVERY,
    partner: str = Partner.PORTAL,
    curve: str = Curve.X25519,
    window_from: time | None = None,
    window_to: time | None = None,
    per_hour: int = 60,
    validity_days: int | None = None,
    grace_hours: int = 72,
    reason: str = "",
) -> Campaign:
    """A running campaign over one adapter, a site, or (None) everything of the organisation.

    Adapters that cannot take part get a FAILED delivery that says why. Keys of meters are not made here: those that
    wait are delivered, and adapters without one are left out. Needs keys.rotate there. Conflict when nobody is in
    the scope.
    """
    terms = checked_terms(
        actor, organisation, scope=scope, purpose=purpose, method=method, partner=partner, curve=curve,
        window_from=window_from, window_to=window_to, per_hour=per_hour, validity_days=validity_days,
        grace_hours=grace_hours,
    )  # fmt: skip
    reason = validation.text("reason", reason, 200)
    with audited(organisation):
        return start(actor, Campaign(organisation=organisation, reason=reason, **terms))


def checked_terms(
    actor: Actor, organisation: Organisation, *, scope: Site | Adapter | None, purpose: str, method: str, partner: str,
    curve: str, window_from: time | None, window_to: time | None, per_hour: int, validity_days: int | None,
    grace_hours: int,
) -> Terms:  # fmt: skip
    """The terms, when the actor may have them and they go together. Forbidden or Invalid."""
    adapter = scope if isinstance(scope, Adapter) else None
    site = adapter.site if adapter is not None else scope if isinstance(scope, Site) else None
    require_at(actor, organisation, site.pk if site is not None else None, "keys.rotate")
    validation.same_organisation("scope", scope, organisation.pk)
    purpose = validation.choice("purpose", purpose, [*sorted(REPLACED), Purpose.METER])
    method = validation.choice("method", method, Method.values)
    partner = validation.choice("partner", partner, Partner.values)
    if method == Method.EXCHANGE and purpose != Purpose.INNER:
        raise Invalid("method", _("Only inner keys are agreed with the adapter; deliver this one."))
    if partner == Partner.CONCENTRATOR and method != Method.EXCHANGE:
        raise Invalid("method", _("A concentrator agrees its keys with the adapter; choose the exchange."))
    if (window_from is None) != (window_to is None):
        raise Invalid("window_to", _("A window has a beginning and an end; leave both empty for any hour."))
    if window_from is not None and window_from == window_to:
        raise Invalid("window_to", _("The window is empty; leave both empty for any hour."))
    return Terms(
        site=site,
        adapter=adapter,
        purpose=purpose,
        method=method,
        partner=partner,
        curve=validation.choice("curve", curve, list(Curve)),
        window_from=window_from,
        window_to=window_to,
        per_hour=_number("per_hour", per_hour, 1, MAX_PER_HOUR),
        validity_days=None if validity_days is None else _number("validity_days", validity_days, 1, MAX_VALIDITY_DAYS),
        grace_hours=_number("grace_hours", grace_hours, 0, MAX_GRACE_HOURS),
    )


def start(actor: Actor, campaign: Campaign, keys: dict[int, list[int]] | None = None) -> Campaign:
    """Save a campaign with its deliveries. The caller has checked the permission and holds the chain.

    `keys`: by adapter the keys to be delivered; None: new ones, or of a purpose of WAITING those that wait.
    """
    scope = _scope(campaign)
    if keys is None and campaign.purpose in WAITING:
        keys = waiting_keys(scope, campaign.purpose)
    if keys is not None and campaign.adapter_id is None:
        scope = scope.filter(pk__in=keys)
    found = candidates(campaign, scope, busy=keys is None)
    if not found:
        raise Conflict(_("Nothing is there whose key could be replaced; choose another scope."))
    campaign.created_by = user_of(actor)
    campaign.save(force_insert=True)
    now = timezone.now()
    rows = [row for item in found for row in _deliveries(campaign, item, keys, now)]
    Delivery.objects.bulk_create(rows, batch_size=_BATCH)
    failed = sum(row.state == Delivery.State.FAILED for row in rows)
    if failed == len(rows):
        Campaign.objects.filter(pk=campaign.pk).update(state=Campaign.State.DONE, ended_at=now)
        campaign.state, campaign.ended_at = Campaign.State.DONE, now
    data = {
        "purpose": campaign.purpose,
        "method": campaign.method,
        "partner": campaign.partner,
        "scope": str(campaign.adapter or campaign.site or ""),
        "planned": len(rows) - failed,
        "failed": failed,
        "per_hour": campaign.per_hour,
        "reason": campaign.reason,
    }
    record(campaign.organisation, actor, "campaign.planned", campaign, data)
    return campaign


def _scope(campaign: Campaign) -> QuerySet[Adapter]:
    if campaign.adapter_id is not None:
        return Adapter.objects.filter(pk=campaign.adapter_id)
    rows = Adapter.objects.filter(organisation_id=campaign.organisation_id, archived_at=None)
    return rows if campaign.site_id is None else rows.filter(site_id=campaign.site_id)


def _deliveries(
    campaign: Campaign, candidate: Candidate, keys: dict[int, list[int]] | None, now: Any
) -> list[Delivery]:
    waiting: list[int | None] = [None] if keys is None else [*keys.get(candidate.adapter_id, [])]
    obstacle = candidate.obstacle or ("" if waiting else "no_waiting_key")
    return [
        Delivery(
            campaign=campaign,
            organisation_id=campaign.organisation_id,
            adapter_id=candidate.adapter_id,
            concentrator_id=candidate.concentrator_id,
            key_id=key,
            state=Delivery.State.FAILED if obstacle else Delivery.State.PLANNED,
            code=obstacle,
            message=str(REASONS[obstacle]) if obstacle else "",
            due_at=now,
            state_at=now,
        )
        for key in waiting or [None]
    ]


def _number(field: str, value: int, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(field, _("This is a number from {least} to {most}.").format(least=least, most=most))
    return value
