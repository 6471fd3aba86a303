"""Which meter is really read: found out by the adapter, or confirmed by a person who compared the display."""

from datetime import datetime
from typing import Literal

from django.utils.translation import gettext as _

from meterwire.errors import IdentifierError
from meterwire.identity import meter_of
from meterwire.ids import ServerId
from provisioning import validation
from provisioning.accounts.actors import Actor, System
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Meter
from provisioning.pairing.models import Pairing, PairingStep
from provisioning.pairing.services.configuration import refresh_configuration
from provisioning.pairing.services.opening import facts
from provisioning.pairing.services.steps import record_step

MAX_OCTETS = 20
BRIDGE = System("bridge")
Proof = Literal["report", "sealed"]
_Identity = Pairing.Identity


def confirm(actor: Actor, pairing: Pairing, identity: str = "unreadable", reason: str = "") -> Pairing:
    """A person compared the display with the first reading, where the meter does not tell its name.

    Nobody confirms a mismatch, and only the system a match: that rests on a sealed hash.
    """
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.create")
    allowed = [_Identity.UNREADABLE, *([_Identity.MATCH] if isinstance(actor, System) else [])]
    identity = validation.choice("identity", identity, allowed)
    reason = validation.text("reason", reason, 200)
    with audited(pairing.organisation):
        pending = Pairing.objects.filter(pk=pairing.pk, state=Pairing.State.PENDING).exclude(
            identity=_Identity.MISMATCH
        )
        if not pending.update(state=Pairing.State.CONFIRMED, identity=identity):
            raise Conflict(_("This pairing is not waiting for confirmation; look again."))
        pairing.refresh_from_db()
        learnt = _learn_name(pairing)
        data = {**facts(pairing), "identity": identity, "reason": reason, **learnt}
        record(pairing.organisation, actor, "pairing.confirmed", pairing, data)
    return pairing


def found_identity(pairing: Pairing, outcome: str, octets: bytes, at: datetime, proof: Proof) -> bool:
    """For the bridge: what comparing the meter's own name gave; True when that changed the pairing.

    `report` is port 33, which a concentrator could forge: it warns (mismatch, unreadable) but proves nothing, and takes
    nothing back that a `sealed` hash has proved. `octets` is the name, empty when only its hash is known.
    """
    outcome = validation.choice("outcome", outcome, [_Identity.MATCH, _Identity.MISMATCH, _Identity.UNREADABLE])
    if len(octets) > MAX_OCTETS:
        raise Invalid("octets", _("A meter's name has at most {limit} bytes.").format(limit=MAX_OCTETS))
    with audited(pairing.organisation):
        row = Pairing.objects.select_for_update().get(pk=pairing.pk)
        if row.to_at is not None:
            return False
        identity, state = _next(row, outcome, proof)
        read = octets.hex() or row.identity_read
        if (identity, state, read) == (row.identity, row.state, row.identity_read):
            return False
        Pairing.objects.filter(pk=row.pk).update(identity=identity, state=state, identity_read=read, identity_at=at)
        record_step(row.pk, PairingStep.Step.IDENTITY, at, {"outcome": outcome, "proof": proof})
        if (identity, state) != (row.identity, row.state):
            data = {"identity": [row.identity, identity], "state": [row.state, state], "read": read, "proof": proof}
            record(pairing.organisation, BRIDGE, "pairing.identity", pairing, data)
    pairing.refresh_from_db()
    return True


def _learn_name(pairing: Pairing) -> dict[str, str]:
    """The meter goes by a name that stands on no label: from now on its sealed hash proves it without a person."""
    try:
        name = ServerId(bytes.fromhex(pairing.identity_read))
    except IdentifierError:
        return {}
    if pairing.meter is None or meter_of(name.octets) is not None or pairing.meter.server_id == name.octets.hex():
        return {}
    Meter.objects.filter(pk=pairing.meter.pk).update(server_id=name.octets.hex())
    refresh_configuration(pairing.adapter)
    return {"server_id": name.octets.hex()}


def _next(row: Pairing, outcome: str, proof: Proof) -> tuple[str, str]:
    pending, confirmed = Pairing.State.PENDING.value, Pairing.State.CONFIRMED.value
    if proof == "sealed":
        if outcome == _Identity.UNREADABLE:
            return row.identity, row.state
        return (outcome, confirmed) if outcome == _Identity.MATCH else (outcome, pending)
    if row.identity == _Identity.MATCH:
        return row.identity, row.state
    if outcome == _Identity.MISMATCH:
        return outcome, pending
    if outcome == _Identity.UNREADABLE:
        return (outcome if row.identity == _Identity.UNKNOWN else row.identity), row.state
    if row.identity == _Identity.UNREADABLE and row.state == pending:
        return _Identity.UNKNOWN.value, row.state  # it can be read after all: its sealed hash is waited for
    return row.identity, row.state
