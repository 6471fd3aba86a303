"""What a partner sends to an adapter: a key, an offer to agree on one, its confirmation, a revocation."""

from dataclasses import dataclass
from typing import Self

from meterwire.key_messages.message import (
    CHECK_BYTES,
    KeyMessage,
    bounds,
    check_seq,
    check_validity,
    sized,
    validity,
)
from meterwire.key_messages.place import Place
from meterwire.key_messages.protection import WRAPPED_BYTES
from meterwire.key_messages.shapes import Half


@dataclass(frozen=True, slots=True)
class KeyDelivery(KeyMessage):
    """0x01: a key for `place`, `wrapped` under the transport key, valid between two Unix seconds (None: no bound)."""

    type = 0x01
    sizes = (1 + 8 + WRAPPED_BYTES + CHECK_BYTES,)
    seq: int
    place: Place
    not_before: int | None
    not_after: int | None
    wrapped: bytes
    check: bytes

    def __post_init__(self) -> None:
        check_seq(self.seq)
        check_validity(self.not_before, self.not_after)
        sized(self.wrapped, WRAPPED_BYTES, "a wrapped key")
        sized(self.check, CHECK_BYTES, "a check value")

    def fields(self) -> bytes:
        return bytes((self.place.octet,)) + validity(self.not_before, self.not_after) + self.wrapped + self.check

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        return cls(seq, Place.of(fields[0]), *bounds(fields[1:9]), fields[9:33], fields[33:])


@dataclass(frozen=True, slots=True)
class ExchangeOffer(Half):
    """0x02: the partner's ephemeral `public` key, for a key to be agreed on for `place`."""

    type = 0x02


@dataclass(frozen=True, slots=True)
class ExchangeConfirm(KeyMessage):
    """0x03: `check` is that of the key agreed on for `place`, and this its validity.

    With the seq of the offer it completes the exchange; with a later one it is the partner's proof that it has heard
    a telegram under the key of `place`, however that key came there.
    """

    type = 0x03
    sizes = (1 + 8 + CHECK_BYTES,)
    seq: int
    place: Place
    not_before: int | None
    not_after: int | None
    check: bytes

    def __post_init__(self) -> None:
        check_seq(self.seq)
        check_validity(self.not_before, self.not_after)
        sized(self.check, CHECK_BYTES, "a check value")

    def fields(self) -> bytes:
        return bytes((self.place.octet,)) + validity(self.not_before, self.not_after) + self.check

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        return cls(seq, Place.of(fields[0]), *bounds(fields[1:9]), fields[9:])


@dataclass(frozen=True, slots=True)
class KeyRevoke(KeyMessage):
    """0x04: the key of `place` is not used any more and is erased."""

    type = 0x04
    sizes = (1,)
    seq: int
    place: Place

    def __post_init__(self) -> None:
        check_seq(self.seq)

    def fields(self) -> bytes:
        return bytes((self.place.octet,))

    @classmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        return cls(seq, Place.of(fields[0]))


Down = KeyDelivery | ExchangeOffer | ExchangeConfirm | KeyRevoke
