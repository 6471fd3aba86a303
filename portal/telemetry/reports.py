"""What adapters report on port 33 and prove by sealed identity hashes, merged into their Configuration."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from meterwire import config_records
from meterwire.config_records import (
    CommissioningReport,
    ConfigurationRefused,
    CounterReport,
    FirmwareReport,
    OwnIdentity,
    Part,
    ReadIdentity,
    Resolution,
    SlotReport,
)
from meterwire.errors import FormatError
from meterwire.identity import shown
from portal.telemetry.arrivals import Arrival, Batch, Note, moment
from portal.telemetry.dating import believed
from provisioning.pairing.models import Configuration

OTHER_DEV_EUI = "other_dev_eui"
_NEWS = Part | tuple[int, int]  # a report, or input and identity hash


def read(batch: Batch) -> None:
    """Decode port 33, let the counter that comes next be known, and note it. It is not sealed: a hint, no proof."""
    for arrival in batch.arrivals:
        if arrival.telegram.fport != config_records.PORT or arrival.error is not None:
            continue
        if arrival.adapter is None or arrival.adapter.foreign:
            continue
        try:
            part = config_records.decode(arrival.telegram.payload)
        except FormatError as error:
            arrival.error = error.code
            continue
        batch.reports.append((arrival, part))
        for record in part.records:
            if isinstance(record, CounterReport):
                arrival.adapter.reported = record.counter
            elif isinstance(record, OwnIdentity) and str(record.dev_eui) != arrival.telegram.dev_eui:
                batch.notes.append(Note(arrival, "security", OTHER_DEV_EUI, {"reported": str(record.dev_eui)}))
        batch.notes.append(Note(arrival, "registered", "", _detail(part)))


def keep(batch: Batch) -> None:
    """In the batch's transaction: rows in the order of their keys, each locked, older news than the kept left out."""
    news: dict[int, list[tuple[int, _NEWS]]] = {}
    for arrival, part in batch.reports:
        _collect(news, arrival, part, batch.now_us)
    for arrival, input_, value in batch.proofs:
        _collect(news, arrival, (input_, value), batch.now_us)
    if not news:
        return
    Configuration.objects.bulk_create((Configuration(adapter_id=pk) for pk in sorted(news)), ignore_conflicts=True)
    for row in Configuration.objects.select_for_update().filter(pk__in=news).order_by("pk"):
        for at, item in sorted(news[row.pk], key=lambda pair: pair[0]):
            merge(row, item, moment(at))
        row.save(update_fields=["running", "reported", "reported_at"])


def merge(row: Configuration, item: Part | tuple[int, int], at: datetime) -> None:
    """Take over one part of a report, or an (input, identity hash) that was sealed, received at `at`."""
    reported: dict[str, Any] = row.reported
    if isinstance(item, tuple):
        proofs = reported.setdefault("proofs", {})
        if str(at) >= proofs.get(str(item[0]), {}).get("at", ""):
            proofs[str(item[0])] = {"hash": item[1], "at": str(at)}
        return
    if row.reported_at is not None and at < row.reported_at:
        return
    if reported.get("refused") == item.version or item.version != row.running:
        _forget_refusal(reported)
    row.running, row.reported_at = item.version, at
    for record in item.records:
        _take(reported, record, at)


def _take(reported: dict[str, Any], record: object, at: datetime) -> None:
    match record:
        case CounterReport():
            reported["counter"] = record.counter
        case FirmwareReport():
            if reported.get("firmware") != record.version:
                _forget_refusal(reported)  # the new one may be able to do it
            reported["firmware"] = record.version
        case OwnIdentity():
            reported["dev_eui"] = str(record.dev_eui)
        case ReadIdentity():
            named = {"kind": record.kind, "octets": record.octets.hex(), "at": str(at)}
            reported.setdefault("identities", {})[str(record.input)] = named
        case Resolution():
            reported.setdefault("resolutions", {})[str(record.register)] = record.exponent
        case CommissioningReport():
            reported["commissioning_until"] = str(at + timedelta(seconds=record.seconds_left))
        case SlotReport():
            echo = {"version": record.version, "state": int(record.state), "rate_ppb": record.rate_ppb}
            reported["slot"] = {**echo, "uncertainty_ms": record.uncertainty_ms, "at": str(at)}
        case ConfigurationRefused():
            reported["refused"] = record.version
            reported["refusal"] = record.reason
            reported["refused_record"] = record.record_type
            reported["refused_at"] = str(at)


def _forget_refusal(reported: dict[str, Any]) -> None:
    for name in ("refused", "refusal", "refused_record", "refused_at"):
        reported.pop(name, None)


def _collect(news: dict[int, list[tuple[int, _NEWS]]], arrival: Arrival, item: _NEWS, now_us: int) -> None:
    if arrival.error is None and not arrival.known and arrival.adapter is not None:
        news.setdefault(arrival.adapter.pk, []).append((min(believed(arrival, now_us), now_us), item))


def _detail(part: Part) -> Mapping[str, object]:
    """Flat, for the adapter's page."""
    detail: dict[str, object] = {"version": part.version, "part": part.part, "parts": part.parts}
    for record in part.records:
        match record:
            case CounterReport():
                detail["counter"] = record.counter
            case FirmwareReport():
                detail["firmware"] = record.version
            case ReadIdentity():
                detail[f"meter_{record.input}"] = shown(record.octets) if record.octets else "-"
            case ConfigurationRefused():
                detail["refused"], detail["refusal"] = record.version, record.reason
    return detail
