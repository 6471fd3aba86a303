"""Data records: numbers, units and registers, exact, and nothing but errors of ours from any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, LimitExceeded
from meterwire.wmbus import Address, decode_records, reading_of


def registers(records: str, device_type: int = 2) -> dict[str, tuple[str, str, int | None]]:
    address = Address(bytes.fromhex("a815"), bytes.fromhex("78563412"), 2, device_type)
    reading = reading_of(decode_records(bytes.fromhex(records)), address, wired=True)
    return {
        obis.removesuffix("*255"): (f"{entry.value:f}", entry.unit, entry.scaler)
        for obis, entry in reading.registers.items()
    }


@pytest.mark.parametrize(
    ("records", "obis", "value"),
    [
        ("04 03 4E61BC00", "1-0:1.8.0", ("12345678", "Wh", 0)),
        ("04 02 4E61BC00", "1-0:1.8.0", ("1234567.8", "Wh", -1)),
        ("04 06 39300000", "1-0:1.8.0", ("12345000", "Wh", 3)),
        ("04 FB00 05000000", "1-0:1.8.0", ("500000", "Wh", 5)),
        ("0E 03 785634120000", "1-0:1.8.0", ("12345678", "Wh", 0)),
        ("06 03 000000800000", "1-0:1.8.0", ("2147483648", "Wh", 0)),
        ("07 03 0000000001000000", "1-0:1.8.0", ("4294967296", "Wh", 0)),
        ("0E 833C 230196000000", "1-0:2.8.0", ("960123", "Wh", 0)),
        ("0E 833B 230196000000", "1-0:1.8.0", ("960123", "Wh", 0)),
        ("8E10 03 000000070000", "1-0:1.8.1", ("7000000", "Wh", 0)),
        ("8E20 833C 785634050000", "1-0:2.8.2", ("5345678", "Wh", 0)),
        ("04 2B 24FAFFFF", "1-0:16.7.0", ("-1500", "W", 0)),
        ("04 ABFC02 24FAFFFF", "1-0:56.7.0", ("-1500", "W", 0)),
        ("02 FDC8FC01 0509", "1-0:32.7.0", ("230.9", "V", -1)),
        ("02 FDDAFC03 7B00", "1-0:71.7.0", ("1.23", "A", -2)),
        ("02 FB2E F401", "1-0:14.7.0", ("50.0", "Hz", -1)),
        ("0A 2B 00F1", "1-0:16.7.0", ("-100", "W", 0)),
        ("04 FB8203 01000000", None, None),
        ("04 FB8274 01000000", None, None),
        ("05 2B 0000C03F", "1-0:16.7.0", ("1.5", "W", None)),
    ],
)
def test_electricity(records, obis, value):
    assert registers(records) == ({} if obis is None else {obis: value})


@pytest.mark.parametrize(
    ("device_type", "records", "obis", "value"),
    [
        (0x03, "0C 14 27048502", "7-0:3.0.0", ("28504.27", "m3", -2)),
        (0x07, "0C 13 43658700", "8-0:1.0.0", ("876.543", "m3", -3)),
        (0x06, "0C 13 43658700", "9-0:1.0.0", ("876.543", "m3", -3)),
        (0x08, "0B 6E 341200", "4-0:1.0.0", ("1234", "units", 0)),
        (0x04, "0C 06 27048502", "6-0:1.0.0", ("2850427000", "Wh", 3)),
        (0x04, "0C 0E 01000000", "6-0:1.0.0", ("277.777", "Wh", None)),
        (0x0A, "0C 06 01000000", "5-0:1.0.0", ("1000", "Wh", 3)),
    ],
)
def test_other_media(device_type, records, obis, value):
    assert registers(records, device_type) == {obis: value}


@pytest.mark.parametrize("vif", ["08", "0F", "FB08", "FB09"])
def test_joules_as_large_as_a_real_number_can_tell_are_a_value_like_any_other(vif):
    [(value, unit, scaler)] = registers(f"05 {vif} FFFF7F7F", 4).values()  # 3.4e38
    assert (float(value) > 9e34, unit, scaler) == (True, "Wh", None)


@pytest.mark.parametrize(
    "records",
    [
        "44 03 4E61BC00",  # an earlier reading
        "14 03 4E61BC00",  # a maximum
        "8440 03 4E61BC00",  # another unit of the device
        "8430 03 4E61BC00",  # a third tariff
        "0C 03 0A000000",  # no decimal digit
        "04 13 4E61BC00",  # water, from an electricity meter
        "04 6D 32371F15",  # date and time
        "0D 78 03 434241",  # text
        "05 2B 0000C07F",  # no number
        "04 7C 03 414243 01000000",  # a unit in plain text
        "0F 0403 4E61BC00",  # the maker's own data
        "",
    ],
)
def test_what_has_no_place_in_the_dictionary_is_skipped(records):
    assert registers(records) == {}


def test_the_first_of_two_counts():
    assert registers("01 2B 05 01 2B 06") == {"1-0:16.7.0": ("5", "W", 0)}


@pytest.mark.parametrize(
    "records", ["04", "04 03", "04 03 000000", "84", "04 83", "0D 78", "0D 78 05 41", "04 7C 09 41"]
)
def test_cut_records_are_refused(records):
    with pytest.raises(FormatError, match="cut off"):
        decode_records(bytes.fromhex(records))


@pytest.mark.parametrize("records", ["3F 03", "7F", "0D 78 F5"])
def test_reserved_codes_are_refused(records):
    with pytest.raises(FormatError, match="reserved"):
        decode_records(bytes.fromhex(records))


def test_endless_headers_and_lists_are_bounded():
    with pytest.raises(LimitExceeded):
        decode_records(b"\x84" + b"\x80" * 11 + b"\x00\x03" + bytes(4))
    with pytest.raises(LimitExceeded):
        decode_records(b"\x04\x83" + b"\x80" * 11 + b"\x00" + bytes(4))
    assert len(decode_records(b"\x00\x03" * 255)) == 255
    with pytest.raises(LimitExceeded):
        decode_records(b"\x00\x03" * 256)


@given(st.binary(max_size=255), st.sampled_from([2, 3, 4, 6, 7, 8, 0x0A, 0x37]))
def test_any_bytes_give_finite_values_or_a_format_error(octets, device_type):
    try:
        records = decode_records(octets)
    except FormatError:
        return
    reading = reading_of(records, Address(b"\xa8\x15", bytes(4), 0, device_type), wired=True)
    assert all(entry.value.is_finite() for entry in reading.registers.values())
