"""In the vault process: opens stored telegrams for people and programs that are entitled to, and notes it in the audit.

The question names rows; permission, purpose and bounds are checked here, whoever may have asked.
"""

import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.previous import earlier
from meterwire.resting import StoredOpener
from meterwire.values_telegram import Value
from portal.telemetry.models import Reading, Telegram
from portal.telemetry.sealed_asking import MAX_DAYS, MAX_VALUES, Opened, Purpose, Run, Wanted
from provisioning import validation
from provisioning.audit.services import audited, record
from provisioning.errors import Forbidden, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, MeteringPoint
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.vault import Vault
from provisioning.keys.vault_operations import Operation, actor_of
from provisioning.pairing.models import Pairing

log = logging.getLogger(__name__)

MAX_OPENERS: Final = 512  # keys with a cipher at hand

_Row = tuple[int, int, int]  # adapter, counter, register


class Openers:
    """The ciphers of keys that were used last; a key that was sealed anew or destroyed is not found here any more."""

    def __init__(self, limit: int = MAX_OPENERS) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._kept: OrderedDict[tuple[int, bytes], StoredOpener] = OrderedDict()

    def of(self, vault: Vault, key: DeviceKey) -> StoredOpener:
        """The opener of a key whose row was just read. Raises KeyDamaged."""
        name = key.pk, bytes(key.sealed)
        with self._lock:
            known = self._kept.get(name)
            if known is not None:
                self._kept.move_to_end(name)
                return known
        opener = StoredOpener(vault.open(key), DevEUI.parse(key.adapter.dev_eui))
        with self._lock:
            self._kept[name] = opener
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return opener


_openers = Openers()


def open_values(vault: Vault, wanted: Wanted) -> Opened:
    """Open what is wanted; one audit row, committed before the answer leaves. Forbidden, Invalid."""
    actor = actor_of(wanted.asker)
    subject = _subject(wanted)
    require_at(actor, subject.organisation_id, subject.site_id, "readings.open")
    purpose = validation.choice("purpose", wanted.purpose, Purpose.values)
    _bounded(wanted)
    rows, until = _bounded_rows(_rows(wanted))
    runs, closed = _open(vault, rows, subject.organisation_id)
    data = {
        "purpose": purpose,
        "from": wanted.start,
        "to": until or wanted.end,
        "registers": list(wanted.registers) or None,
        "count": sum(len(run.values) for run in runs),
        "closed": closed,
    }
    with audited(subject.organisation):
        record(subject.organisation, actor, "readings.opened", subject, data)
    return Opened(runs, closed, until)


OPERATION: Final = Operation(Wanted, open_values)


def _subject(wanted: Wanted) -> Adapter | MeteringPoint:
    subject: Adapter | MeteringPoint | None = None
    if (wanted.adapter is None) == (wanted.metering_point is None):
        raise Invalid("adapter", _("Values are opened of one adapter or of one metering point; name one of them."))
    if wanted.adapter is not None:
        subject = Adapter.objects.select_related("organisation").filter(pk=wanted.adapter).first()
    elif wanted.metering_point is not None:
        subject = MeteringPoint.objects.select_related("organisation").filter(pk=wanted.metering_point).first()
    if subject is None:
        raise Forbidden(_("Your role does not allow this here; ask an administrator of the organisation for it."))
    return subject


def _bounded(wanted: Wanted) -> None:
    if wanted.end <= wanted.start:
        raise Invalid("range", _("The stretch of time ends before it begins."))
    if wanted.end - wanted.start > timedelta(days=MAX_DAYS):
        text = _("At most {days} days are opened at once; choose a shorter stretch of time.")
        raise Invalid("range", text.format(days=MAX_DAYS))


def _rows(wanted: Wanted) -> QuerySet[Reading]:
    rows = Reading.objects.filter(value=None, measured_at__gte=wanted.start, measured_at__lt=wanted.end)
    if wanted.adapter is not None:
        rows = rows.filter(adapter_id=wanted.adapter)
    else:
        paired = Pairing.objects.filter(metering_point_id=wanted.metering_point).values_list("adapter_id", flat=True)
        rows = rows.filter(adapter_id__in=list(paired), metering_point_id=wanted.metering_point)
    if wanted.registers:
        rows = rows.filter(register__in=wanted.registers)
    return rows.order_by("measured_at", "counter")


def _bounded_rows(rows: QuerySet[Reading]) -> tuple[list[_Row], datetime | None]:
    """At most MAX_VALUES, ending between two moments. Times are not asked for: reading them costs more than opening."""
    until = None
    found = list(rows.values_list("adapter_id", "counter", "register")[: MAX_VALUES + 1])
    if len(found) > MAX_VALUES:
        until = rows.values_list("measured_at", flat=True)[MAX_VALUES]
        earlier = rows.filter(measured_at__lt=until).values_list("adapter_id", "counter", "register")
        found = list(earlier[:MAX_VALUES])
    return found, until


def _open(vault: Vault, rows: Iterable[_Row], organisation: int) -> tuple[list[Run], int]:
    wanted: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for adapter, counter, register in rows:
        wanted[adapter][register].append(counter)
    runs, closed = [], 0
    for adapter, registers in wanted.items():
        opened = _opened(vault, adapter, organisation, {counter for some in registers.values() for counter in some})
        for register, counters in registers.items():
            found = [counter for counter in counters if register in opened.get(counter, ())]
            closed += len(counters) - len(found)
            if found:
                runs.append(Run(adapter, register, found, [opened[counter][register] for counter in found]))
    return runs, closed


def _opened(vault: Vault, adapter: int, organisation: int, counters: Collection[int]) -> dict[int, dict[int, int]]:
    """By counter, the values of an adapter's telegrams by register; without those that do not open."""
    opened = _contents(vault, adapter, organisation, counters)
    lost = [counter for counter in counters if counter not in opened]
    if lost:
        rows = Reading.objects.filter(
            adapter_id=adapter, recovered=True, value=None, counter__range=(min(lost), max(lost))
        )
        recovered = set(rows.values_list("counter", flat=True)).intersection(lost)
        opened |= _told(vault, adapter, organisation, recovered)
    return opened


def _told(vault: Vault, adapter: int, organisation: int, lost: Collection[int]) -> dict[int, dict[int, int]]:
    """The same of telegrams that never came: their first registers, out of what the next ones tell."""
    following = _contents(vault, adapter, organisation, {counter + 1 for counter in lost}) if lost else {}
    found = {}
    for counter, values in following.items():
        with suppress(MeterspanError):
            told = earlier(Value(*pair) for pair in values.items())
            found[counter - 1] = {value.register: value.value for value in told}
    return found


def _contents(vault: Vault, adapter: int, organisation: int, counters: Collection[int]) -> dict[int, dict[int, int]]:
    """What the stored telegrams of these counters hold."""
    telegrams = Telegram.objects.filter(
        adapter_id=adapter, error=None, key__isnull=False, counter__gte=min(counters), counter__lte=max(counters)
    )
    openers: dict[int, StoredOpener | None] = {}
    opened: dict[int, dict[int, int]] = {}
    refused = 0
    for counter, key, payload in telegrams.values_list("counter", "key_id", "payload").iterator(2000):
        if counter is None or counter not in counters:
            continue
        if key not in openers:
            openers[key] = _opener(vault, key, adapter, organisation)
        opener = openers[key]
        if opener is None:
            continue
        try:
            opened[counter] = dict(opener.open(bytes(payload), counter))
        except MeterspanError:
            refused += 1
    if refused:
        log.warning("stored telegrams do not open under their key", extra={"adapter": adapter, "telegrams": refused})
    return opened


def _opener(vault: Vault, key: int, adapter: int, organisation: int) -> StoredOpener | None:
    """None for a key that is destroyed, damaged, or another device's."""
    rows = DeviceKey.objects.filter(pk=key, adapter_id=adapter, organisation_id=organisation)
    row = rows.exclude(state=KeyState.DESTROYED).select_related("adapter").first()
    if row is None:
        return None
    try:
        return _openers.of(vault, row)
    except KeyDamaged:
        log.warning("a key of stored telegrams does not open", extra={"key": key})
        return None
