"""What every message of port 34 has in common: type 1, seq 2, its own fields, mac 8."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Self

from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_messages.protection import tag
from meterwire.seal import Key16

HEADER_BYTES: Final = 3
CHECK_BYTES: Final = 3


class KeyMessage(ABC):
    """`seq` is 0 to 65535. Building a message raises ValueOutOfRange for what a field cannot carry."""

    __slots__ = ()
    type: ClassVar[int]
    sizes: ClassVar[tuple[int, ...]]  # the lengths its fields may have, in bytes
    seq: int

    def encode(self, mac_key: Key16, dev_eui: DevEUI) -> bytes:
        """The payload with its mac under `mac_key` (`mac_keys(transport).down` or `.up`, as the message goes)."""
        message = bytes((self.type,)) + self.seq.to_bytes(2) + self.fields()
        return message + tag(message, mac_key, dev_eui)

    @abstractmethod
    def fields(self) -> bytes:
        """The octets between `seq` and the mac."""

    @classmethod
    @abstractmethod
    def read(cls, seq: int, fields: bytes) -> Self:
        """Of octets that have one of `sizes`. FormatError, ValueOutOfRange."""


def check_seq(seq: int) -> None:
    """ValueOutOfRange."""
    if not 0 <= seq <= 0xFFFF:
        raise ValueOutOfRange(f"a sequence number is 0 to 65535, not {seq}")


def sized(value: bytes, size: int, what: str) -> None:
    """ValueOutOfRange unless `value` has `size` octets."""
    if len(value) != size:
        raise ValueOutOfRange(f"{what} has {size} bytes, not {len(value)}")


def validity(not_before: int | None, not_after: int | None) -> bytes:
    """The 8 octets of a validity whose bounds are `checked`."""
    return (not_before or 0).to_bytes(4) + (not_after or 0).to_bytes(4)


def check_validity(not_before: int | None, not_after: int | None) -> None:
    """ValueOutOfRange for bounds that are no 32-bit Unix seconds, or that leave no time between them."""
    for bound in (not_before, not_after):
        if bound is not None and not 0 < bound < 1 << 32:
            raise ValueOutOfRange(f"a bound of a key's validity is 1 to 4294967295 Unix seconds, not {bound}")
    if not_before is not None and not_after is not None and not_before >= not_after:
        raise ValueOutOfRange("the key would never be valid: it ends before it begins")


def bounds(octets: bytes) -> tuple[int | None, int | None]:
    """Not-before and not-after of 8 octets; 0 stands for no bound."""
    return int.from_bytes(octets[:4]) or None, int.from_bytes(octets[4:8]) or None
