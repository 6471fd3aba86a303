"""Whether a slot may take a new key: what seals, and what a partner has proved, is not overwritten."""

from adapter_agent.keys.holding import Holding, Partner
from meterwire.errors import KeyMemoryError
from meterwire.keymemory import KeyEntry, KeyMemory, Standing


def admits(holding: Holding, slot: int, sender: Partner, now: float | None) -> bool:
    """`now`: Unix seconds, None while the date is not trusted; nothing has expired then."""
    memory = holding.memory()
    entry = next((entry for entry in memory if entry.slot == slot), None)
    if entry is None or _expired(entry, now):
        return True
    unused = entry.standing is Standing.TRIAL and slot not in holding.trials
    if entry.partner != sender.name or not (unused or entry.standing is Standing.UNPROVEN):
        return False
    before = _can_seal(memory, entry.purpose, now)
    memory.remove(slot)
    return not before or _can_seal(memory, entry.purpose, now)


def _expired(entry: KeyEntry, now: float | None) -> bool:
    return now is not None and entry.not_after is not None and entry.not_after <= now


def _can_seal(memory: KeyMemory, purpose: str, now: float | None) -> bool:
    try:
        memory.choose(purpose, now)
    except KeyMemoryError:
        return False
    return True
