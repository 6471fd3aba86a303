"""Telegrams of IEC 62056-21: cut out of noise, checked, and read in exact decimals; nothing sent can do harm."""

from decimal import Decimal
from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.meter import INTERFACES
from adapter_agent.meter.d0 import D0Meter
from adapter_agent.meter.d0.datasets import MAX_DATASETS, Dataset, datasets
from adapter_agent.meter.d0.frame import MAX_TELEGRAM, FrameScanner, crc16
from adapter_agent.nameplates import identity_of, resolutions_of
from meterwire.config_records import IdentityKind
from meterwire.reading import RegisterValue

LINES = "1-0:1.8.0*255(00052185.7825309*kWh)\r\n1-0:16.7.0*255(-000124.86*W)\r\n0-0:96.1.0*255(1 esy 13 1300 2565)\r\n"
HEAD = "/ESY5Q3DB1024 V3.04\r\n\r\n"
PLAIN = f"{HEAD}{LINES}!\r\n".encode()


def with_block_check(lines: str = LINES) -> bytes:
    covered = f"{lines}!\r\n\x03".encode()
    return HEAD.encode() + b"\x02" + covered + bytes([reduce(xor, covered, 0)])


def dsmr(lines: str = LINES) -> bytes:
    covered = f"{HEAD}{lines}!".encode()
    return covered + f"{crc16(covered):04X}\r\n".encode()


FORMS = {"plain": PLAIN, "block check": with_block_check(), "crc": dsmr()}


def read(*pieces: bytes) -> tuple[list, D0Meter]:
    meter = D0Meter()
    return [reading for piece in pieces for reading in meter.feed(piece)], meter


@pytest.mark.parametrize("telegram", FORMS.values(), ids=FORMS)
def test_a_push_telegram_is_a_reading_at_once(telegram):
    readings, meter = read(telegram, telegram)
    assert len(readings) == meter.accepted == 2
    reading = readings[0]
    assert reading.registers["1-0:1.8.0*255"] == RegisterValue(Decimal("52185782.5309"), "Wh", -4)
    assert reading.registers["1-0:16.7.0*255"] == RegisterValue(Decimal("-124.86"), "W", -2)
    assert str(reading.meter_id) == "1ESY1313002565"
    assert identity_of(reading) == (IdentityKind.TEXT, b"1ESY1313002565")
    assert resolutions_of(reading) == {1: -4, 7: -2}
    assert not meter.refused


@pytest.mark.parametrize("telegram", FORMS.values(), ids=FORMS)
def test_parity_in_the_eighth_bit_does_not_matter(telegram):
    odd = bytes(octet | (octet.bit_count() % 2 << 7) for octet in telegram)
    assert read(odd)[0] == read(telegram)[0]


@given(st.sampled_from([FORMS["block check"], FORMS["crc"]]), st.integers(0, 500), st.integers(0, 6))
def test_a_flipped_bit_is_no_reading_with_other_values(telegram, at, bit):
    spoilt = bytearray(telegram)
    spoilt[at % len(spoilt)] ^= 1 << bit
    [whole], _ = read(telegram)
    meter = D0Meter()
    for reading in meter.feed(bytes(spoilt)) + meter.close():
        assert (
            reading.registers == whole.registers
        )  # the identification line and the signs around are outside the check


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_bytes_whatever_raise_and_memory_stays_bounded(pieces):
    meter = D0Meter()
    for piece in pieces:
        meter.feed(piece)
        assert len(meter._scanner._buffer) <= 2 * MAX_TELEGRAM
    meter.close()


@given(st.text(alphabet="/ABC!()\x02\x03\r\n1.8*-:&kWh", max_size=300))
def test_nearly_telegrams_do_not_raise_either(text):
    meter = D0Meter()
    meter.feed(text.encode())
    meter.close()


@given(st.binary(max_size=40), st.sampled_from(list(FORMS.values())))
def test_a_whole_telegram_is_found_behind_a_broken_one(noise, telegram):
    readings, _ = read(HEAD.encode() + b"1-0:1.8.0*255(0001", b"\r\n" + telegram)
    assert len(readings) == 1
    behind, meter = read(noise.replace(b"/", b"").replace(b"\x82", b"").replace(b"\x02", b"") + b"\r\n" + telegram)
    assert len(behind + meter.close()) == 1


def test_a_wrong_check_is_counted_by_its_kind():
    _, meter = read(with_block_check()[:-1] + b"\x01", dsmr().replace(b"52185", b"52186"))
    assert meter.refused == {"bcc": 1, "crc": 1}


def test_a_telegram_without_an_end_is_given_up():
    scanner = FrameScanner()
    assert scanner.feed(b"/ESY5Q3D\r\n" + b"1.8.0(1)\r\n" * 2000) == []
    assert scanner.refused["length"] == 1
    [frame] = scanner.feed(b"\r\n" + PLAIN)
    assert frame.identification == "/ESY5Q3DB1024 V3.04"


def test_at_most_so_many_data_sets_are_read():
    assert len(list(datasets("1.8.0(1)" * 1000))) == MAX_DATASETS


@pytest.mark.parametrize(
    ("code", "obis"),
    [
        ("1-0:1.8.0*255", "1-0:1.8.0*255"),
        ("1.8.0", "1-0:1.8.0*255"),
        ("1.8.1*03", "1-0:1.8.1*3"),
        ("1-0:1.8.0&05", "1-0:1.8.0*5"),
        ("6.8", "6-0:1.0.0*255"),
        ("6.8*01", None),
        ("F.F", None),
        ("C.1", None),
        ("1-0:1.8.999", None),
    ],
)
def test_codes_long_and_short(code, obis):
    assert Dataset(code, ("1",)).obis == obis


@pytest.mark.parametrize(
    ("code", "value", "register"),
    [
        ("1.8.0", "000285.4*kWh", RegisterValue(Decimal("285400"), "Wh", 2)),
        ("1.8.0", "013925.5*", RegisterValue(Decimal("13925500"), "Wh", 2)),
        ("3.8.0", "5", RegisterValue(Decimal("5000"), "varh", 3)),
        ("6.8", "0029.055*MWh", RegisterValue(Decimal("29055000"), "Wh", 3)),
        ("32.7.0", "0230.0*V", RegisterValue(Decimal("230.0"), "V", -1)),
        ("6.26", "01589.28*m3", RegisterValue(Decimal("1589.28"), "m3", -2)),
        ("6.35", "60*m", RegisterValue(Decimal(60), "m", 0)),
        ("1.8.0", "", None),
        ("1.8.0", "1,5*kWh", None),
        ("1.8.0", "9" * 21, None),
        ("1.8.0", "1e9", None),
        ("0.9.1", "12:30", None),
    ],
)
def test_numbers_come_in_the_dictionarys_unit(code, value, register):
    assert Dataset(code, (value,)).register == register


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("0-0:96.1.0(1 EMH 00 1234 5678)", "1EMH0012345678"),
        ("1-0:96.1.0(1emh0012345678)", "1EMH0012345678"),
        ("0-0:96.1.1(3153414733313031303231363035)", "1SAG3101021605"),
        ("C.1(1126120053322353)", "1126120053322353"),
        ("0-0:96.1.1(00000000000000)", None),
        ("1.8.0(1)", None),
    ],
)
def test_the_meters_own_name(lines, name):
    [reading], _ = read(f"{HEAD}{lines}\r\n!\r\n".encode())
    assert reading.identification == name


def test_a_name_that_is_too_long_to_report_is_none():
    [reading], _ = read(f"{HEAD}0-0:96.1.0({'A' * 21})\r\n!\r\n".encode())
    assert identity_of(reading) == (IdentityKind.NONE, b"")


def test_it_is_registered():
    assert INTERFACES["d0"] is D0Meter
