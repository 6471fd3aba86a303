"""How much a slot has to carry: one telegram with the values of all inputs of an adapter."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from meterwire.slots import Kind
from provisioning.fleet.models import Adapter
from provisioning.keys.models import OPENING, DeviceKey, Purpose
from provisioning.pairing.models import Configuration, Pairing

_USUAL_REGISTERS: Final = 2  # import and export, which Kind.VALUES has room for
_REGISTER: Final = 5  # bytes: number and four of value
_USUAL: Final = 9  # bytes of these two: the second one's value has three
_EXTENDED: Final = 1  # more for a register of another input than 0, whose number takes two
_PREVIOUS: Final = Kind.VALUES_PREVIOUS.size - Kind.VALUES.size
_SHORT_TAG, _LONG_TAG = 4, 8


def telegram_size(adapter: Adapter, *, previous: bool) -> int:
    """Bytes of FRMPayload that this adapter's telegrams take, by its pairings, its configuration and its inner keys.

    `previous`: they carry the previous value of each input, too.
    """
    return telegram_sizes([adapter], previous=previous)[adapter.pk]


def telegram_sizes(adapters: Sequence[Adapter], *, previous: bool) -> dict[int, int]:
    """The same for many, by key, with three queries."""
    inputs: dict[int, set[int]] = {}
    paired = Pairing.objects.filter(adapter__in=adapters, to_at=None)
    for pk, number in paired.values_list("adapter_id", "input"):
        inputs.setdefault(pk, set()).add(number)
    chosen = Configuration.objects.filter(adapter__in=adapters).exclude(registers="")
    registers = {pk: _counts(text) for pk, text in chosen.values_list("pk", "registers")}
    keys = DeviceKey.objects.filter(purpose=Purpose.INNER, state__in=OPENING, tag_length=_LONG_TAG)
    long_tags = set(keys.filter(adapter__in=adapters).values_list("adapter_id", flat=True))
    return {
        pk: size_of(inputs.get(pk, ()), registers.get(pk, {}), previous=previous, long_tag=pk in long_tags)
        for pk in (adapter.pk for adapter in adapters)
    }


def size_of(inputs: Collection[int], registers: Mapping[int, int], *, previous: bool, long_tag: bool) -> int:
    """The same for these paired `inputs`, of which `registers` says how many are sent where that is not the usual two.

    At most 51 bytes, which every data rate carries: an adapter with more to say sends a further telegram beside its
    slot.
    """
    first, *others = sorted(inputs) or [0]
    size = Kind.VALUES.size + max(registers.get(first, 0) * _REGISTER - _USUAL, 0)
    size += _EXTENDED * max(registers.get(first, 0), _USUAL_REGISTERS) if first else 0
    for other in others:
        size += registers.get(other, _USUAL_REGISTERS) * (_REGISTER + _EXTENDED)
    if previous:
        size += sum(_PREVIOUS + (_EXTENDED if one else 0) for one in (first, *others))
    return min(size + (_LONG_TAG - _SHORT_TAG) * long_tag, Kind.STATIC.size)


def _counts(registers: str) -> dict[int, int]:
    """How many an operator chose, by input."""
    return {int(number): len(indexes) for number, indexes in json.loads(registers).items()}
