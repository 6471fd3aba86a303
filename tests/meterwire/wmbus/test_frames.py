"""Link layers: formats A and B with their checksums, frames without, and wired long and short frames."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, LimitExceeded
from meterwire.ids import MeterId
from meterwire.wmbus import Address, LinkFrame, LongFrame, decode_link, decode_long
from meterwire.wmbus.link import from_a, from_b, to_a, to_b
from meterwire.wmbus.wired import decode_short, short
from tests.meterwire.wmbus.vectors import ANNEX_P, FORMAT_A, FORMAT_B, telegram

BARE = telegram("mode 7, short header")
METER = MeterId.parse("1EMH0212345678")


def test_the_checksum_of_the_standard_fits():
    assert decode_link(from_b(ANNEX_P)).upper == bytes.fromhex("8C2027780B13436587")


def test_formats_a_and_b_are_the_same_telegram():
    assert from_a(FORMAT_A) == from_b(FORMAT_B) == BARE
    assert (to_a(BARE), to_b(BARE)) == (FORMAT_A, FORMAT_B)


@pytest.mark.parametrize(("frame", "read"), [(FORMAT_A, from_a), (FORMAT_B, from_b)])
def test_every_changed_octet_shows(frame, read):
    for at in range(len(frame)):
        with pytest.raises(FormatError):
            read(frame[:at] + bytes((frame[at] ^ 0x40,)) + frame[at + 1 :])


@given(st.binary(min_size=1, max_size=241))
def test_frames_of_every_length_come_back(upper):
    frame = LinkFrame(0x44, Address.of_meter(METER), upper)
    bare = frame.encode()
    assert decode_link(bare) == frame
    assert from_a(to_a(bare)) == bare
    assert from_b(to_b(bare)) == bare


def test_frames_longer_than_their_length_field_are_not_made():
    address = Address.of_meter(METER)
    with pytest.raises(LimitExceeded):
        LinkFrame(0x44, address, bytes(247)).encode()
    with pytest.raises(LimitExceeded):
        to_b(LinkFrame(0x44, address, bytes(246)).encode())
    with pytest.raises(LimitExceeded):
        LongFrame(8, 1, bytes(254)).encode()


@given(st.binary(max_size=300))
def test_any_bytes_raise_only_format_errors(octets):
    for read in (decode_link, from_a, from_b, decode_long, decode_short):
        with suppress(FormatError):
            read(octets)


@given(st.binary(min_size=1, max_size=253), st.integers(0, 255), st.integers(0, 255))
def test_wired_frames_come_back_and_show_damage(upper, control, address):
    frame = LongFrame(control, address, upper)
    octets = frame.encode()
    assert decode_long(octets) == frame
    for at in (1, 2, 4, len(octets) - 2):
        with pytest.raises(FormatError):
            decode_long(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :])


def test_a_short_frame_names_control_and_address():
    assert short(0x5B, 1) == bytes.fromhex("105B015C16")
    assert decode_short(short(0x40, 254)) == (0x40, 254)


def test_the_meter_behind_an_address():
    address = decode_link(BARE).address
    assert address.meter_id == METER
    assert address.server_id(wired=False) == METER.lmn_server_id()
    assert Address.of_header(address.header) == Address.of_link(address.link) == address
    converter = decode_link(telegram("mode 7, long header behind a radio converter")).address
    assert converter.meter_id is None
