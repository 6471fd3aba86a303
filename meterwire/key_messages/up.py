"""What an adapter answers and reports on port 34. The `seq` of an answer is that of its request."""

from dataclasses import dataclass
from typing import Final, Self

from meterwire.errors import ValueOutOfRange
from meterwire.key_messages.message import CHECK_BYTES, KeyMessage, check_seq, sized
from meterwire.key_messages.place import Place, Result
from meterwire.key_messages.shapes import Half, Outcome

MAX_KEYS: Final = 8
HELD_BYTES: Final = 1 + CHECK_BYTES


@dataclass(frozen=True, slots=True)
class DeliveryAnswer(Outcome):
    """0x81: what became of a delivery; `check` is that of the key as it was opened (zeros when it did not open)."""

    type = 0x81


@dataclass(frozen=True, slots=True)
class ExchangeAnswer(Half):
    """0x82: the adapter's ephemeral `public` key for the exchange that was offered with `seq`."""

    type = 0x82


@dataclass(frozen=True, slots=True)
class ExchangeResult(Outcome):
    """0x83: what became of an offer that was refused, or of a confirmation; `check` as in DeliveryAnswer."""

    type = 0x83


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that the adapter holds, named by its place and check value."""

    place: Place
    check: bytes

    def __post_init__(self) -> None:
        sized(self.check, CHECK_BYTES, "a check value")


@dataclass(frozen=True, slots=True)
class KeyReport(KeyMessage):
    """0x84: what the key memory holds for the partner, at most 8 keys, in the order in which they would be used: the
    first of a purpose is the one that seals now. `seq` is the last one accepted from the partner.
    """

    type = 0x84
    sizes = tuple(range(0, MAX_KEYS * HELD_BYTES + 1, HELD_BYTES))
    seq: int
    keys: tuple[HeldKey, ...]

    def __post_init__(self) -> None:
        check_seq(self.seq)
        if len(self.keys) > MAX_KEYS:
            raise ValueOutOfRange(f"a report names at most {MAX_KEYS} keys, not {len(self.keys)}")

    def fields(self) -> bytes:
        return b"".join(bytes((held.place.octet,)) + held.check for held in self.keys)

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        starts = range(0, len(fields), HELD_BYTES)
        return cls(seq, tuple(HeldKey(Place.of(fields[at]), fields[at + 1 : at + HELD_BYTES]) for at in starts))


@dataclass(frozen=True, slots=True)
class RevokeAnswer(KeyMessage):
    """0x85: what became of a revocation."""

    type = 0x85
    sizes = (2,)
    seq: int
    place: Place
    result: Result

    def __post_init__(self) -> None:
        check_seq(self.seq)

    def fields(self) -> bytes:
        return bytes((self.place.octet, self.result))

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        return cls(seq, Place.of(fields[0]), Result.of(fields[1]))


Up = DeliveryAnswer | ExchangeAnswer | ExchangeResult | KeyReport | RevokeAnswer
