"""The messages inside an SML frame: their checksums, and the one kind that carries readings."""

from dataclasses import dataclass

from adapter_agent.meter.sml.crc import kermit, x25
from adapter_agent.meter.sml.tlv import Element, Number, Reader, SmlError

GET_LIST_RESPONSE = 0x0701
MAX_MESSAGES = 32  # in one frame; meters send three


class MessageCrcError(SmlError):
    """The transport CRC is right and a message CRC is wrong: the meter, not the line, is at fault."""

    code = "sml_message_crc"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list. Everything but the OBIS code ("1-0:1.8.0*255") may be absent (None)."""

    obis: str
    status: int | None
    unit: int | None
    scaler: int | None
    value: Element


@dataclass(frozen=True, slots=True)
class MeterList:
    """A GetList.Response. `sensor_time` is the meter's seconds index or time stamp, as sent."""

    server_id: bytes | None
    list_name: bytes | None
    sensor_time: int | None
    entries: tuple[Entry, ...]


def meter_lists(payload: bytes) -> list[MeterList]:
    """Every list in a frame's payload; messages of another kind are checked and passed over.

    Raises SmlError, of which MessageCrcError names a wrong message checksum: the frame then counts as a whole.
    """
    reader = Reader(payload)
    lists: list[MeterList] = []
    for _ in range(MAX_MESSAGES):
        if reader.done:
            return lists
        body = _message(reader)
        if body is not None:
            lists.append(_list(body))
    raise SmlError(f"more than {MAX_MESSAGES} messages in one frame")


def _message(reader: Reader) -> Element:
    """Read one message; the body when it is a GetList.Response, else None."""
    begin = reader.at
    reader.list_of(6)
    for _ in range(3):  # transaction, group, what to do on error
        reader.element()
    reader.list_of(2)
    tag, body = reader.element(), reader.element()
    covered = reader.data[begin : reader.at]
    crc = reader.element()
    reader.end_of_message()
    if not isinstance(crc, Number) or crc.size > 2:
        raise SmlError("a message without a checksum of two bytes")
    # A checksum whose first byte is zero may come as a one-byte integer (ISKRA).
    if (crc.value & 0xFFFF).to_bytes(2, "big") not in (x25(covered), kermit(covered)):
        raise MessageCrcError("a message checksum is wrong although the frame's is right; the frame is dropped")
    return body if isinstance(tag, Number) and tag.value == GET_LIST_RESPONSE else None


def _list(body: Element) -> MeterList:
    fields = _fields(body, 7, "GetList.Response")
    entries = fields[4]
    if not isinstance(entries, list):
        raise SmlError("a GetList.Response without a list of entries")
    return MeterList(
        server_id=_octets(fields[1], "server id"),
        list_name=_octets(fields[2], "list name"),
        sensor_time=_time(fields[3]),
        entries=tuple(_entry(entry) for entry in entries),
    )


def _entry(element: Element) -> Entry:
    name, status, _, unit, scaler, value, _ = _fields(element, 7, "list entry")
    if not isinstance(name, bytes) or len(name) != 6:
        raise SmlError("a list entry whose OBIS code has not 6 bytes")
    return Entry(
        obis="{}-{}:{}.{}.{}*{}".format(*name),
        status=_bounded(status, 0, 2**64 - 1, "status"),
        unit=_bounded(unit, 0, 255, "unit"),
        scaler=_bounded(scaler, -128, 127, "scaler"),
        value=value,
    )


def _time(element: Element) -> int | None:
    """[choice, seconds] or [choice, [time stamp, offset, offset]]; Holley sends the bare seconds."""
    for _ in range(2):
        if isinstance(element, list) and element:
            element = element[1] if len(element) == 2 else element[0]
    return element.value if isinstance(element, Number) else None


def _fields(element: Element, count: int, name: str) -> list[Element]:
    if not isinstance(element, list) or len(element) != count:
        raise SmlError(f"a {name} must have {count} elements")
    return element


def _octets(element: Element, name: str) -> bytes | None:
    if element is None or isinstance(element, bytes):
        return element
    raise SmlError(f"the {name} is no octet string")


def _bounded(element: Element, low: int, high: int, name: str) -> int | None:
    if element is None:
        return None
    if not isinstance(element, Number) or not low <= element.value <= high:
        raise SmlError(f"{name} outside {low} to {high}")
    return element.value
