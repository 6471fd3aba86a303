"""What somebody beside an adapter wants to know: which step does not move and what to do, and who is heard unpaired."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from meterwire.identity import meter_of, shown
from portal.telemetry.models import AdapterEvent, AdapterStatus
from provisioning.accounts.models import Organisation
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.models import SERVING, DeviceKey, KeyState
from provisioning.pairing.models import Configuration, Pairing, PairingStep

WEAK_DBM = -115.0  # below it a few centimetres of antenna decide
FRESH = timedelta(minutes=70)  # a concentrator tells of a stranger that goes on asking at least hourly
REFUSED_LATELY = timedelta(minutes=10)
UNPAIRED_WITHIN = timedelta(hours=24)
MAX_UNPAIRED = 500
MAX_EVENTS = 5_000
PATIENCE = {  # how long each step may take before the sentence asks for a deed
    PairingStep.Step.INFORMED: timedelta(seconds=10),
    PairingStep.Step.JOINED: timedelta(seconds=40),
    PairingStep.Step.CONFIGURED: timedelta(seconds=40),
    PairingStep.Step.IDENTITY: timedelta(seconds=40),
    PairingStep.Step.READING: timedelta(seconds=40),
}
_ORDER = tuple(step for step in PairingStep.Step.values if step in PATIENCE)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first step that is not reached, since when it is waited for, and a sentence with the cause and the cure.

    `other` is the open pairing of the meter that is really read, for a mismatch.
    """

    step: str
    since: datetime
    code: str
    message: str
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A device that asks to join and is served by nobody; `adapter` when it is registered in the organisation."""

    dev_eui: str
    adapter: Adapter | None
    concentrator: Concentrator | None
    rssi: float | None
    snr: float | None
    dr: int | None
    gw: str
    count: int
    first: datetime
    last: datetime


def waiting_for(pairing: Pairing, now: datetime | None = None) -> Waiting | None:
    """What the pairing waits for; None when all is done or it has ended."""
    now = now or timezone.now()
    if pairing.to_at is not None:
        return None
    reached = {row.step: row.at for row in pairing.steps.all()}
    if pairing.identity == Pairing.Identity.MISMATCH:
        return _mismatch(pairing, reached)
    missing = next((step for step in _ORDER if step not in reached), None)
    before = max(reached.values(), default=pairing.from_at)
    if pairing.identity == Pairing.Identity.UNREADABLE and pairing.state == Pairing.State.PENDING:
        if PairingStep.Step.READING in reached:
            return Waiting("identity", reached[PairingStep.Step.READING], "unreadable", _unreadable(pairing))
        missing = PairingStep.Step.READING
    if missing is None:
        if pairing.state == Pairing.State.CONFIRMED:
            return None
        missing = PairingStep.Step.IDENTITY
    code, message = _STEPS[PairingStep.Step(missing)](pairing, before, now)
    return Waiting(missing, before, code, message)


def first_reading(pairing: Pairing) -> dict[str, Any] | None:
    """{obis, value, unit, measured_at} of the first reading that arrived; None before."""
    row = next((row for row in pairing.steps.all() if row.step == PairingStep.Step.READING), None)
    return None if row is None else dict(row.detail)


def heard_levels(adapter: Adapter, concentrators: Sequence[Concentrator]) -> Mapping[int, float]:
    """At which best level (dBm) each of these concentrators heard the adapter ask to join or join lately."""
    rows = AdapterEvent.objects.filter(
        concentrator__in=list(concentrators),
        dev_eui=adapter.dev_eui,
        kind__in=["heard", "joined"],
        at__gte=timezone.now() - UNPAIRED_WITHIN,
    )
    levels: dict[int, float] = {}
    for pk, detail in rows.values_list("concentrator_id", "detail"):
        rssi = _number(detail.get("rssi"))
        if pk is not None and rssi is not None:
            levels[pk] = max(rssi, levels.get(pk, rssi))
    return levels


def heard_unpaired(
    organisation: Organisation, sites: frozenset[int] | None = None, now: datetime | None = None
) -> list[Unpaired]:
    """Who asked to join in the last day at the organisation's concentrators and is not served, latest first.

    `sites` limits to concentrators there. A device of another organisation looks like any unknown one.
    """
    since = (now or timezone.now()) - UNPAIRED_WITHIN
    events = AdapterEvent.objects.filter(organisation=organisation, kind="heard", at__gte=since).exclude(dev_eui="")
    if sites is not None:
        events = events.filter(concentrator__site__in=sites)
    rows = events.order_by("-at").select_related("concentrator")[:MAX_EVENTS]
    latest: dict[str, list[AdapterEvent]] = {}
    for row in rows:
        latest.setdefault(row.dev_eui, []).append(row)
    names = list(latest)[:MAX_UNPAIRED]
    own = Adapter.objects.filter(organisation=organisation, archived_at=None, dev_eui__in=names)
    adapters = {row.dev_eui: row for row in own}
    seen = _seen(adapters.values(), since)
    return [
        _unpaired(dev_eui, latest[dev_eui], adapters.get(dev_eui))
        for dev_eui in names
        if not _served(adapters.get(dev_eui), latest[dev_eui][0], seen)
    ]


def _served(adapter: Adapter | None, heard: AdapterEvent, seen: Mapping[int, datetime]) -> bool:
    """Whether it was a stranger only until its concentrator got to know it."""
    if adapter is None or adapter.concentrator_id is None:
        return False
    if adapter.concentrator_id == heard.concentrator_id:
        return True
    return adapter.pk in seen and seen[adapter.pk] >= heard.at


def _seen(adapters: Collection[Adapter], since: datetime) -> dict[int, datetime]:
    """When each of these adapters was last heard as one that is served."""
    keys = [adapter.pk for adapter in adapters]
    heard = AdapterStatus.objects.filter(pk__in=keys, last_seen__isnull=False).values_list("pk", "last_seen")
    found = {pk: at for pk, at in heard if at is not None}
    joins = AdapterEvent.objects.filter(adapter__in=keys, kind="joined", at__gte=since).order_by()
    for pk, at in joins.values_list("adapter").annotate(Max("at")):
        found[pk] = max(at, found.get(pk, at))
    return found


def _unpaired(dev_eui: str, rows: list[AdapterEvent], adapter: Adapter | None) -> Unpaired:
    row = rows[0]
    detail = row.detail
    dr = detail.get("dr")
    counts = [one.detail.get("count") for one in rows]
    return Unpaired(
        dev_eui,
        adapter,
        row.concentrator,
        _number(detail.get("rssi")),
        _number(detail.get("snr")),
        dr if isinstance(dr, int) else None,
        str(detail.get("gw", "")),
        max([count for count in counts if isinstance(count, int)], default=len(rows)),
        rows[-1].at,
        row.at,
    )


def _mismatch(pairing: Pairing, reached: Mapping[str, datetime]) -> Waiting:
    since = pairing.identity_at or reached.get(PairingStep.Step.IDENTITY, pairing.from_at)
    read = bytes.fromhex(pairing.identity_read)
    if not read:
        message = _("This adapter reads another meter than the one you scanned. Check which meter it sits on.")
        return Waiting("identity", since, "mismatch", message)
    found = meter_of(read)
    others = Pairing.objects.filter(organisation_id=pairing.organisation_id, to_at=None).exclude(pk=pairing.pk)
    other = None if found is None else others.filter(meter__meter_id=str(found)).values_list("pk", flat=True).first()
    if other is not None:
        text = _("The meter read by this adapter is {meter}, not the one you scanned: swap them?")
    else:
        text = _("The meter read by this adapter is {meter}, not the one you scanned. Put it on the right meter.")
    return Waiting("identity", since, "mismatch", text.format(meter=shown(read)), other)


def _unreadable(pairing: Pairing) -> str:
    if pairing.identity_read:
        name = shown(bytes.fromhex(pairing.identity_read))
        return _(
            "The meter calls itself {name}, which stands on no label: compare the reading with the display."
        ).format(name=name)
    return _("This meter does not tell its number: compare the reading with the display.")


def _proof() -> str:
    return _("The meter's number was reported; the sealed proof of it comes with the next reading.")


def _informed(pairing: Pairing, since: datetime, now: datetime) -> tuple[str, str]:
    concentrator = pairing.adapter.concentrator
    if concentrator is None:
        return "no_concentrator", _(
            "This site has no concentrator yet. Register one; the pairing then goes on by itself."
        )
    if not concentrator.key_approved:
        return "key_not_approved", _("An operator has to approve the key of concentrator {name} first.").format(
            name=concentrator.name
        )
    if not concentrator.online:
        last = concentrator.last_state_at
        return "not_informed", _(
            "Concentrator {name} is offline since {since}. You may leave: the pairing goes on by itself when it is"
            " back."
        ).format(name=concentrator.name, since=_("its registration") if last is None else _clock(last))
    if not _keyed(pairing.adapter):
        return "no_key", _("The adapter has no root key here, so it cannot join. Ask a key custodian for one.")
    return "not_informed", _("Concentrator {name} is being informed.").format(name=concentrator.name)


def _joined(pairing: Pairing, since: datetime, now: datetime) -> tuple[str, str]:
    refused = _last(pairing, max(pairing.from_at, now - REFUSED_LATELY), kind="join_refused")
    if refused is not None and refused.reason in _REFUSED_JOINS:
        return _REFUSED_JOINS[refused.reason][0], str(_REFUSED_JOINS[refused.reason][1])
    heard = _last(pairing, now - FRESH, kind="heard")
    if heard is None:
        minutes = max(1, int((now - since).total_seconds() // 60))
        if now - since < PATIENCE[PairingStep.Step.JOINED]:
            return "not_heard", _("Waiting for the adapter to ask for admission. Is it plugged in?")
        return "not_heard", _(
            "Not heard yet: no join request at any concentrator for {minutes} min. Press the adapter's button, then"
            " move its antenna."
        ).format(minutes=minutes)
    rssi = _number(heard.detail.get("rssi"))
    name = heard.concentrator.name if heard.concentrator else ""
    serving = pairing.adapter.concentrator
    if serving is not None and heard.concentrator_id != serving.pk:
        return "heard_not_served", _(
            "Heard by concentrator {name} with {rssi} dBm, but its concentrator is {serving}, which does not hear it."
            " Move the antenna, or ask an operator to let {name} serve it."
        ).format(name=name, rssi="?" if rssi is None else round(rssi), serving=serving.name)
    if rssi is not None and rssi < WEAK_DBM:
        return "heard_weak", _("Heard by concentrator {name} with {rssi} dBm: move the antenna.").format(
            name=name, rssi=round(rssi)
        )
    return "heard", _("Heard by concentrator {name} with {rssi} dBm; it joins with its next request.").format(
        name=name, rssi="?" if rssi is None else round(rssi)
    )


def _configured(pairing: Pairing, since: datetime, now: datetime) -> tuple[str, str]:
    row = Configuration.objects.filter(adapter_id=pairing.adapter_id).first()
    if row is not None and row.reported.get("refusal"):
        return "refused", _("The adapter refused its configuration ({reason}). Its firmware may be too old.").format(
            reason=row.reported["refusal"]
        )
    if now - since < PATIENCE[PairingStep.Step.CONFIGURED]:
        return "configuring", _("The adapter is being configured.")
    return "not_configured", _("The adapter has not confirmed its configuration yet. Press its button to hurry it.")


def _identity(pairing: Pairing, since: datetime, now: datetime) -> tuple[str, str]:
    twice = AdapterEvent.objects.filter(
        adapter=pairing.adapter_id, kind="security", reason="identity_twice", at__gte=pairing.from_at
    ).order_by("-at")
    if (event := twice.first()) is not None and event.detail.get("pairing") == pairing.pk:
        return "identity_twice", _(
            "Adapter {other} reads the meter {meter}, too. An operator has to find out which of the two sits on it."
        ).format(other=event.detail.get("other", ""), meter=event.detail.get("meter", ""))
    row = Configuration.objects.filter(adapter_id=pairing.adapter_id).first()
    told = {} if row is None else row.reported.get("identities", {}).get(str(pairing.input), {})
    if told.get("octets") and told.get("at", "") >= str(pairing.from_at):
        return "identity_reported", _proof()
    if now - since < PATIENCE[PairingStep.Step.IDENTITY]:
        return "identifying", _("The adapter reads the meter's own number.")
    return "no_identity", _("The meter has not told its number yet. Check that the optical head sits right.")


def _reading(pairing: Pairing, since: datetime, now: datetime) -> tuple[str, str]:
    if now - since < PATIENCE[PairingStep.Step.READING]:
        return "reading", _("The first reading is on its way.")
    status = AdapterStatus.objects.filter(adapter_id=pairing.adapter_id).first()
    if status is not None and status.last_error and status.last_error_at and status.last_error_at >= since:
        return "refused", _("Its telegrams are refused ({code}). Ask its key custodian.").format(code=status.last_error)
    return "no_reading", _("No reading has come yet. Check that the optical head sits right and the meter has power.")


_STEPS = {
    PairingStep.Step.CLAIMED: _informed,
    PairingStep.Step.PAIRED: _informed,
    PairingStep.Step.INFORMED: _informed,
    PairingStep.Step.JOINED: _joined,
    PairingStep.Step.CONFIGURED: _configured,
    PairingStep.Step.IDENTITY: _identity,
    PairingStep.Step.READING: _reading,
}


_REFUSED_JOINS = {
    "mic": ("wrong_key", _l("The adapter's key is not the one on file: it cannot join. Ask its key custodian.")),
    "nonce_used": ("nonce_used", _l("The adapter repeats old join requests. Press its button, or replace it.")),
    "unknown_key": ("not_informed", _l("The concentrator does not know the adapter's key yet; wait a moment.")),
}


def _last(pairing: Pairing, since: datetime, *, kind: str) -> AdapterEvent | None:
    """The newest such event about the adapter at a concentrator of its organisation."""
    rows = AdapterEvent.objects.filter(
        Q(adapter_id=pairing.adapter_id) | Q(dev_eui=pairing.adapter.dev_eui, organisation_id=pairing.organisation_id),
        kind=kind,
        at__gte=since,
    )
    return rows.select_related("concentrator").order_by("-at").first()


def _keyed(adapter: Adapter) -> bool:
    return DeviceKey.objects.filter(adapter=adapter, purpose__in=SERVING, state=KeyState.ACTIVE).exists()


def _clock(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local:%H:%M}" if local.date() == timezone.localdate() else f"{local:%Y-%m-%d %H:%M}"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
