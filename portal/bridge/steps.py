"""Follows pairings through what the bridge has committed: who was informed, joined, configured, read and heard.

Runs after the batch's commit in the same thread. Each step is written once: repetitions and a second bridge do no harm.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max

from meterwire import config_records, identity
from meterwire.config_records import (
    ConfigurationRefused,
    CounterReport,
    FirmwareReport,
    IdentityKind,
    OwnIdentity,
    Part,
    ReadIdentity,
    Resolution,
)
from meterwire.identity import Outcome
from meterwire.ids import DevEUI, MeterId
from meterwire.registers import REGISTERS
from portal.telemetry.arrivals import Arrival, Source, moment
from portal.telemetry.live import Changes
from portal.telemetry.models import AdapterEvent
from portal.telemetry.quarantine import withdraw
from portal.telemetry.services import note_event
from provisioning.fleet.models import DeviceChange
from provisioning.pairing.models import Configuration, Pairing, PairingStep
from provisioning.pairing.queries import open_pairings_of
from provisioning.pairing.services import found_identity, record_step

log = logging.getLogger(__name__)

PREFERRED = 1  # register index of the first reading that is shown: import, total
INFORM_AT_ONCE = 500  # pairings looked at per state
Step = PairingStep.Step


class Steps:
    """`wake` collects the adapters whose configuration should be sent soon."""

    def __init__(self, changes: Changes, wake: set[int]) -> None:
        self._changes, self._wake = changes, wake

    def telegrams(self, arrivals: Iterable[Arrival], now: datetime) -> None:
        """What a committed batch of telegrams tells about open pairings."""
        told = [a for a in arrivals if a.adapter is not None and a.error is None and not a.known and _tells(a)]
        if not told:
            return
        pairings: dict[int, list[Pairing]] = {}
        for pairing in open_pairings_of({a.adapter.pk for a in told if a.adapter is not None}):
            pairings.setdefault(pairing.adapter_id, []).append(pairing)
        for arrival in told:
            assert arrival.adapter is not None
            mine = pairings.get(arrival.adapter.pk, [])
            at = moment(arrival.received_us)
            if arrival.report is not None:
                self._report(arrival, arrival.report, mine, at)
            for input_, value in arrival.proofs or ():
                self._proof(arrival, mine, input_, value, at)
            if arrival.adapter.watched:
                self._heard(arrival, mine, at)

    def joined(self, rows: Iterable[AdapterEvent]) -> None:
        """Adapters that began a session."""
        by_adapter = {row.adapter_id: row for row in rows if row.kind == "joined" and row.adapter_id is not None}
        for pairing in open_pairings_of([pk for pk in by_adapter if pk is not None]):
            row = by_adapter[pairing.adapter_id]
            if row.at < pairing.from_at:
                continue
            detail = {name: row.detail[name] for name in ("gw", "rssi", "snr", "dr") if name in row.detail}
            self._reach(pairing, Step.INFORMED, row.at, {"implied": 1})
            self._reach(pairing, Step.JOINED, row.at, detail)
            self._wake.add(pairing.adapter_id)

    def state(self, source: Source, revision: int, at: datetime) -> None:
        """The concentrator runs `revision` of its device table: who waits for that?"""
        waiting = Pairing.objects.filter(to_at=None, adapter__concentrator_id=source.pk).exclude(
            steps__step=Step.INFORMED
        )
        rows = list(waiting.select_related("adapter")[:INFORM_AT_ONCE])
        if not rows:
            return
        logged = DeviceChange.objects.filter(
            concentrator_id=source.pk, dev_eui__in=[row.adapter.dev_eui for row in rows]
        )
        latest = dict(logged.values_list("dev_eui").annotate(latest=Max("revision")))
        for pairing in rows:
            if latest.get(pairing.adapter.dev_eui, 0) <= revision and at >= pairing.from_at:
                self._reach(pairing, Step.INFORMED, at, {"concentrator": source.eui, "revision": revision})

    def _report(self, arrival: Arrival, part: Part, mine: Sequence[Pairing], at: datetime) -> None:
        assert arrival.adapter is not None
        row = _keep_report(arrival.adapter.pk, part, at)
        if row is not None and row.version and row.running == row.version:
            detail = {"version": row.version, "firmware": row.reported.get("firmware", "")}
            for pairing in mine:
                self._reach(pairing, Step.CONFIGURED, at, detail)
        elif row is not None and row.version:
            self._wake.add(arrival.adapter.pk)
        for found in part.records:
            if not isinstance(found, ReadIdentity):
                continue
            for pairing in (p for p in mine if p.input == found.input and p.meter is not None):
                outcome = _judged(found, pairing)
                self._found(pairing, outcome, found.octets, at, "report")

    def _proof(self, arrival: Arrival, mine: Sequence[Pairing], input_: int, value: int, at: datetime) -> None:
        assert arrival.adapter is not None
        dev_eui = DevEUI.parse(arrival.adapter.dev_eui)
        for pairing in (p for p in mine if p.input == input_ and p.meter is not None):
            assert pairing.meter is not None
            names = identity.expected(MeterId.parse(pairing.meter.meter_id), _server_id(pairing))
            read = bytes.fromhex(pairing.identity_read)
            name = identity.name_of(value, dev_eui, input_, (*names, *([read] if read else [])))
            if name is not None and name in names:
                self._found(pairing, Outcome.MATCH, name, at, "sealed")
                self._twice(arrival, pairing, name, at)
            elif name is not None and identity.meter_of(name) is None:
                # It names itself by something that stands on no label: a person has to compare the display.
                self._found(pairing, Outcome.UNREADABLE, name, at, "report")
            else:
                self._found(pairing, Outcome.MISMATCH, name or b"", at, "sealed")

    def _found(self, pairing: Pairing, outcome: Outcome, octets: bytes, at: datetime, proof: Any) -> None:
        before = pairing.identity
        if not found_identity(pairing, outcome.value, octets, at, proof):
            return
        self._tell(pairing, at)
        if pairing.identity == Pairing.Identity.MISMATCH and before != Pairing.Identity.MISMATCH:
            count = withdraw(pairing)
            detail = {"read": identity.shown(octets) if octets else "", "withdrawn": count, "pairing": pairing.pk}
            note_event(pairing.adapter, "identity", "mismatch", detail, at)

    def _twice(self, arrival: Arrival, pairing: Pairing, name: bytes, at: datetime) -> None:
        """The same meter read by two adapters of the organisation, each as if it were its own."""
        others = Pairing.objects.filter(
            organisation_id=pairing.organisation_id, to_at=None, identity_read=name.hex()
        ).exclude(adapter_id=pairing.adapter_id)
        for other in others.exclude(metering_point_id=pairing.metering_point_id).select_related("adapter")[:1]:
            detail = {"meter": identity.shown(name), "other": other.adapter.dev_eui}
            note_event(pairing.adapter, "security", "identity_twice", detail, at)

    def _heard(self, arrival: Arrival, mine: Sequence[Pairing], at: datetime) -> None:
        """Whoever is heard was informed of and has joined; the first reading is the last station."""
        adapter, seen_all = arrival.adapter, True
        assert adapter is not None
        for pairing in mine:
            if at < pairing.from_at:
                continue
            self._reach(pairing, Step.INFORMED, at, {"implied": 1})
            best = arrival.telegram.rx[0]
            self._reach(pairing, Step.JOINED, at, {"gw": best.gw, "rssi": best.rssi, "snr": best.snr, "implied": 1})
            first = _first(arrival, pairing.input)
            if first is not None:
                self._reach(pairing, Step.READING, at, first)
            seen_all = seen_all and first is not None and pairing.state == Pairing.State.CONFIRMED
        if seen_all:
            adapter.watched = False

    def _reach(self, pairing: Pairing, step: PairingStep.Step, at: datetime, detail: dict[str, Any]) -> None:
        if record_step(pairing.pk, step.value, at, detail):
            self._tell(pairing, at)

    def _tell(self, pairing: Pairing, at: datetime) -> None:
        self._changes.add(pairing.organisation_id, "pairing", pairing.adapter_id, None, at.isoformat())


def _tells(arrival: Arrival) -> bool:
    assert arrival.adapter is not None
    return arrival.adapter.watched or arrival.report is not None or bool(arrival.proofs)


def _keep_report(adapter: int, part: Part, at: datetime) -> Configuration | None:
    """Merge one part of a report into what is known of the adapter's configuration."""
    with transaction.atomic():
        Configuration.objects.get_or_create(adapter_id=adapter)
        row = Configuration.objects.select_for_update().get(pk=adapter)
        if row.reported_at is not None and at < row.reported_at:
            return None
        reported = dict(row.reported)
        for found in part.records:
            _merge(reported, found)
        if part.version == row.version:
            reported.pop("refusal", None)
        row.running, row.reported, row.reported_at = part.version, reported, at
        row.save(update_fields=["running", "reported", "reported_at"])
    return row


def _merge(reported: dict[str, Any], found: config_records.Record) -> None:
    if isinstance(found, CounterReport):
        reported["counter"] = found.counter
    elif isinstance(found, FirmwareReport):
        reported["firmware"] = found.version
    elif isinstance(found, OwnIdentity):
        reported["dev_eui"] = str(found.dev_eui)
    elif isinstance(found, ReadIdentity):
        kept = {"kind": int(found.kind), "octets": found.octets.hex()}
        reported["identities"] = {**reported.get("identities", {}), str(found.input): kept}
    elif isinstance(found, Resolution):
        reported["resolutions"] = {**reported.get("resolutions", {}), str(found.register): found.exponent}
    elif isinstance(found, ConfigurationRefused):
        reported["refusal"] = f"{found.version}: {found.reason}"


def _judged(found: ReadIdentity, pairing: Pairing) -> Outcome:
    """MISMATCH only for a name that stands for another meter; what stands on no label cannot be compared."""
    assert pairing.meter is not None
    outcome = identity.judge(found, MeterId.parse(pairing.meter.meter_id), _server_id(pairing))
    if outcome is Outcome.MISMATCH and found.kind != IdentityKind.NONE and identity.meter_of(found.octets) is None:
        return Outcome.UNREADABLE
    return outcome


def _server_id(pairing: Pairing) -> bytes:
    return bytes.fromhex(pairing.meter.server_id) if pairing.meter is not None else b""


def _first(arrival: Arrival, input_: int) -> dict[str, Any] | None:
    """The reading to show of this input, the total import where there is one."""
    mine = [row for row in arrival.readings or () if row[0] >> 5 == input_ and row[1] is not None]
    if not mine:
        return None
    number, value, measured, _ = min(mine, key=lambda row: (row[0] & 31 != PREFERRED, row[0] & 31))
    register = REGISTERS[number & 31]
    quantity = register.quantity(value or 0)
    if register.unit == "Wh":
        quantity, unit = quantity / Decimal(1000), "kWh"
    else:
        unit = register.unit
    return {"obis": register.obis, "value": f"{quantity:f}", "unit": unit, "measured_at": moment(measured).isoformat()}
