"""The key memory with validity data (design 6): up to eight slots, and only a key proved valid is ever chosen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from math import inf

from meterwire.errors import KeyMemoryError, UnknownKeySlot, ValueOutOfRange
from meterwire.seal import InnerKey

SLOTS = 8


class Standing(IntEnum):
    """What is known of a key beyond its validity. Of several valid keys one with a lower standing seals."""

    TRIAL = 0  # stored over port 34, the partner has not proved yet that it hears what it seals
    PROVEN = 1
    FORMER = 2  # a newer key has been proven since
    UNPROVEN = 3  # its trial has ended without a proof


@dataclass(frozen=True)
class KeyEntry:
    """One slot: who shares the key (`partner`), what it is for (`purpose`), and from when until before when it is
    valid (Unix seconds; None: no bound on that side).
    """

    slot: int
    key: InnerKey
    purpose: str
    partner: str
    not_before: float | None
    not_after: float | None
    standing: Standing = Standing.PROVEN

    def __post_init__(self) -> None:
        if not 0 <= self.slot < SLOTS:
            raise ValueOutOfRange(f"key slots run from 0 to {SLOTS - 1}, not {self.slot}")
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise ValueOutOfRange(f"the key of slot {self.slot} would never be valid: it ends before it begins")

    def valid_at(self, now: float | None) -> bool:
        """Whether the key is proved valid at `now` (Unix seconds). None, a date that is not trusted, proves nothing."""
        if now is None:
            return False
        begin = -inf if self.not_before is None else self.not_before
        end = inf if self.not_after is None else self.not_after
        return begin <= now < end


class KeyMemory:
    """At most one key per slot. Iterating goes by slot."""

    def __init__(self, *entries: KeyEntry) -> None:
        self._slots: dict[int, KeyEntry] = {}
        for entry in entries:
            self.put(entry)

    def put(self, entry: KeyEntry) -> None:
        """Store a key; one that held the slot is forgotten."""
        self._slots[entry.slot] = entry

    def remove(self, slot: int) -> None:
        """Forget the key of a slot; an empty slot stays empty."""
        self._slots.pop(slot, None)

    def by_slot(self, slot: int) -> KeyEntry:
        """The key of a slot, whatever its validity: what was sealed in time may arrive later. UnknownKeySlot."""
        entry = self._slots.get(slot)
        if entry is None:
            raise UnknownKeySlot(f"no key is held in slot {slot}: deliver the key, or correct the adapter's slot")
        return entry

    def choose(self, purpose: str, now: float | None, partner: str | None = None) -> KeyEntry:
        """The key to seal with: of this purpose, proved valid at `now`, lowest standing first, then nearest expiry,
        then the lowest slot.

        `now` in Unix seconds; None means that the date is not trusted, then no key is valid. `partner` narrows the
        choice to the keys shared with one. KeyMemoryError.
        """
        held = [entry for entry in self if entry.purpose == purpose and partner in (None, entry.partner)]
        valid = [entry for entry in held if entry.valid_at(now)]
        if valid:
            return min(valid, key=_preference)
        if not held:
            raise KeyMemoryError(f"no key for '{purpose}' is held: deliver one from the portal")
        if now is None:
            raise KeyMemoryError(f"no key for '{purpose}' may be used while the date is not trusted: set the clock")
        raise KeyMemoryError(f"no key for '{purpose}' is valid now: deliver a new one or check the clock")

    def ranked(self, now: float | None) -> list[KeyEntry]:
        """All keys in the order in which they would seal: the valid ones as `choose` prefers them, then the others."""
        return sorted(self, key=lambda entry: (not entry.valid_at(now), *_preference(entry)))

    def prove(self, slot: int) -> None:
        """The partner knows the key of this slot: it is PROVEN, and those that were so before are FORMER keys.

        UnknownKeySlot.
        """
        proven = self.by_slot(slot)
        for entry in self:
            if entry.purpose == proven.purpose and entry.standing is Standing.PROVEN:
                self.put(replace(entry, standing=Standing.FORMER))
        self.put(replace(proven, standing=Standing.PROVEN))

    def fall_back(self, slot: int) -> None:
        """The trial of this slot's key has ended without a proof: it seals while no other is valid. UnknownKeySlot."""
        self.put(replace(self.by_slot(slot), standing=Standing.UNPROVEN))

    def take_over(self, entries: Iterable[KeyEntry]) -> None:
        """Hold these keys and no others."""
        self._slots = {entry.slot: entry for entry in entries}

    def __iter__(self) -> Iterator[KeyEntry]:
        return iter([self._slots[slot] for slot in sorted(self._slots)])

    def __len__(self) -> int:
        return len(self._slots)


def _preference(entry: KeyEntry) -> tuple[Standing, float, int]:
    return entry.standing, inf if entry.not_after is None else entry.not_after, entry.slot
