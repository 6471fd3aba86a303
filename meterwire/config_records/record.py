"""What every record of port 33 has in common: a type, and the same bounds on the way out and on the way in."""

from typing import ClassVar, Self

from meterwire.errors import FormatError, ValueOutOfRange


class Bounded:
    """A record whose `_fault` names what is out of bounds; neither written nor read then."""

    __slots__ = ()
    type: ClassVar[int]

    def encode(self) -> bytes:
        """The value's bytes. ValueOutOfRange."""
        fault = self._fault()
        if fault is not None:
            raise ValueOutOfRange(fault)
        return self._octets()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read the value's bytes. FormatError."""
        record = cls._read(value)
        fault = record._fault()
        if fault is not None:
            raise FormatError(fault)
        return record

    # Each record gives these three. No ABC: its method `register` would pass for the default of a field of that name.

    def _fault(self) -> str | None:
        raise NotImplementedError

    def _octets(self) -> bytes:
        raise NotImplementedError

    @classmethod
    def _read(cls, value: bytes) -> Self:
        raise NotImplementedError


def sized(value: bytes, least: int, most: int, what: str) -> bytes:
    """The value when it has `least` to `most` bytes. FormatError."""
    if least <= len(value) <= most:
        return value
    bound = f"{least}" if least == most else f"{least} to {most}"
    raise FormatError(f"{what} has {bound} bytes, not {len(value)}")
