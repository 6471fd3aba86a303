"""The bridge's memory of adapters and concentrators: loaded in bulk, dropped as soon as the audit names a change."""

from collections.abc import Collection, Iterable

from meterwire.errors import KeyMemoryError
from meterwire.ids import DevEUI
from meterwire.seal import ValuesOpener
from portal.telemetry.arrivals import AdapterRecord, Batch, Source, microseconds
from portal.telemetry.changes import Changes
from portal.telemetry.models import AdapterStatus
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault
from provisioning.pairing.models import Pairing

MAX_ADAPTERS = 100_000  # about 2 kB each
CHUNK = 2_000
PORTAL = "portal"  # the partner of keys that we share
_NEVER, _ALWAYS = -(1 << 62), 1 << 62


class Directory:
    """Belongs to one thread. Records are shared with the pipeline, which updates their counters."""

    def __init__(self, vault: Vault, limit: int = MAX_ADAPTERS) -> None:
        self._vault, self._limit = vault, limit
        self._adapters: dict[str, AdapterRecord] = {}
        self._sources: dict[str, Source] = {}
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
        """The concentrator of that EUI; None when none is registered under it."""
        source = self._sources.get(eui)
        if source is None:
            row = Concentrator.objects.filter(eui=eui, archived_at=None).values_list("pk", "organisation_id").first()
            if row is None:
                return None
            source = self._sources[eui] = Source(row[0], row[1], eui)
        return source

    def adapters(self, dev_euis: Collection[str]) -> dict[str, AdapterRecord]:
        """The cache, which now holds all adapters among `dev_euis` that are registered."""
        self._batches += 1
        missing = [dev_eui for dev_eui in dev_euis if dev_eui not in self._adapters]
        for start in range(0, len(missing), CHUNK):
            self._load(missing[start : start + CHUNK])
        return self._adapters

    def settle(self, batch: Batch) -> None:
        """Take over what the batch committed, and drop the longest unused adapters when there are too many."""
        for adapter in batch.touched:
            latest = adapter.latest
            adapter.used = self._batches
            if latest is not None:
                adapter.period_s = adapter.new_period_s
                adapter.last_us = max(adapter.last_us, latest.received_us)
                adapter.stored_counter = adapter.last_counter
            adapter.settle()
        if len(self._adapters) > self._limit:
            by_use = sorted(self._adapters.values(), key=lambda adapter: adapter.used)
            self.forget(adapter.dev_eui for adapter in by_use[: self._limit // 10 + len(by_use) - self._limit])

    def forget(self, dev_euis: Iterable[str]) -> None:
        """Load these adapters anew when they are next needed."""
        for dev_eui in dev_euis:
            self._adapters.pop(dev_eui, None)

    def _load(self, dev_euis: list[str]) -> None:
        found = {
            pk: AdapterRecord(pk, organisation, dev_eui, kind == Adapter.Kind.FOREIGN)
            for pk, organisation, dev_eui, kind in Adapter.objects.filter(
                dev_eui__in=dev_euis, archived_at=None
            ).values_list("pk", "organisation_id", "dev_eui", "kind")
        }
        keys = DeviceKey.objects.filter(adapter_id__in=found, purpose=Purpose.INNER, slot__isnull=False)
        for key in keys.exclude(state=KeyState.DESTROYED):
            self._add_key(found[key.adapter_id], key)
        pairings = Pairing.objects.filter(adapter_id__in=found).order_by("-from_at", "-pk")
        for pk, number, start, end, point in pairings.values_list(
            "adapter_id", "input", "from_at", "to_at", "metering_point_id"
        ):
            span = (microseconds(start), _ALWAYS if end is None else microseconds(end), point)
            found[pk].pairings.setdefault(number, []).append(span)
        for status in AdapterStatus.objects.filter(pk__in=found):
            _mirror(found[status.pk], status)
        self._adapters.update((adapter.dev_eui, adapter) for adapter in found.values())

    def _add_key(self, adapter: AdapterRecord, key: DeviceKey) -> None:
        slot = key.slot
        assert slot is not None
        adapter.keyless = False
        if key.partner != PORTAL:
            adapter.sealed_slots |= {slot}
        elif key.state == KeyState.REVOKED:
            adapter.refusals[slot] = KeyMemoryError.code
        else:
            try:
                opener = ValuesOpener(self._vault.open_inner(key), DevEUI.parse(adapter.dev_eui))
            except KeyDamaged as error:
                adapter.refusals[slot] = error.code
                return
            start = _NEVER if key.not_before is None else microseconds(key.not_before)
            end = _ALWAYS if key.not_after is None else microseconds(key.not_after)
            adapter.openers[slot] = (opener, start, end)


def _mirror(adapter: AdapterRecord, status: AdapterStatus) -> None:
    if status.last_counter is not None:
        adapter.last_counter = adapter.stored_counter = status.last_counter
    if status.fcnt is not None:
        adapter.epoch, adapter.fcnt = status.epoch, status.fcnt
    if status.last_seen is not None:
        adapter.last_us = microseconds(status.last_seen)
    adapter.period_s = adapter.new_period_s = status.period_s
