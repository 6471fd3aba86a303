"""Which meter an adapter really reads: what it reported and proved, compared with the meter of its pairing.

A report on port 33 could be forged by a concentrator: it warns early. Only a sealed hash gives a MATCH (design 5.8).
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from meterwire.identity import Outcome, expected, meter_of, name_of, shown
from meterwire.ids import DevEUI, MeterId
from portal.telemetry.quarantine import withdraw
from portal.telemetry.services import note_event
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration, Pairing, PairingStep
from provisioning.pairing.services import found_identity, record_step
from provisioning.pairing.services.identity import Proof

log = logging.getLogger(__name__)

REPORT_LAG = timedelta(minutes=2)  # a sealed hash may come before the report that spells the name out
SILENT_METER = timedelta(minutes=5)  # readings for so long without any name: it will not tell one


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the adapter's words amount to. `octets` is the meter's own name, empty where only its hash is known."""

    outcome: Outcome
    octets: bytes
    at: datetime
    proof: Proof


def judge(pairing: Pairing, reported: dict[str, Any], reading_at: datetime | None, now: datetime) -> Verdict | None:
    """None: nothing to tell yet. What was said before the pairing began, or judged for it already, does not count."""
    if reported.get("judged", {}).get(str(pairing.input)) == occasion(pairing, reported):
        return None
    if pairing.meter is None or pairing.adapter.kind == Adapter.Kind.FOREIGN:
        return _silent(reading_at, timedelta(0), now)
    report = _since(pairing, reported.get("identities", {}).get(str(pairing.input)))
    proof = _since(pairing, reported.get("proofs", {}).get(str(pairing.input)))
    if proof is not None:
        return _proven(pairing, proof, report, now)
    if report is None:
        return _silent(reading_at, SILENT_METER, now)
    octets = bytes.fromhex(report["octets"])
    if octets in _names(pairing, octets):
        return None  # the sealed hash is waited for
    at = datetime.fromisoformat(report["at"])
    return Verdict(Outcome.MISMATCH if meter_of(octets) else Outcome.UNREADABLE, octets, at, "report")


def take(pairing: Pairing, verdict: Verdict, reported: dict[str, Any]) -> bool:
    """Write a verdict down with all that follows, in one transaction; True when the pairing is another one now."""
    if verdict.outcome is Outcome.MATCH and _settled(pairing, verdict):
        return False
    before, known_good = pairing.identity, pairing.identity_at
    with transaction.atomic():
        twin = _twin(pairing, verdict.octets) if verdict.octets else None
        if twin is not None:
            _warn(pairing, twin, verdict)
            if verdict.outcome is Outcome.MATCH:
                return False  # neither becomes MATCH silently
        detail = {"outcome": verdict.outcome.value, "display": shown(verdict.octets) if verdict.octets else ""}
        stepped = record_step(pairing.pk, PairingStep.Step.IDENTITY, verdict.at, detail)
        changed = found_identity(pairing, verdict.outcome.value, verdict.octets, verdict.at, verdict.proof)
        if pairing.identity == Pairing.Identity.MISMATCH != before:
            withdraw(pairing, since=known_good if before == Pairing.Identity.MATCH else None)
            _alarm(pairing, verdict)
        _mark_judged(pairing, reported)
    return changed or stepped


def occasion(pairing: Pairing, reported: dict[str, Any]) -> str:
    """Names what is judged: this report and this proof for this pairing. The same is not judged twice."""
    said = (reported.get(name, {}).get(str(pairing.input), {}).get("at", "") for name in ("identities", "proofs"))
    return " ".join((str(pairing.pk), *said))


def _proven(pairing: Pairing, proof: dict[str, Any], report: dict[str, Any] | None, now: datetime) -> Verdict | None:
    at, dev_eui = datetime.fromisoformat(proof["at"]), DevEUI.parse(pairing.adapter.dev_eui)
    told = bytes.fromhex(report["octets"]) if report is not None else b""
    names = _names(pairing, told)
    name = name_of(proof["hash"], dev_eui, pairing.input, names)
    if name is not None:
        return Verdict(Outcome.MATCH, name, at, "sealed")
    if told and name_of(proof["hash"], dev_eui, pairing.input, (told,)) is not None:
        if meter_of(told) is None:
            # It names itself by something that stands on no label: a person has to compare the display.
            return Verdict(Outcome.UNREADABLE, told, at, "report")
        return Verdict(Outcome.MISMATCH, told, at, "sealed")
    if now - at < REPORT_LAG:
        return None  # the name itself may still come
    return Verdict(Outcome.MISMATCH, b"", at, "sealed")


def _silent(reading_at: datetime | None, patience: timedelta, now: datetime) -> Verdict | None:
    """A meter that tells nothing although it is read."""
    if reading_at is None or now - reading_at < patience:
        return None
    return Verdict(Outcome.UNREADABLE, b"", reading_at, "report")


def _names(pairing: Pairing, told: bytes) -> tuple[bytes, ...]:
    """By which names the pairing's meter may go; `told` too, when it is that meter's number in another form."""
    assert pairing.meter is not None
    meter = MeterId.parse(pairing.meter.meter_id)
    names = expected(meter, bytes.fromhex(pairing.meter.server_id))
    return (*names, told) if told and meter_of(told) == meter else names


def _since(pairing: Pairing, said: dict[str, Any] | None) -> dict[str, Any] | None:
    return said if said is not None and datetime.fromisoformat(said["at"]) >= pairing.from_at else None


def _settled(pairing: Pairing, verdict: Verdict) -> bool:
    return (
        pairing.identity == Pairing.Identity.MATCH
        and pairing.state == Pairing.State.CONFIRMED
        and pairing.identity_read == verdict.octets.hex()
    )


def _twin(pairing: Pairing, octets: bytes) -> Pairing | None:
    """Another pairing of the organisation whose adapter reads the same meter, as if there were two of it.

    Adapters that share a metering point, each for other registers, do read the same meter.
    """
    others = Pairing.objects.filter(
        organisation_id=pairing.organisation_id, to_at=None, identity_read=octets.hex()
    ).exclude(metering_point_id=pairing.metering_point_id)
    return others.exclude(pk=pairing.pk).select_related("adapter").first()


def _warn(pairing: Pairing, twin: Pairing, verdict: Verdict) -> None:
    detail = {"meter": shown(verdict.octets), "other": twin.adapter.dev_eui, "pairing": pairing.pk, "twin": twin.pk}
    once = f"{pairing.pk} {twin.pk} {verdict.octets.hex()}"
    if note_event(pairing.adapter, "security", "identity_twice", detail, at=verdict.at, once=once):
        log.warning("two adapters read the same meter", extra={"pairing": pairing.pk, "other": twin.pk})


def _alarm(pairing: Pairing, verdict: Verdict) -> None:
    meant = "" if pairing.meter is None else str(pairing.meter.meter_id)
    detail = {
        "pairing": pairing.pk,
        "input": pairing.input,
        "read": shown(verdict.octets) if verdict.octets else "",
        "expected": meant,
        "proof": verdict.proof,
    }
    note_event(pairing.adapter, "identity", "mismatch", detail, at=verdict.at, once=f"{pairing.pk} {verdict.proof}")


def _mark_judged(pairing: Pairing, reported: dict[str, Any]) -> None:
    row = Configuration.objects.select_for_update().filter(pk=pairing.adapter_id).first()
    if row is not None:
        row.reported.setdefault("judged", {})[str(pairing.input)] = occasion(pairing, reported)
        row.save(update_fields=["reported"])
