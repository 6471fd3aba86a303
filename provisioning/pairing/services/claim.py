"""Pairing by phone: two raw scans become a pairing, once for each idempotency key."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.ids import MeterId
from meterwire.scan import Scan
from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.permissions import require
from provisioning.audit.services import audited
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.queries import Heard
from provisioning.labels.services import consume
from provisioning.pairing.models import Claim, Pairing
from provisioning.pairing.services import blocks, destination, scans
from provisioning.pairing.services.answers import Answer, ClaimRequest, Refusal, facts_of
from provisioning.pairing.services.opening import MAX_INPUT, open_pairing
from provisioning.pairing.services.proof import Proof, prove, refuse_old_label
from provisioning.pairing.services.values import kilowatt_hours, unit

KEY = re.compile(r"[A-Za-z0-9_-]{8,80}", re.ASCII)
MAX_OFFLINE, MAX_AHEAD = timedelta(days=60), timedelta(days=1)  # beyond, a phone's clock is not believed


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who asks for what, and when."""

    actor: Actor
    organisation: Organisation
    user: User
    request: ClaimRequest
    now: datetime
    heard: Heard | None


class WrongToken(Exception):
    """The scan's owner token is not the adapter's."""


def claim(
    actor: Actor,
    organisation: Organisation,
    request: ClaimRequest,
    *,
    key: str,
    now: datetime | None = None,
    heard: Heard | None = None,
) -> Answer:
    """Pair the scanned adapter with the scanned meter; the same `key` gives the same answer without a second effect.

    Answers 201; 400 with the field of a scan that is none; 403 `blocked`; 404 `unknown_adapter`; 409 `already_paired`
    (who and when), `meter_paired`, `site_needed` (with choices; ask again with a site, under the same key), ...
    Raises Forbidden outside the actor's role or sites, Invalid for a key that is none.
    """
    require(actor, organisation, "pairing.create")
    user = user_of(actor)
    if user is None:
        raise Forbidden(_("Only a person can scan; pair by hand instead."))
    if not KEY.fullmatch(key):
        raise Invalid("Idempotency-Key", _("Send a key of 8 to 80 letters, digits, - or _ that is new for each scan."))
    now = now or timezone.now()
    with audited(organisation):
        held = Claim.objects.filter(organisation=organisation, user=user, key=key).select_related("pairing").first()
        if held is not None:
            return _again(held, request)
        answer, kept = _decide(Attempt(actor, organisation, user, request, now, heard))
        if kept:
            Claim.objects.create(
                organisation=organisation, user=user, key=key, digest=request.digest(), status=answer.status,
                answer=answer.body, pairing=answer.pairing, created_at=now,
            )  # fmt: skip
        return answer


def _again(held: Claim, request: ClaimRequest) -> Answer:
    if held.digest != request.digest():
        message = _("This key was used for another scan; send each scan under a key of its own.")
        return Answer(409, {"code": "key_reused", "message": message})
    return Answer(held.status, held.answer, held.pairing)


def _decide(attempt: Attempt) -> tuple[Answer, bool]:
    """The answer, and whether it is final. What a refusal had begun is undone."""
    try:
        scan, meter_id = scans.both(attempt.request.adapter_scan, attempt.request.meter_scan)
        blocks.refuse_if_blocked(attempt.organisation, attempt.user)
        try:
            with transaction.atomic():
                pairing = _paired(attempt, scan, meter_id)
        except WrongToken:
            blocks.count_wrong(attempt.actor, attempt.organisation, attempt.user, str(scan.dev_eui), attempt.now)
            message = _("This label does not fit the adapter it names; scan the label on the adapter itself.")
            raise Refusal(400, "wrong_token", message, field="adapter_scan") from None
    except Refusal as refusal:
        return refusal.answer, refusal.kept
    except Invalid as error:
        return Answer(400, {"code": error.code, "field": error.field, "message": str(error)}), False
    except Conflict as error:
        return Answer(409, {"code": error.code, "message": str(error)}), False
    return Answer(201, facts_of(pairing), pairing), True


def _paired(attempt: Attempt, scan: Scan, meter_id: MeterId) -> Pairing:
    actor, organisation, request, now = attempt.actor, attempt.organisation, attempt.request, attempt.now
    if not 0 <= request.input <= MAX_INPUT:
        raise Invalid("input", _("Inputs run from 0 to {limit}.").format(limit=MAX_INPUT))
    note, scanned_at = validation.text("note", request.note, 200), _believed(request.scanned_at, now)
    said: dict[str, Any] = {
        "note": note,
        "display_value": kilowatt_hours("display_value", request.display_value),
        "display_unit": unit("display_unit", request.display_unit) if request.display_value is not None else "",
        "scanned_at": scanned_at,
    }
    adapter = scans.find_adapter(organisation, scan)
    if adapter is None:
        raise Refusal(404, "unknown_adapter", scans.unknown())
    proof = prove(actor, adapter, scan)
    if proof is Proof.WRONG:
        raise WrongToken
    destination.refuse_if_paired(adapter, request.input)
    refuse_old_label(adapter, proof)
    place = destination.find(actor, organisation, adapter, meter_id, request)
    require_at(actor, organisation, place.site.pk, "pairing.create")
    if adapter.site_id not in (None, place.site.pk):
        require_at(actor, organisation, adapter.site_id, "pairing.create")
    point, meter = destination.prepare(actor, place, meter_id, note, now)
    claimed = {} if scanned_at is None else {"scanned_at": scanned_at.isoformat()}
    pairing = open_pairing(
        actor, adapter, point, meter, from_at=now, input=request.input, heard=attempt.heard, claimed=claimed, **said
    )
    if proof is Proof.NEW:
        consume(actor, adapter)
    return pairing


def _believed(scanned_at: datetime | None, now: datetime) -> datetime | None:
    if scanned_at is None or timezone.is_naive(scanned_at):
        return None
    return scanned_at if now - MAX_OFFLINE <= scanned_at <= now + MAX_AHEAD else None
