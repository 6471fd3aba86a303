"""Configuration and registration on port 33: records in numbered parts, unknown ones kept, damaged ones refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.config_records import (
    RECORDS,
    SLOWEST_PAYLOAD,
    Assembly,
    BeaconRecord,
    Commissioning,
    CommissioningReport,
    ConfigurationRefused,
    CounterReport,
    FirmwareReport,
    IdentityKind,
    MeterIdentity,
    OpenTimeRecord,
    OwnIdentity,
    Part,
    PreviousRecord,
    ReadIdentity,
    Record,
    Registers,
    Reporting,
    Resolution,
    SlotRecord,
    SlotReport,
    SlotState,
    UnknownRecord,
    decode,
    encode,
)
from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.slots import Slot

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)
names = st.binary(min_size=1, max_size=20)
inputs = st.integers(0, 7)
slots = st.builds(
    Slot,
    channel=st.integers(0, 7),
    phase_ms=st.integers(0, 59_999),
    period_s=st.sampled_from((60, 300, 900, 3600, 86400)),
    data_rate=st.integers(0, 5),
    guard_ms=st.integers(0, 2000),
    length_ms=st.integers(4001, 8000),
    version=st.integers(1, 0xFFFF),
)
rates = st.integers(-(1 << 23), (1 << 23) - 1)
records = st.lists(
    st.one_of(
        st.builds(MeterIdentity, inputs, names),
        st.builds(Reporting, st.integers(1, 86400)),
        st.builds(Registers, inputs, st.lists(st.integers(1, 30), min_size=1, unique=True).map(tuple)),
        st.builds(Commissioning, st.integers(0, 60)),
        st.builds(OwnIdentity, st.builds(DevEUI, st.binary(min_size=8, max_size=8))),
        st.builds(ReadIdentity, inputs, st.just(0), st.just(b"")),
        st.builds(ReadIdentity, inputs, st.just(1), names),
        st.builds(ReadIdentity, inputs, st.just(2), st.from_regex("[!-`{-~]{1,20}", fullmatch=True).map(str.encode)),
        st.builds(Resolution, st.builds(lambda i, x: i << 5 | x, inputs, st.integers(1, 30)), st.integers(-128, 127)),
        st.builds(CommissioningReport, st.integers(0, 0xFFFF)),
        st.builds(ConfigurationRefused, st.integers(0, 0xFFFF), st.integers(0, 0xFF), printable),
        st.builds(CounterReport, st.integers(0, (1 << 32) - 1)),
        st.builds(FirmwareReport, printable),
        st.builds(SlotRecord, slots),
        st.builds(
            BeaconRecord,
            st.integers(8_630_000, 8_699_999).map(lambda steps: steps * 100),
            st.integers(0, 5),
            st.sampled_from((60, 300, 900, 3600)),
            st.integers(0, 59_999),
        ),
        st.builds(PreviousRecord, st.booleans()),
        st.builds(OpenTimeRecord, st.sampled_from((60, 300, 900)), st.integers(0, 59_999), st.integers(1, 60_000)),
        st.builds(SlotReport, st.integers(0, 0xFFFF), st.sampled_from(SlotState), rates, st.integers(0, 0xFFFF)),
        st.builds(UnknownRecord, st.integers(0, 255).filter(lambda kind: kind not in RECORDS), st.binary(max_size=45)),
    ),
    max_size=30,
)


def test_the_report_after_a_join_is_laid_out_as_documented() -> None:
    (payload,) = encode(3, [CounterReport(75391), FirmwareReport("0.1.0")])
    assert payload.hex() == "0003010181040001267f8205302e312e30"
    assert decode(payload) == Part(3, 1, 1, (CounterReport(75391), FirmwareReport("0.1.0")))


DEVICE = DevEUI.parse("70B3D57ED0061234")
SERVER_ID = bytes.fromhex("0A01454D480000BC614E")
LAID_OUT: list[tuple[Record, str]] = [
    (MeterIdentity(0, SERVER_ID), "010b000a01454d480000bc614e"),
    (MeterIdentity(7, b"1EMH0012345678"), "010f0731454d4830303132333435363738"),
    (Reporting(900), "0203000384"),
    (Reporting(86400), "0203015180"),
    (Registers(0, (1, 2, 7)), "030400010207"),
    (Registers(3, (30,)), "0302031e"),
    (Commissioning(0), "040100"),
    (Commissioning(60), "04013c"),
    (OwnIdentity(DEVICE), "830870b3d57ed0061234"),
    (ReadIdentity(0, IdentityKind.NONE, b""), "84020000"),
    (ReadIdentity(2, IdentityKind.SERVER_ID, SERVER_ID), "840c02010a01454d480000bc614e"),
    (ReadIdentity(0, IdentityKind.TEXT, b"ISK5MT174"), "840b000249534b354d54313734"),
    (Resolution(1, 2), "85020102"),
    (Resolution(7 << 5 | 11, -3), "8502ebfd"),
    (CommissioningReport(1800), "86020708"),
    (ConfigurationRefused(17, 3, "too many"), "870b001103" + b"too many".hex()),
    (SlotRecord(Slot(1, 123_456, 900, 5, 20, 108, 2)), "100d000201020001e24005" + "0014006c"),
    (SlotRecord(Slot(7, 86_399_998, 86400, 0, 2000, 8000, 65535)), "100dffff07040526" + "5bfe0007d01f40"),
    (BeaconRecord(869_525_000, 3, 900, 30_000), "110a84add20303840000" + "7530"),
    (PreviousRecord(False), "120100"),
    (PreviousRecord(True), "120101"),
    (OpenTimeRecord(300, 292_500, 7500), "130701" + "000476941d4c"),
    (OpenTimeRecord(900, 899_999, 60_000), "130702" + "000dbb9fea60"),
    (SlotReport(2, SlotState.IN_SLOT, 12_345, 15), "9008000200003039000f"),
    (SlotReport(0, SlotState.NONE, -1, 65535), "9008000001ffffffffff"),
    (SlotReport(65535, SlotState.REFUSED, -(1 << 23), 0), "9008ffff03800000" + "0000"),
]


@pytest.mark.parametrize(("record", "octets"), LAID_OUT, ids=lambda value: value if isinstance(value, str) else "")
def test_a_record_is_laid_out_as_documented(record: Record, octets: str) -> None:
    assert encode(5, [record])[0].hex() == "00050101" + octets
    assert decode(bytes.fromhex("00050101" + octets)).records == (record,)


def test_no_record_means_the_defaults() -> None:
    assert encode(9, []) == [bytes.fromhex("00090101")]
    assert Assembly().add(decode(encode(9, [])[0])) == ()


@given(st.integers(0, 0xFFFF), records)
def test_all_parts_together_give_what_was_encoded(version: int, given_records: list[Record]) -> None:
    payloads = encode(version, given_records)
    assert all(len(payload) <= SLOWEST_PAYLOAD for payload in payloads)
    assembly = Assembly()
    results = [assembly.add(decode(payload)) for payload in payloads]
    assert results[:-1] == [None] * (len(payloads) - 1)
    assert results[-1] == tuple(given_records)


def test_parts_may_come_in_any_order_and_twice() -> None:
    given_records = [UnknownRecord(0x1E, bytes([n]) * 40) for n in range(3)]
    first, second, third = map(decode, encode(1, given_records))
    assembly = Assembly()
    assert [assembly.add(part) for part in (third, third, first)] == [None, None, None]
    assert assembly.add(second) == tuple(given_records)


def test_another_version_starts_afresh() -> None:
    many = [UnknownRecord(0x1E, bytes(40)), UnknownRecord(0x1F, bytes(40))]
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
        ("00030101010100", "2 to 21 bytes, not 1"),
        ("000301010116" + "00" * 22, "2 to 21 bytes, not 22"),
        ("0003010101020801", "inputs run from 0 to 7"),
        ("00030101020400000384", "3 bytes, not 4"),
        ("000301010203000000", "1 to 86400 s, not 0"),
        ("000301010203015181", "1 to 86400 s, not 86401"),
        ("00030101030100", "2 to 31 bytes, not 1"),
        ("0003010103020801", "inputs run from 0 to 7"),
        ("000301010303000101", "each index once"),
        ("0003010103020000", "from 1 to 30"),
        ("000301010302001f", "from 1 to 30"),
        ("0003010104020000", "1 bytes, not 2"),
        ("0003010104013d", "0 to 60 minutes, not 61"),
        ("0003010183077" + "0" * 13, "8 bytes, not 7"),
        ("00030101840100", "2 to 22 bytes, not 1"),
        ("0003010184020001", "1 to 20 bytes"),
        ("000301018403000041", "none for a meter that tells nothing"),
        ("000301018403000341", "kind 0, 1 or 2, not 3"),
        ("000301018403000261", "upper case without blanks"),
        ("00030101840400024120", "upper case without blanks"),
        ("000301018403080141", "inputs run from 0 to 7"),
        ("0003010185020000", "no register"),
        ("0003010185021f00", "no register"),
        ("00030101850101", "2 bytes, not 1"),
        ("00030101860101", "2 bytes, not 1"),
        ("000301018703001103", "4 to 23 bytes, not 3"),
        ("00030101870400110307", "printable ASCII"),
        ("000301018704001103ff", "printable ASCII"),
        ("00030101100c000201020001e24005001400", "13 bytes, not 12"),
        ("00030101100d000001020001e240050014006c", "version is 1 to 65535, not 0"),
        ("00030101100d000208020001e240050014006c", "channels 0 to 7, not 8"),
        ("00030101100d000201050001e240050014006c", "periods number 0 to 4, not 5"),
        ("00030101100d00020102000dbba0050014006c", "0 to 899999 ms in this period, not 900000"),
        ("00030101100d000201020001e240060014006c", "data rates 0 to 5, not 6"),
        ("00030101100d000201020001e2400507d1ffff", "0 to 2000 ms, not 2001"),
        ("00030101100d000201020001e2400500140028", "longer than its guards"),
        ("00030101100d000201020001e2400500141f41", "at most 8000 ms, not 8001"),
        ("000301011109" + "00" * 9, "10 bytes, not 9"),
        ("00030101110a" + "00" * 10, "between 863000000 and 870000000 Hz"),
        ("00030101110a84add206038400000000", "data rate is 0 to 5, not 6"),
        ("00030101110a84add203038500000000", "60, 300, 900, 3600 s, not 901"),
        ("00030101110a84add2030384000dbba0", "inside its period of 900 s"),
        ("00030101120102", r"carried \(1\) or not \(0\), not 2"),
        ("000301011200", "1 bytes, not 0"),
        ("000301011306" + "00" * 6, "7 bytes, not 6"),
        ("00030101130703" + "000476941d4c", "periods number 0 to 2, not 3"),
        ("00030101130701" + "000493e01d4c", "inside its period of 300 s"),
        ("00030101130701" + "000476940000", "1 to 60000 ms, not 0"),
        ("00030101900700020000303900", "8 bytes, not 7"),
        ("0003010190080002040030390000", "0 to 3, not 4"),
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
        (0, MeterIdentity(-1, b"x")),
        (0, MeterIdentity(8, b"x")),
        (0, MeterIdentity(0, b"")),
        (0, MeterIdentity(0, bytes(21))),
        (0, Reporting(0)),
        (0, Reporting(86401)),
        (0, Registers(8, (1,))),
        (0, Registers(0, ())),
        (0, Registers(0, (31,))),
        (0, Registers(0, (0,))),
        (0, Registers(0, (1, 1))),
        (0, Commissioning(-1)),
        (0, Commissioning(61)),
        (0, ReadIdentity(0, 0, b"x")),
        (0, ReadIdentity(0, 1, b"")),
        (0, ReadIdentity(0, 2, b"a")),
        (0, ReadIdentity(0, 3, b"A")),
        (0, ReadIdentity(8, 1, b"A")),
        (0, Resolution(31, 0)),
        (0, Resolution(256, 0)),
        (0, Resolution(1, 128)),
        (0, CommissioningReport(-1)),
        (0, CommissioningReport(1 << 16)),
        (0, ConfigurationRefused(1 << 16, 0, "x")),
        (0, ConfigurationRefused(0, 256, "x")),
        (0, ConfigurationRefused(0, 0, "")),
        (0, ConfigurationRefused(0, 0, "x" * 21)),
        (0, ConfigurationRefused(0, 0, "zu groß")),
        (0, BeaconRecord(869_525_050, 3, 900, 0)),
        (0, BeaconRecord(870_000_000, 3, 900, 0)),
        (0, BeaconRecord(869_525_000, -1, 900, 0)),
        (0, BeaconRecord(869_525_000, 3, 86400, 0)),
        (0, BeaconRecord(869_525_000, 3, 900, 900_000)),
        (0, OpenTimeRecord(3600, 0, 1)),
        (0, OpenTimeRecord(300, 300_000, 1)),
        (0, OpenTimeRecord(300, 0, 60_001)),
        (0, SlotReport(65536, SlotState.NONE, 0, 0)),
        (0, SlotReport(0, SlotState.NONE, 1 << 23, 0)),
        (0, SlotReport(0, SlotState.NONE, -(1 << 23) - 1, 0)),
        (0, SlotReport(0, SlotState.NONE, 0, 65536)),
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
