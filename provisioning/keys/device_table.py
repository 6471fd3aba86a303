"""The device table that a concentrator should run, keys wrapped for its certificate's key or its approved public key.

Opens keys, so only the bridge and commands call it; everybody else only raises the revision (fleet.desired).
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Q, QuerySet

from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI, GatewayEUI
from meterwire.messages import MAX_DEVICES, Abp, DeviceEntry, DevicesCommand, WrappedKey
from meterwire.time_entries import PlanEntry, SlotEntry
from meterwire.transport_key import entropy_bytes, wrap
from provisioning.fleet.models import Adapter, Concentrator, DeviceChange
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import SERVING, DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault

T = TypeVar("T")
Entropy = Callable[[int], bytes]
logger = logging.getLogger(__name__)
MAX_DELTA = 2000  # more changed devices than this are sent as a whole table


class KeyNotApproved(MeterspanError):
    """The concentrator has no certificate and its public key is not approved, so nothing can be wrapped for it."""

    code = "key_not_approved"


@dataclass(frozen=True)
class Change:
    """What leads from `base` (None: from nothing) to `revision`."""

    revision: int
    base: int | None
    upsert: tuple[DeviceEntry, ...]
    remove: tuple[str, ...] = ()


def device_table(concentrator: Concentrator, vault: Vault, entropy: Entropy = secrets.token_bytes) -> list[DeviceEntry]:
    """All devices that `concentrator` should serve, by DevEUI; one whose key does not open is left out and logged.

    Raises KeyNotApproved.
    """
    adapters = Adapter.objects.filter(concentrator=concentrator, archived_at=None)
    return _entries(concentrator, adapters.order_by("dev_eui"), vault, entropy)


def device_change(
    concentrator: Concentrator, base: int | None, vault: Vault, entropy: Entropy = secrets.token_bytes
) -> Change:
    """The way from `base`, the revision that the concentrator runs, to the desired one.

    `base` None, unknown or too far back gives the whole table. The revision is read before the devices, so a change
    in between is in the table early and is sent once more with its own revision; never the other way round.
    """
    row = Concentrator.objects.only("desired_revision", "whole_since").get(pk=concentrator.pk)
    revision = row.desired_revision
    if base is None or not row.whole_since <= base <= revision:
        return Change(revision, None, tuple(device_table(concentrator, vault, entropy)))
    changed = DeviceChange.objects.filter(concentrator=concentrator, revision__gt=base)
    names = set(changed.values_list("dev_eui", flat=True)[: MAX_DELTA + 1])
    if len(names) > MAX_DELTA:
        return Change(revision, None, tuple(device_table(concentrator, vault, entropy)))
    adapters = Adapter.objects.filter(concentrator=concentrator, archived_at=None, dev_eui__in=names)
    upsert = tuple(_entries(concentrator, adapters.order_by("dev_eui"), vault, entropy))
    return Change(revision, base, upsert, tuple(sorted(names - {entry.dev_eui for entry in upsert})))


def commands(
    change: Change, new_id: Callable[[], str], time: str, plan: PlanEntry | None = None
) -> list[DevicesCommand]:
    """The messages for a change, each with at most MAX_DEVICES entries of either kind; always at least one.

    `plan` is how time is divided at the concentrator; every message says it.
    """
    upserts, removes = _chunks(change.upsert), _chunks(change.remove)
    parts = max(len(upserts), len(removes), 1)
    return [
        DevicesCommand(
            id=new_id(),
            time=time,
            revision=change.revision,
            base=change.base,
            part=part + 1,
            parts=parts,
            upsert=upserts[part] if part < len(upserts) else (),
            remove=removes[part] if part < len(removes) else (),
            plan=plan,
        )
        for part in range(parts)
    ]


def _entries(
    concentrator: Concentrator, adapters: QuerySet[Adapter], vault: Vault, entropy: Entropy
) -> list[DeviceEntry]:
    if not concentrator.certificate_key and not concentrator.key_approved:
        raise KeyNotApproved(
            f"Concentrator {concentrator.name} has no certificate and nobody has approved its public key;"
            " let it enrol, or compare the key's fingerprint and approve it."
        )
    wrapper = _Wrapper(concentrator, vault, entropy)
    keys, slots = _keys_of(adapters, concentrator.eui), _slots_of(concentrator, adapters)
    entries = []
    for row in adapters:
        try:
            entry = _entry(row, keys.get(row.pk, {}), slots.get(row.pk), wrapper)
        except KeyDamaged:
            logger.exception("%s is left out of the device table of %s", row.dev_eui, concentrator.eui)
            continue
        if entry is not None:
            entries.append(entry)
    return entries


def _keys_of(adapters: QuerySet[Adapter], partner: str) -> dict[int, dict[str, DeviceKey]]:
    """By adapter and purpose: what serves it, and the transport key that it shares with this concentrator."""
    found: dict[int, dict[str, DeviceKey]] = {}
    wanted = Q(purpose__in=SERVING) | Q(purpose=Purpose.TRANSPORT, partner=partner)
    for row in DeviceKey.objects.filter(wanted, adapter__in=adapters.order_by(), state=KeyState.ACTIVE):
        found.setdefault(row.adapter_id, {})[row.purpose] = row
    return found


def _slots_of(concentrator: Concentrator, adapters: QuerySet[Adapter]) -> dict[int, SlotEntry]:
    """By adapter: its slot here. Asked through the relation, because slots are above keys."""
    names = [f"slot__{name}" for name in SlotEntry.__struct_fields__]
    rows = adapters.order_by().filter(slot__concentrator=concentrator).values_list("pk", *names)
    return {pk: SlotEntry(*figures) for pk, *figures in rows}


def _entry(
    adapter: Adapter, keys: dict[str, DeviceKey], slot: SlotEntry | None, wrapper: "_Wrapper"
) -> DeviceEntry | None:
    """None for a device without the keys it is served by: it is not in the table until it has them."""
    root: WrappedKey | None = None
    abp: Abp | None = None
    if adapter.activation == Adapter.Activation.OTAA:
        if Purpose.ROOT not in keys:
            return None
        root = wrapper.wrap(adapter, keys[Purpose.ROOT])
    else:
        if Purpose.NWK not in keys or Purpose.APP not in keys:
            return None
        abp = Abp(
            dev_addr=adapter.dev_addr,
            nwk_s_key=wrapper.wrap(adapter, keys[Purpose.NWK]),
            app_s_key=wrapper.wrap(adapter, keys[Purpose.APP]),
        )
    return DeviceEntry(
        dev_eui=adapter.dev_eui,
        join_eui=adapter.join_eui,
        root_key=root,
        abp=abp,
        lorawan=adapter.lorawan,  # type: ignore[arg-type]
        foreign=adapter.kind == Adapter.Kind.FOREIGN,
        transport_key=wrapper.wrap(adapter, keys[Purpose.TRANSPORT]) if Purpose.TRANSPORT in keys else None,
        slot=slot,
    )


class _Wrapper:
    """Wraps keys for one concentrator."""

    def __init__(self, concentrator: Concentrator, vault: Vault, entropy: Entropy) -> None:
        self._public = bytes.fromhex(concentrator.certificate_key or concentrator.public_key)
        self._eui = GatewayEUI.parse(concentrator.eui)
        self._vault, self._entropy = vault, entropy

    def wrap(self, adapter: Adapter, key: DeviceKey) -> WrappedKey:
        return wrap(
            self._public,
            self._vault.open(key).reveal(),
            concentrator=self._eui,
            dev_eui=DevEUI.parse(adapter.dev_eui),
            purpose=key.purpose,
            ephemeral_private=self._entropy(entropy_bytes(self._public)),
        )


def _chunks(items: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [items[at : at + MAX_DEVICES] for at in range(0, len(items), MAX_DEVICES)]
