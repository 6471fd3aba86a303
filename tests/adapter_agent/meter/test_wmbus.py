"""Frames of wireless meters from a receiver: found in noise, one meter's of many, opened or passed through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.meter import INTERFACES, Installation
from adapter_agent.meter.wmbus import LONGEST, FrameScanner, WmbusMeter
from meterwire.ids import MeterId
from meterwire.seal import Key16
from meterwire.wmbus import Address, LinkFrame, seal_5, seal_7
from meterwire.wmbus.link import to_a, to_b

ID, NEIGHBOUR = MeterId.parse("1EMH0012345678"), MeterId.parse("1EMH0087654321")
KEY, OTHER = Key16(bytes(range(16))), Key16(bytes(range(1, 17)))
IMPORT = bytes.fromhex("0603 4e61bc000000")


def frame(meter=ID, key=KEY, counter=1, mode=7) -> bytes:
    address = Address.of_meter(meter)
    if mode == 7:
        upper = seal_7(IMPORT, address, key, access=counter, counter=counter, long=False)
    else:
        upper = seal_5(IMPORT, address, key, access=counter, long=False)
    return LinkFrame(0x44, address, b"\x8c\x20\x01" + upper).encode()


def decoder(key=KEY, meter=ID, passed=None, checks=True) -> WmbusMeter:
    return WmbusMeter(Installation(lambda: key, (passed if passed is not None else []).append, meter, checks))


@pytest.mark.parametrize("form", [to_a, to_b])
@pytest.mark.parametrize("mode", [5, 7])
def test_a_telegram_is_opened(form, mode):
    [reading] = decoder().feed(form(frame(mode=mode)))
    assert str(reading.registers["1-0:1.8.0*255"].value) == "12345678"
    assert (reading.meter_id, reading.server_id) == (ID, ID.lmn_server_id())


def test_frames_are_found_octet_by_octet_between_noise_and_damage():
    meter = decoder()
    damaged = bytearray(to_a(frame(counter=2)))
    damaged[30] ^= 1
    stream = b"\xff\x44\x44\x2b\x44" + to_a(frame()) + bytes(damaged) + b"\x44" * 9 + to_b(frame(counter=3))
    assert len([one for octet in stream for one in meter.feed(bytes((octet,)))]) == 2


def test_the_telegrams_of_neighbours_are_neither_read_nor_passed_on():
    passed = []
    meter = decoder(passed=passed)
    assert meter.feed(to_a(frame(NEIGHBOUR)) + to_a(frame(NEIGHBOUR, OTHER))) == []
    assert (passed, meter.refused) == ([], {"stranger": 2})


def test_without_a_named_meter_only_what_the_key_proves_counts():
    passed = []
    meter = decoder(meter=None, passed=passed)
    assert len(meter.feed(to_a(frame()))) == 1
    assert meter.feed(to_a(frame(NEIGHBOUR, OTHER)) + to_a(frame(mode=5))) == []
    assert (passed, meter.refused) == ([], {"stranger": 2})


def test_a_repetition_is_no_second_reading_and_an_old_telegram_none():
    meter = decoder()
    old, new = to_a(frame(counter=7)), to_a(frame(counter=8))
    assert len(meter.feed(old + new + new + old)) == 2
    assert meter.refused == {"repeated": 1, "replay": 1}


@pytest.mark.parametrize("key", [None, OTHER])
def test_what_does_not_open_is_passed_through_without_the_link_layer(key):
    passed = []
    assert decoder(key=key, passed=passed).feed(to_a(frame())) == []
    assert [(one.port, one.payload) for one in passed] == [(19, frame()[13:])]


def test_an_encrypted_link_layer_goes_on_port_18_whole():
    passed = []
    upper = bytes.fromhex("8d2001aabbccdd") + bytes(20)
    strange = LinkFrame(0x44, Address.of_meter(ID), upper).encode()
    assert decoder(passed=passed).feed(to_a(strange)) == []
    assert [(one.port, one.payload) for one in passed] == [(18, upper)]


@pytest.mark.parametrize("upper", ["8d2001aabbccdd" + "00" * 20, "7a0100200d" + "00" * 16, "a0" + "00" * 20])
def test_what_neighbours_protect_in_an_unknown_way_is_not_passed_on_as_ours(upper):
    passed = []
    meter = decoder(passed=passed)
    strange = LinkFrame(0x44, Address.of_meter(NEIGHBOUR), bytes.fromhex(upper)).encode()
    assert meter.feed(to_a(strange) + to_a(frame())) != []
    assert (passed, sum(meter.refused.values())) == ([], 1)


def test_a_receiver_that_takes_the_checksums_away():
    meter = decoder(checks=False)
    assert len(meter.feed(frame()[:20])) == 0
    assert len(meter.feed(frame()[20:] + frame(counter=2))) == 2


@given(st.lists(st.binary(max_size=400), max_size=5), st.booleans())
def test_any_bytes_are_survived_in_bounded_memory(chunks, checks):
    scanner, meter = FrameScanner(checks=checks), decoder(checks=checks)
    for chunk in chunks:
        scanner.feed(chunk)
        meter.feed(chunk)
        assert len(scanner._buffer) <= LONGEST
    meter.close()


def test_the_interface_is_registered():
    assert INTERFACES["wmbus"] is WmbusMeter
