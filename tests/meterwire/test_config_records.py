"""Configuration and registration on port 33: records in numbered parts, unknown ones kept, damaged ones refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.config_records import (
    RECORDS,
    SLOWEST_PAYLOAD,
    Assembly,
    CounterReport,
    FirmwareReport,
    Part,
    Record,
    UnknownRecord,
    decode,
    encode,
)
from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)
records = st.lists(
    st.one_of(
        st.builds(CounterReport, st.integers(0, (1 << 32) - 1)),
        st.builds(FirmwareReport, printable),
        st.builds(UnknownRecord, st.integers(0, 255).filter(lambda kind: kind not in RECORDS), st.binary(max_size=45)),
    ),
    max_size=30,
)


def test_the_report_after_a_join_is_laid_out_as_documented() -> None:
    (payload,) = encode(3, [CounterReport(75391), FirmwareReport("0.1.0")])
    assert payload.hex() == "0003010181040001267f8205302e312e30"
    assert decode(payload) == Part(3, 1, 1, (CounterReport(75391), FirmwareReport("0.1.0")))


@given(st.integers(0, 0xFFFF), records)
def test_all_parts_together_give_what_was_encoded(version: int, given_records: list[Record]) -> None:
    payloads = encode(version, given_records)
    assert all(len(payload) <= SLOWEST_PAYLOAD for payload in payloads)
    assembly = Assembly()
    results = [assembly.add(decode(payload)) for payload in payloads]
    assert results[:-1] == [None] * (len(payloads) - 1)
    assert results[-1] == tuple(given_records)


def test_parts_may_come_in_any_order_and_twice() -> None:
    given_records = [UnknownRecord(0x10, bytes([n]) * 40) for n in range(3)]
    first, second, third = map(decode, encode(1, given_records))
    assembly = Assembly()
    assert [assembly.add(part) for part in (third, third, first)] == [None, None, None]
    assert assembly.add(second) == tuple(given_records)


def test_another_version_starts_afresh() -> None:
    many = [UnknownRecord(0x10, bytes(40)), UnknownRecord(0x11, bytes(40))]
    old, new = map(decode, encode(1, many)), map(decode, encode(2, many))
    assembly = Assembly()
    assert assembly.add(next(old)) is None
    assert assembly.add(next(new)) is None
    assert assembly.add(next(old)) is None
    assert assembly.add(next(new)) is None


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        ("", "cut off after 0"),
        ("000301", "cut off after 3"),
        ("00030001", "part 0 of 1"),
        ("00030201", "part 2 of 1"),
        ("00030000", "part 0 of 0"),
        ("0003010181", "byte 4 is cut off"),
        ("000301018104000126", "byte 4 is cut off"),
        ("000301018103000126", "4 bytes, not 3"),
        ("000301018200", "1 to 20"),
        ("0003010182" + "15" + "30" * 21, "1 to 20"),
        ("00030101820107", "1 to 20 printable"),
        ("000301018202c328", "UTF-8"),
    ],
)
def test_a_damaged_telegram_is_refused(payload: str, cause: str) -> None:
    with pytest.raises(FormatError, match=cause):
        decode(bytes.fromhex(payload))


def test_more_bytes_than_a_frame_carries_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        decode(bytes(243))


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda rest: b"\x00\x01\x01\x01" + rest))
def test_no_bytes_raise_anything_but_a_format_error(payload: bytes) -> None:
    try:
        part = decode(payload)
    except FormatError:
        return
    assert decode(encode(part.version, part.records, limit=10_000)[0]).records == part.records


@pytest.mark.parametrize(
    ("version", "record"),
    [
        (-1, CounterReport(0)),
        (1 << 16, CounterReport(0)),
        (0, CounterReport(-1)),
        (0, CounterReport(1 << 32)),
        (0, FirmwareReport("")),
        (0, FirmwareReport("x" * 21)),
        (0, FirmwareReport("1.0\n")),
        (0, UnknownRecord(256, b"")),
        (0, UnknownRecord(1, bytes(46))),
    ],
)
def test_what_does_not_fit_is_refused(version: int, record: Record) -> None:
    with pytest.raises(ValueOutOfRange):
        encode(version, [record])


def test_more_parts_than_a_byte_counts_are_refused() -> None:
    with pytest.raises(ValueOutOfRange, match="255"):
        encode(0, [UnknownRecord(0x10, bytes(45))] * 256)
