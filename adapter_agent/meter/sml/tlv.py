"""SML's type-length-value encoding: one element of a message, and nothing about its meaning."""

from dataclasses import dataclass
from typing import TypeAlias

from meterwire.errors import FormatError, LimitExceeded

MAX_DEPTH = 12  # lists within lists; the messages of real meters need five
MAX_LIST = 255  # elements of one list
MAX_INTEGER = 8  # bytes


class SmlError(FormatError):
    """The transport CRC is right, but the content is no SML: wrong type, truncated or outside its bounds."""

    code = "sml"


class SmlLimit(SmlError, LimitExceeded):
    """Nested deeper, or a list or integer longer, than any meter needs."""

    code = "sml_limit"


@dataclass(frozen=True, slots=True)
class Number:
    """An integer as sent: its value, the bytes it took and whether it was sent as signed."""

    value: int
    size: int
    signed: bool


Element: TypeAlias = "bool | bytes | Number | list[Element] | None"

_OCTETS, _BOOLEAN, _SIGNED, _UNSIGNED, _LIST = 0, 4, 5, 6, 7
_END_OF_MESSAGE = 0x00


class Reader:
    """Takes one element after the other from `data`. Every method raises SmlError where the data is not what it wants.

    `at` is the index of the next unread byte.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def done(self) -> bool:
        return self.at >= len(self.data)

    def element(self, depth: int = 0) -> Element:
        """The next element; None where the meter sent no value. Elements of a list are read in full."""
        kind, length = self._head()
        if kind == _LIST:
            if depth >= MAX_DEPTH:
                raise SmlLimit(f"lists nested deeper than {MAX_DEPTH}")
            return [self.element(depth + 1) for _ in range(_bounded(length))]
        raw = self._take(length)
        if kind == _OCTETS:
            return raw or None
        if not raw:
            raise SmlError(f"a number without bytes at byte {self.at}")
        if kind == _BOOLEAN:
            return any(raw)
        if length > MAX_INTEGER:
            raise SmlLimit(f"an integer of {length} bytes; at most {MAX_INTEGER} are accepted")
        return Number(int.from_bytes(raw, "big", signed=kind == _SIGNED), length, kind == _SIGNED)

    def list_of(self, count: int) -> None:
        """Enter a list that must have `count` elements; they are read one by one afterwards."""
        kind, length = self._head()
        if kind != _LIST or length != count:
            raise SmlError(f"a list of {count} elements was due at byte {self.at}")

    def end_of_message(self) -> None:
        """Read the byte that closes a message."""
        if self._byte() != _END_OF_MESSAGE:
            raise SmlError(f"no end of message at byte {self.at - 1}")

    def _head(self) -> tuple[int, int]:
        """Type and length of the next element; for a list the number of elements, else the bytes that follow."""
        first = byte = self._byte()
        if first == _END_OF_MESSAGE:
            raise SmlError(f"the message ends too early at byte {self.at - 1}")
        kind, length, tags = first >> 4 & 7, first & 15, 1
        while byte & 0x80:
            byte = self._byte()
            if byte & 0x70:
                raise SmlError(f"malformed length at byte {self.at - 1}")
            length, tags = length << 4 | byte & 15, tags + 1
            if length > len(self.data):
                raise SmlError(f"an element at byte {self.at - tags} is longer than its frame")
        if kind not in (_OCTETS, _BOOLEAN, _SIGNED, _UNSIGNED, _LIST):
            raise SmlError(f"unknown type {kind} at byte {self.at - tags}")
        if kind == _LIST:
            return kind, length
        if length < tags:
            raise SmlError(f"malformed length at byte {self.at - 1}")
        return kind, length - tags

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        raw = self.data[self.at : self.at + count]
        if len(raw) < count:
            raise SmlError("the frame ends in the middle of an element")
        self.at += count
        return raw


def _bounded(length: int) -> int:
    if length > MAX_LIST:
        raise SmlLimit(f"a list of {length} elements; at most {MAX_LIST} are accepted")
    return length
