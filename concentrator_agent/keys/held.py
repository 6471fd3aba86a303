"""What this concentrator shares with one adapter, as one value: a change makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from concentrator_agent.keys.exchange import Exchange
from meterwire.keymemory import KeyEntry, KeyMemory, Standing


@dataclass(frozen=True)
class DeviceKeys:
    """What is shared with one adapter. `retired`: slot to the Unix time since when a newer key is in use."""

    entries: tuple[KeyEntry, ...] = ()
    retired: Mapping[int, float] = field(default_factory=dict)
    exchange: Exchange | None = None

    def held(self, slot: int) -> KeyEntry | None:
        return next((entry for entry in self.entries if entry.slot == slot), None)

    def with_entry(self, entry: KeyEntry) -> "DeviceKeys":
        """With a key in its slot, in the place of one that was there."""
        memory = KeyMemory(*self.entries)
        memory.put(entry)
        return self._remembering(memory, {slot: at for slot, at in self.retired.items() if slot != entry.slot})

    def without(self, *slots: int) -> "DeviceKeys":
        memory = KeyMemory(*(entry for entry in self.entries if entry.slot not in slots))
        return self._remembering(memory, {slot: at for slot, at in self.retired.items() if slot not in slots})

    def proven(self, slot: int, now: float) -> "DeviceKeys":
        """A telegram was opened with the key of that slot: those before it have retired. UnknownKeySlot."""
        memory = KeyMemory(*self.entries)
        memory.prove(slot)
        former = {entry.slot for entry in memory if entry.standing is Standing.FORMER}
        return self._remembering(memory, {slot: self.retired.get(slot, now) for slot in former})

    def _remembering(self, memory: KeyMemory, retired: Mapping[int, float]) -> "DeviceKeys":
        return DeviceKeys(tuple(memory), retired, self.exchange)


NOTHING: Final = DeviceKeys()
