"""Removes the clear values that an organisation stored before it chose to store them sealed.

A value goes only after the stored telegram has yielded the very same one. What is done is told by the rows themselves:
a run that was killed is taken up by the next one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

from django.db.models import Q
from django.utils.translation import gettext as _

from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.previous import earlier
from meterwire.resting import StoredOpener, rest
from meterwire.seal import Key16
from meterwire.values_telegram import HEADER_LENGTH, PORT, Value
from portal.telemetry.models import DayRollup, HourRollup, LateHour, Reading, Telegram
from portal.telemetry.rollups import day_of
from portal.telemetry.sealed import is_clear
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.models import Adapter
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.queries import slot_keys
from provisioning.keys.services.reseal import needed_again
from provisioning.keys.vault import Vault
from provisioning.pairing.models import PairingStep

CHUNK: Final = 2_000  # telegrams in one transaction
PIECE: Final = 400  # rows in one statement
T = TypeVar("T")
_COMMAND: Final = System("command seal_history")


@dataclass
class Tally:
    """`sealed` values were taken away; `clear` ones are still there, for their telegram is gone or does not open."""

    adapters: int = 0
    sealed: int = 0
    clear: int = 0


def seal_history(vault: Vault, organisation: Organisation, tell: Callable[[Tally], None] = lambda _: None) -> Tally:
    """All of an organisation's history; `tell` hears after each adapter. Conflict unless it stores values sealed."""
    if not Organisation.objects.filter(pk=organisation.pk, sealed_telemetry=True).exists():
        raise Conflict(_("This organisation stores clear values; switch it to sealed telemetry first."))
    tally = Tally()
    _forget_refused(organisation)
    _forget_first_readings(organisation)
    for adapter in Adapter.objects.filter(organisation=organisation).order_by("pk").iterator(PIECE):
        _Adapter(vault, adapter).seal(tally)
        tally.adapters += 1
        tally.clear += Reading.objects.filter(adapter=adapter, value__isnull=False).count()
        tell(tally)
    return tally


class _Adapter:
    """The history of one adapter."""

    def __init__(self, vault: Vault, adapter: Adapter) -> None:
        self._adapter, self._dev_eui = adapter, DevEUI.parse(adapter.dev_eui)
        self._keys: dict[int, tuple[int, Key16, StoredOpener]] = {}
        for (_pk, slot), row in slot_keys([adapter.pk]).items():
            try:
                key = vault.open(row)
            except KeyDamaged:
                continue
            self._keys[slot] = row.pk, key, StoredOpener(key, self._dev_eui)

    def seal(self, tally: Tally) -> None:
        last = -1
        while self._keys:
            with audited(self._adapter.organisation):
                telegrams = self._telegrams(last)
                if not telegrams:
                    return
                last = telegrams[-1].counter or 0
                done = self._seal(telegrams)
                if done:
                    data = {"values": done, "telegrams": len(telegrams)}
                    record(self._adapter.organisation, _COMMAND, "telemetry.history_sealed", self._adapter, data)
            tally.sealed += done

    def _telegrams(self, after: int) -> list[Telegram]:
        rows = Telegram.objects.filter(
            adapter=self._adapter, error=None, sealed=False, key=None, fport=PORT, counter__gt=after
        )
        return list(rows.filter(key_slot__in=self._keys).order_by("counter")[:CHUNK])

    def _seal(self, telegrams: list[Telegram]) -> int:
        clear: dict[int, dict[int, int]] = defaultdict(dict)
        told: dict[int, dict[int, int]] = defaultdict(dict)
        hours: set[datetime] = set()
        first, last = telegrams[0].counter or 0, telegrams[-1].counter or 0
        rows = Reading.objects.filter(
            Q(counter__gte=first) | Q(recovered=True), adapter=self._adapter, counter__range=(first - 1, last)
        )
        columns = rows.values_list("counter", "register", "value", "measured_at", "recovered")
        for counter, register, value, at, recovered in columns:
            if value is not None:
                holder = counter + 1 if recovered else counter  # the telegram that holds this value
                (told if recovered else clear)[holder][register] = value
                hours.add(at.replace(minute=0, second=0, microsecond=0))
        proven = [row for row in telegrams if self._rests(row, clear[row.counter or 0], told[row.counter or 0])]
        Telegram.objects.bulk_update(proven, ["payload", "key"], batch_size=PIECE)
        needed_again({row.key_id for row in proven if row.key_id is not None})
        done = 0
        for some in _pieces([row.counter or 0 for row in proven]):
            own = Q(counter__in=some, recovered=False)
            before = Q(counter__in=[counter - 1 for counter in some], recovered=True)
            rows = Reading.objects.filter(own | before, adapter=self._adapter, value__isnull=False)
            done += rows.update(value=None)
        if done:
            self._condense_anew(hours)
        return done

    def _rests(self, row: Telegram, clear: dict[int, int], told: dict[int, int]) -> bool:
        """Whether the telegram yields the values that are stored beside it, and those that were recovered of the one
        before (`told`); then it is made to keep them.
        """
        key, secret, opener = self._keys[row.key_slot or 0]
        payload, counter = bytes(row.payload), row.counter or 0
        try:
            values = opener.open(payload, counter)
            before = {value.register: value.value for value in earlier(Value(*pair) for pair in values)}
        except MeterspanError:
            return False
        if not clear.items() <= dict(values).items() or not told.items() <= before.items():
            return False
        row.key_id = key
        if is_clear(payload):
            row.payload = rest(secret, self._dev_eui, payload, counter, values)
        return True

    def _condense_anew(self, hours: Iterable[datetime]) -> None:
        """What was condensed of the values goes too; hours of which some stay clear are made again."""
        for some in _pieces(sorted(hours)):
            HourRollup.objects.filter(adapter=self._adapter, start__in=some).delete()
            DayRollup.objects.filter(adapter=self._adapter, start__in={day_of(hour) for hour in some}).delete()
            LateHour.objects.bulk_create(
                (LateHour(start=hour, adapter=self._adapter) for hour in some), ignore_conflicts=True
            )


def _forget_refused(organisation: Organisation) -> None:
    """Of clear telegrams that were refused, or whose key is not ours, three bytes stay, as of those to come."""
    rows = Telegram.objects.filter(Q(error__isnull=False) | Q(sealed=True), organisation=organisation, fport=PORT)
    rows = rows.exclude(adapter__kind=Adapter.Kind.FOREIGN)
    for some in _pieces(_clear_ones(rows.only("pk", "payload").order_by("pk").iterator(CHUNK))):
        for row in some:
            row.payload = bytes(row.payload)[:HEADER_LENGTH]
        Telegram.objects.bulk_update(some, ["payload"])


def _clear_ones(rows: Iterable[Telegram]) -> Iterator[Telegram]:
    return (row for row in rows if len(row.payload) > HEADER_LENGTH and is_clear(bytes(row.payload)))


def _forget_first_readings(organisation: Organisation) -> None:
    """What installers were shown of the first reading."""
    steps = PairingStep.objects.filter(pairing__organisation=organisation, step=PairingStep.Step.READING)
    for some in _pieces(row for row in steps.iterator(PIECE) if row.detail.get("value")):
        for row in some:
            row.detail["value"] = ""
        PairingStep.objects.bulk_update(some, ["detail"])


def _pieces(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while some := list(islice(source, PIECE)):
        yield some
