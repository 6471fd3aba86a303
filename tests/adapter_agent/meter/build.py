"""SML written down by hand: enough to put any content, right or wrong, into a frame with right checksums."""

from collections.abc import Sequence

from adapter_agent.meter.sml.crc import x25

ABSENT = b"\x01"
SERVER_ID = bytes.fromhex("0a01454d480000bc614e")  # 1 EMH 00 1234 5678
ESCAPE = b"\x1b" * 4
START = ESCAPE + b"\x01" * 4


def head(kind: int, length: int) -> bytes:
    """Type and length, in one byte where it fits; for lists `length` is the number of elements."""
    total = length if kind == 7 else length + 1
    if total < 16:
        return bytes([kind << 4 | total])
    tags = 2
    while (total if kind == 7 else length + tags) >= 1 << 4 * tags:
        tags += 1
    total = length if kind == 7 else length + tags
    digits = [total >> 4 * place & 15 for place in range(tags - 1, -1, -1)]
    return bytes([0x80 | kind << 4 | digits[0]]) + bytes(0x80 | d for d in digits[1:-1]) + bytes([digits[-1]])


def octets(raw: bytes) -> bytes:
    return head(0, len(raw)) + raw


def unsigned(value: int, size: int) -> bytes:
    return head(6, size) + value.to_bytes(size, "big")


def signed(value: int, size: int) -> bytes:
    return head(5, size) + value.to_bytes(size, "big", signed=True)


def list_of(*elements: bytes) -> bytes:
    return head(7, len(elements)) + b"".join(elements)


def entry(
    obis: str,
    value: bytes = ABSENT,
    *,
    unit: bytes = ABSENT,
    scaler: bytes = ABSENT,
    status: bytes = ABSENT,
    time: bytes = ABSENT,
) -> bytes:
    """A list entry; `obis` as 12 hex digits."""
    return list_of(octets(bytes.fromhex(obis)), status, time, unit, scaler, value, ABSENT)


def energy(obis: str, raw: int, scaler: int = -1, size: int = 5) -> bytes:
    return entry(obis, unsigned(raw, size), unit=unsigned(30, 1), scaler=signed(scaler, 1))


def message(tag: int, body: bytes, crc=x25, *, spoil: bool = False) -> bytes:
    covered = b"\x76" + octets(b"\0\0\0\1") + unsigned(0, 1) * 2 + list_of(unsigned(tag, 2), body)
    checksum = crc(covered)
    if spoil:
        checksum = bytes([checksum[0], checksum[1] ^ 1])
    return covered + b"\x63" + checksum + b"\0"


def get_list(
    *entries: bytes, server_id: bytes = SERVER_ID, crc=x25, time: bytes = ABSENT, spoil: bool = False
) -> bytes:
    body = list_of(ABSENT, octets(server_id), ABSENT, time, list_of(*entries), ABSENT, ABSENT)
    return message(0x0701, body, crc, spoil=spoil)


def frame(*messages: bytes, crc=x25) -> bytes:
    payload = b"".join(messages)
    fill = -len(payload) % 4
    raw = START + payload.replace(ESCAPE, ESCAPE * 2) + bytes(fill) + ESCAPE + bytes([0x1A, fill])
    return raw + crc(raw)


def telegram(*entries: bytes, server_id: bytes = SERVER_ID) -> bytes:
    """Open, list, close, as meters push it."""
    opened = message(0x0101, list_of(ABSENT, ABSENT, octets(b"\1\2\3"), octets(server_id), ABSENT, ABSENT))
    closed = message(0x0201, list_of(ABSENT))
    return frame(opened, get_list(*entries, server_id=server_id), closed)


def values(reading) -> dict[str, str | None]:
    shown: Sequence = reading.to_json()["registers"].items()
    return {obis: register["value"] for obis, register in shown}
