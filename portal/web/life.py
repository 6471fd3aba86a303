"""The life of a thing as a row of stations with times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.utils.translation import gettext as _

from portal.telemetry.models import AdapterEvent, AdapterStatus
from portal.web import figures
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.pairing.models import Pairing, PairingStep


@dataclass(frozen=True, slots=True)
class Station:
    """One station; `text` is when, or what is waited for."""

    name: str
    text: str
    form: Literal["done", "now", "todo", "fail"]
    at: datetime | None = None


def of_adapter(
    adapter: Adapter, status: AdapterStatus | None, pairings: list[Pairing], first: datetime | None, now: datetime
) -> list[Station]:
    """Registered, paired, joined, keys active, first reading, and the rhythm since."""
    joined = AdapterEvent.objects.filter(adapter=adapter, kind="joined").order_by("at").values_list("at", flat=True)[:1]
    joined_at = next(iter(joined), None)
    paired_at = min((p.from_at for p in pairings), default=None)
    stations = [Station(_("Registered"), figures.day(adapter.created_at), "done", adapter.created_at)]
    stations.append(_reached(_("Paired"), paired_at, None, _("with no meter yet")))
    if adapter.activation == Adapter.Activation.ABP:
        stations.append(Station(_("Joined"), _("needs none (ABP)"), "done"))
    else:
        since = max(filter(None, (adapter.created_at, paired_at)))
        heard = status is not None and status.last_seen is not None
        text = _("join not recorded") if heard and joined_at is None else ""
        stations.append(
            Station(_("Joined"), text, "done") if text else _reached(_("Joined"), joined_at, since, _("not yet"))
        )
    stations.append(_keys(adapter))
    stations.append(_reached(_("First reading"), first, joined_at, _("not yet")))
    stations.append(_rhythm(adapter, status, now))
    return _with_now(stations)


def of_concentrator(concentrator: Concentrator, heard: int) -> list[Station]:
    """Registered, connected, key approved, device table running, adapters heard."""
    connected = concentrator.last_state_at is not None
    approved = concentrator.key_approved
    running = connected and concentrator.running_revision >= concentrator.desired_revision
    stations = [
        Station(_("Registered"), figures.day(concentrator.created_at), "done", concentrator.created_at),
        Station(_("Connected"), _("version {v}").format(v=concentrator.version or "?"), "done")
        if connected
        else Station(_("Connected"), _("not yet"), "todo"),
        Station(_("Key approved"), figures.day(concentrator.key_approved_at), "done", concentrator.key_approved_at)
        if approved and concentrator.key_approved_at
        else Station(_("Key approved"), _("not yet"), "todo"),
        Station(
            _("Device table"),
            _("revision {n}").format(n=concentrator.running_revision)
            if running
            else _("{n} of {all}").format(n=concentrator.running_revision, all=concentrator.desired_revision),
            "done" if running and approved else "todo",
        ),
        Station(_("Adapters heard"), figures.figure(heard), "done" if heard else "todo"),
    ]
    return _with_now(stations)


Reached = Mapping[str, datetime]


def of_pairing(pairing: Pairing, reached: Reached) -> list[Station]:
    """Claimed, paired, informed, joined, configured, identity and first reading; times since the claim."""
    began = reached.get(PairingStep.Step.CLAIMED, pairing.from_at)
    stations = []
    for step in PairingStep.Step:
        at = reached.get(step)
        if step == PairingStep.Step.CLAIMED:
            stations.append(Station(_("Claimed"), figures.day(began), "done", began))
        elif step == PairingStep.Step.PAIRED and at is None:
            stations.append(Station(str(step.label), figures.day(pairing.from_at), "done", pairing.from_at))
        elif step == PairingStep.Step.IDENTITY:
            stations.append(_identity(pairing, at, began))
        else:
            stations.append(_reached(str(step.label), at, began, _("not yet")))
    if pairing.to_at is not None:
        return [*stations, Station(_("Ended"), figures.day(pairing.to_at), "done", pairing.to_at)]
    return _with_now(stations)


def _identity(pairing: Pairing, at: datetime | None, began: datetime) -> Station:
    name = _("Identity")
    if pairing.identity == Pairing.Identity.MISMATCH:
        return Station(name, _("another meter"), "fail", at)
    if pairing.identity == Pairing.Identity.MATCH:
        when = f" · {_since(at, began)}" if at is not None else ""
        return Station(name, _("match") + when, "done", at)
    if pairing.identity == Pairing.Identity.UNREADABLE:
        confirmed = pairing.state == Pairing.State.CONFIRMED
        return Station(name, _("compared by a person") if confirmed else _("not told"), "done" if at else "todo", at)
    return _reached(name, at, began, _("not read yet"))


def _since(at: datetime, began: datetime) -> str:
    seconds = (at - began).total_seconds()
    return f"+ {figures.span(seconds)}" if 0 <= seconds < 86400 else figures.day(at)


def _reached(name: str, at: datetime | None, since: datetime | None, otherwise: str) -> Station:
    if at is None:
        return Station(name, otherwise, "todo")
    return Station(name, figures.day(at) if since is None else _since(at, since), "done", at)


def _keys(adapter: Adapter) -> Station:
    keys = DeviceKey.objects.filter(adapter=adapter).exclude(state=KeyState.DESTROYED).defer("sealed")
    if adapter.kind == Adapter.Kind.FOREIGN:
        return Station(_("Keys"), _("its LoRaWAN keys"), "done") if keys else Station(_("Keys"), _("none"), "todo")
    inner = [k for k in keys if k.purpose == Purpose.INNER]
    active = next((k for k in inner if k.state == KeyState.ACTIVE), None)
    if active is not None:
        until = _("to {day}").format(day=figures.date_of(active.not_after)) if active.not_after else _("no end")
        return Station(_("Keys active"), _("slot {slot}, {until}").format(slot=active.slot, until=until), "done")
    if inner:
        return Station(_("Keys active"), _("with the first reading"), "todo")
    return Station(_("Keys active"), _("none issued"), "todo")


def _rhythm(adapter: Adapter, status: AdapterStatus | None, now: datetime) -> Station:
    if adapter.archived_at is not None:
        return Station(_("Archived"), figures.day(adapter.archived_at), "done", adapter.archived_at)
    if status is None or status.last_seen is None:
        return Station(_("Reading"), _("nothing heard"), "todo")
    if status.state == AdapterStatus.State.SILENT:
        return Station(_("Silent"), figures.ago(status.last_seen, now), "fail", status.last_seen)
    if not status.period_s:
        return Station(_("Reading"), figures.ago(status.last_seen, now), "now", status.last_seen)
    return Station(_("Reading"), _("every {span}").format(span=figures.span(status.period_s)), "now")


def _with_now(stations: list[Station]) -> list[Station]:
    """Where there is no present station yet, the first one still to come is it."""
    if any(s.form in {"now", "fail"} for s in stations):
        return stations
    for i, station in enumerate(stations):
        if station.form == "todo":
            stations[i] = Station(station.name, station.text, "now", station.at)
            break
    return stations
