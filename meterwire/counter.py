"""The inner counter that never restarts: reserved in a durable store before a value is handed out (design 5.2)."""

from typing import Protocol

from meterwire.errors import CounterExhausted, ValueOutOfRange

LIMIT = 1 << 32
BLOCK = 64


class CounterStore(Protocol):
    """Where the reservation survives a restart."""

    def load(self) -> int:
        """The first value that was never reserved; 0 for a new device."""

    def save(self, reserved_up_to: int) -> None:
        """Store the bound, durable before this returns. Raising keeps the values from being handed out."""


class Counter:
    """Hands out each value once, over restarts too: after one it goes on at the stored bound."""

    def __init__(self, store: CounterStore, block: int = BLOCK) -> None:
        if block < 1:
            raise ValueOutOfRange(f"a reservation takes at least one value, not {block}")
        self._store = store
        self._block = block
        self._next = self._reserved = store.load()
        if not 0 <= self._next <= LIMIT:
            raise ValueOutOfRange(f"the stored counter {self._next} is no 32-bit value; restore it from the portal")

    @property
    def upcoming(self) -> int:
        """The value that `next` will return; LIMIT when none is left."""
        return self._next

    def next(self) -> int:
        """The next value, 0 to 2**32 - 1. Raises CounterExhausted, or what the store raises (then nothing is used)."""
        if self._next >= LIMIT:
            raise CounterExhausted("all 2**32 counter values are used: give the adapter a new key and identity")
        if self._next >= self._reserved:
            bound = min(self._next + self._block, LIMIT)
            self._store.save(bound)
            self._reserved = bound
        value = self._next
        self._next += 1
        return value
