"""The bridge's memory of adapters and concentrators: loaded in bulk, dropped as soon as the audit names a change."""

from collections.abc import Collection, Iterable

from meterwire.errors import KeyMemoryError
from meterwire.ids import DevEUI
from meterwire.seal import InnerKey, ValuesOpener
from portal.telemetry.arrivals import MICROSECONDS, AdapterRecord, Batch, Source, microseconds, moment
from portal.telemetry.changes import Changes
from portal.telemetry.models import AdapterStatus
from provisioning.campaigns.services import activated
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.queries import slot_keys
from provisioning.keys.services import heard_under, mark_used
from provisioning.keys.vault import Vault
from provisioning.pairing.models import Pairing, PairingStep

MAX_ADAPTERS = 100_000  # about 1.1 kB each
CHUNK = 2_000
MARK_US = 3_600 * MICROSECONDS  # the use of a key is noted once an hour
PORTAL = "portal"  # the partner of keys that we share
_NEVER, _ALWAYS = -(1 << 62), 1 << 62


class Directory:
    """Belongs to one thread. Records are shared with the pipeline, which updates their counters."""

    def __init__(self, vault: Vault, limit: int = MAX_ADAPTERS) -> None:
        self._vault, self._limit = vault, limit
        self._adapters: dict[str, AdapterRecord] = {}
        self._sources: dict[str, Source] = {}
        self._delivering: set[str] = set()
        self._changes = Changes()
        self._batches = 0

    def refresh(self) -> None:
        """Forget what was changed since the last call; call it before each batch."""
        changed = self._changes.poll()
        if changed.everything:
            self._adapters.clear()
            self._sources.clear()
        for eui in changed.concentrators:
            self._sources.pop(eui, None)
        self.forget(changed.adapters)

    def source(self, eui: str) -> Source | None:
        """The concentrator of that EUI; None when none is registered under it, or it was revoked."""
        source = self._sources.get(eui)
        if source is None:
            rows = Concentrator.objects.filter(eui=eui, archived_at=None, revoked_at=None)
            row = rows.values_list("pk", "organisation_id", "organisation__sealed_telemetry").first()
            if row is None:
                return None
            source = self._sources[eui] = Source(row[0], row[1], eui, row[2])
        return source

    def adapters(self, dev_euis: Collection[str]) -> dict[str, AdapterRecord]:
        """The cache, which now holds all adapters among `dev_euis` that are registered."""
        self._batches += 1
        missing = [dev_eui for dev_eui in dev_euis if dev_eui not in self._adapters]
        for start in range(0, len(missing), CHUNK):
            self._load(missing[start : start + CHUNK])
        return self._adapters

    def resting(self, adapter: AdapterRecord, slot: int) -> InnerKey:
        """The key of an adapter's slot, for what must be sealed by us. KeyError for a slot without an opener."""
        if slot not in adapter.resting:
            row = DeviceKey.objects.get(pk=adapter.openers[slot][3])
            adapter.resting[slot] = self._vault.open_inner(row)
        return adapter.resting[slot]

    def settle(self, batch: Batch) -> None:
        """Take over what the batch committed, tell the keys that were heard, and drop the longest unused adapters."""
        used = []
        for adapter in batch.touched:
            latest = adapter.latest
            adapter.used = self._batches
            if latest is not None:
                adapter.period_s = adapter.new_period_s
                adapter.stored_counter = adapter.last_counter
                adapter.last_us = max(adapter.last_us, latest.received_us)
                if latest.opener is not None and batch.now_us - adapter.marked_us > MARK_US:
                    adapter.marked_us = batch.now_us
                    used.append(adapter.openers[latest.slot or 0][3])
            adapter.settle()
        if used:
            mark_used(used, moment(batch.now_us))
        if self._delivering:
            self._heard(batch)
        if len(self._adapters) > self._limit:
            by_use = sorted(self._adapters.values(), key=lambda adapter: adapter.used)
            self.forget(adapter.dev_eui for adapter in by_use[: self._limit // 10 + len(by_use) - self._limit])

    def forget(self, dev_euis: Iterable[str]) -> None:
        """Load these adapters anew when they are next needed."""
        for dev_eui in dev_euis:
            self._adapters.pop(dev_eui, None)

    def _load(self, dev_euis: list[str]) -> None:
        found = {
            pk: AdapterRecord(pk, organisation, dev_eui, kind == Adapter.Kind.FOREIGN, revoked is not None)
            for pk, organisation, dev_eui, kind, revoked in Adapter.objects.filter(
                dev_eui__in=dev_euis, archived_at=None
            ).values_list("pk", "organisation_id", "dev_eui", "kind", "revoked_at")
        }
        for (pk, _), key in slot_keys(found).items():
            if key.purpose == Purpose.INNER:
                self._add_key(found[pk], key)
        _add_pairings(found)
        for status in AdapterStatus.objects.filter(pk__in=found):
            _mirror(found[status.pk], status)
        self._adapters.update((adapter.dev_eui, adapter) for adapter in found.values())

    def _add_key(self, adapter: AdapterRecord, key: DeviceKey) -> None:
        slot = key.slot
        assert slot is not None
        adapter.keyless = False
        if key.partner != PORTAL:
            adapter.sealed_slots |= {slot}
            return
        if not key.opens:
            adapter.refusals[slot] = KeyMemoryError.code
            return
        try:
            opener = ValuesOpener(self._vault.open_inner(key), DevEUI.parse(adapter.dev_eui))
        except KeyDamaged as error:
            adapter.refusals[slot] = error.code
            return
        start = _NEVER if key.not_before is None else microseconds(key.not_before)
        # A replaced key opens what comes late, but not later than its time of grace.
        ends = (key.not_after, key.grace_until if key.state == KeyState.RETIRING else None)
        end = min((microseconds(when) for when in ends if when is not None), default=_ALWAYS)
        adapter.openers[slot] = (opener, start, end, key.pk)
        if key.state == KeyState.DELIVERING:
            adapter.delivering |= {slot}
            self._delivering.add(adapter.dev_eui)

    def _heard(self, batch: Batch) -> None:
        """Keys that were being delivered are active from their first authentic telegram on."""
        heard = {
            adapter.openers[slot][3]
            for arrival in batch.arrivals
            if (adapter := arrival.adapter) is not None
            and (slot := arrival.slot) in adapter.delivering
            and slot is not None
            and arrival.counter is not None
            and not arrival.sealed
        }
        if heard:
            keys = heard_under(heard)
            activated(keys, moment(batch.now_us))
            euis = {key.adapter.dev_eui for key in keys}
            self._delivering -= euis
            self.forget(euis)


def _add_pairings(found: dict[int, AdapterRecord]) -> None:
    pairings = Pairing.objects.filter(adapter_id__in=found).order_by("-from_at", "-pk")
    waiting: dict[int, tuple[AdapterRecord, int]] = {}
    for pk, adapter, number, start, end, point, identity in pairings.values_list(
        "pk", "adapter_id", "input", "from_at", "to_at", "metering_point_id", "identity"
    ):
        # What a mismatch sends belongs to nobody until an operator has decided it.
        known = None if identity == Pairing.Identity.MISMATCH else point
        span = (microseconds(start), _ALWAYS if end is None else microseconds(end), known)
        found[adapter].pairings.setdefault(number, []).append(span)
        if end is None:
            waiting[pk] = found[adapter], number
    arrived = PairingStep.objects.filter(pairing_id__in=waiting, step=PairingStep.Step.READING)
    for pk in arrived.values_list("pairing_id", flat=True):
        waiting.pop(pk, None)
    for record, number in waiting.values():
        record.watched |= {number}


def _mirror(adapter: AdapterRecord, status: AdapterStatus) -> None:
    if status.last_counter is not None:
        adapter.last_counter = adapter.stored_counter = status.last_counter
    if status.fcnt is not None:
        adapter.epoch, adapter.fcnt = status.epoch, status.fcnt
    if status.last_seen is not None:
        adapter.last_us = microseconds(status.last_seen)
    adapter.period_s = adapter.new_period_s = status.period_s
