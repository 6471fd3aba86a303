"""Fields that several messages of port 34 have alike."""

from dataclasses import dataclass
from typing import Self

from meterwire.curves import PUBLIC_BYTES, PublicKey
from meterwire.key_messages.message import CHECK_BYTES, KeyMessage, check_seq, sized
from meterwire.key_messages.place import Place, Result


@dataclass(frozen=True, slots=True)
class Half(KeyMessage):
    """One side's ephemeral `public` key of an exchange."""

    sizes = (1 + PUBLIC_BYTES,)
    seq: int
    place: Place
    public: PublicKey

    def __post_init__(self) -> None:
        check_seq(self.seq)

    def fields(self) -> bytes:
        return bytes((self.place.octet,)) + self.public.octets

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        return cls(seq, Place.of(fields[0]), PublicKey(fields[1:]))


@dataclass(frozen=True, slots=True)
class Outcome(KeyMessage):
    """What became of a request for a key, with the `check` value of that key."""

    sizes = (2 + CHECK_BYTES,)
    seq: int
    place: Place
    result: Result
    check: bytes

    def __post_init__(self) -> None:
        check_seq(self.seq)
        sized(self.check, CHECK_BYTES, "a check value")

    def fields(self) -> bytes:
        return bytes((self.place.octet, self.result)) + self.check

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        return cls(seq, Place.of(fields[0]), Result.of(fields[1]), fields[2:])
