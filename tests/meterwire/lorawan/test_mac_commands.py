"""MAC commands: the published octets, every command both ways, and streams that cannot be read to their end."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.lorawan import mac_commands
from meterwire.lorawan.mac_commands import (
    COMMANDS,
    MAX_STREAM,
    DeviceTimeAns,
    DeviceTimeReq,
    DevStatusAns,
    DevStatusReq,
    DlChannelAns,
    DlChannelReq,
    DutyCycleAns,
    DutyCycleReq,
    LinkADRAns,
    LinkADRReq,
    LinkCheckAns,
    LinkCheckReq,
    MacCommand,
    MacCommandError,
    NewChannelAns,
    NewChannelReq,
    RXParamSetupAns,
    RXParamSetupReq,
    RXTimingSetupAns,
    RXTimingSetupReq,
    TXParamSetupAns,
    TXParamSetupReq,
    encode_commands,
    parse_commands,
)
from tests.meterwire.vectors import load

nibble, octet, flag = st.integers(0, 15), st.integers(0, 255), st.booleans()
three_bits, hertz = st.integers(0, 7), st.integers(0, 0xFFFFFF).map(lambda n: n * 100)

UP: st.SearchStrategy[MacCommand] = st.one_of(
    st.just(LinkCheckReq()),
    st.builds(LinkADRAns, flag, flag, flag),
    st.just(DutyCycleAns()),
    st.builds(RXParamSetupAns, flag, flag, flag),
    st.builds(DevStatusAns, octet, st.integers(-32, 31)),
    st.builds(NewChannelAns, flag, flag),
    st.just(RXTimingSetupAns()),
    st.just(TXParamSetupAns()),
    st.builds(DlChannelAns, flag, flag),
    st.just(DeviceTimeReq()),
)
DOWN: st.SearchStrategy[MacCommand] = st.one_of(
    st.builds(LinkCheckAns, st.integers(0, 254), octet),
    st.builds(LinkADRReq, nibble, nibble, st.integers(0, 0xFFFF), three_bits, nibble),
    st.builds(DutyCycleReq, nibble),
    st.builds(RXParamSetupReq, three_bits, nibble, hertz),
    st.just(DevStatusReq()),
    st.builds(NewChannelReq, octet, hertz, nibble, nibble),
    st.builds(RXTimingSetupReq, nibble),
    st.builds(TXParamSetupReq, flag, flag, nibble),
    st.builds(DlChannelReq, octet, hertz),
    st.builds(DeviceTimeAns, st.integers(0, 2**32 - 1), octet),
)


@pytest.mark.parametrize("vector", load("lorawan")["mac_commands"], ids=lambda v: v["command"])
def test_published_octets(vector: dict[str, Any]) -> None:
    command = getattr(mac_commands, vector["command"])(**vector["fields"])
    octets = bytes.fromhex(vector["octets"])
    assert command.encode() == octets
    assert parse_commands(octets, vector["uplink"]) == ([command], b"")


@given(st.lists(UP, max_size=40))
def test_commands_survive_the_way_up(commands: list[MacCommand]) -> None:
    assert parse_commands(encode_commands(commands), uplink=True) == (commands, b"")


@given(st.lists(DOWN, max_size=40))
def test_commands_survive_the_way_down(commands: list[MacCommand]) -> None:
    assert parse_commands(encode_commands(commands), uplink=False) == (commands, b"")


@given(st.binary(max_size=300), st.booleans())
def test_no_octets_make_the_parser_fail_otherwise_than_by_its_own_error(octets: bytes, uplink: bool) -> None:
    try:
        commands, rest = parse_commands(octets, uplink)
    except MacCommandError:
        assert len(octets) > MAX_STREAM
        return
    assert sum(1 + command.length for command in commands) + len(rest) == len(octets)
    assert octets.endswith(rest)
    if rest:
        assert (uplink, rest[0]) not in COMMANDS or len(rest) < 1 + COMMANDS[uplink, rest[0]].length


def test_every_class_a_command_of_1_0_4_is_known_both_ways() -> None:
    identifiers = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0D}
    assert set(COMMANDS) == {(uplink, cid) for uplink in (True, False) for cid in identifiers}


def test_an_unknown_command_in_the_middle_cuts_the_stream_and_is_handed_back() -> None:
    stream = DevStatusAns(255, -5).encode() + b"\x80\x01" + LinkCheckReq().encode()
    assert parse_commands(stream, uplink=True) == ([DevStatusAns(255, -5)], b"\x80\x01\x02")


def test_a_truncated_command_is_handed_back() -> None:
    stream = DutyCycleReq(3).encode() + DeviceTimeAns(1, 2).encode()[:-1]
    assert parse_commands(stream, uplink=False) == ([DutyCycleReq(3)], bytes.fromhex("0d01000000"))


def test_the_same_number_means_another_command_the_other_way() -> None:
    assert parse_commands(b"\x06", uplink=False) == ([DevStatusReq()], b"")
    assert parse_commands(b"\x06", uplink=True) == ([], b"\x06")


def test_reserved_bits_are_ignored() -> None:
    assert parse_commands(b"\x08\xf5", uplink=False) == ([RXTimingSetupReq(5)], b"")
    assert parse_commands(b"\x06\x00\xe2", uplink=True) == ([DevStatusAns(0, -30)], b"")
    assert parse_commands(b"\x03\xff", uplink=True) == ([LinkADRAns(True, True, True)], b"")


def test_a_stream_longer_than_any_frame_is_refused() -> None:
    with pytest.raises(MacCommandError, match="at most 242"):
        parse_commands(bytes(243), uplink=True)
    with pytest.raises(MacCommandError, match="at most 242"):
        encode_commands([LinkCheckReq()] * 243)
    assert len(parse_commands(encode_commands([LinkCheckReq()] * 242), uplink=True)[0]) == 242


@pytest.mark.parametrize(
    "command",
    [
        LinkCheckAns(255, 1),
        LinkCheckAns(0, 256),
        LinkADRReq(16, 0, 0),
        LinkADRReq(0, 16, 0),
        LinkADRReq(0, 0, 65536),
        LinkADRReq(0, 0, 0, 8),
        LinkADRReq(0, 0, 0, 0, 16),
        DutyCycleReq(16),
        RXParamSetupReq(8, 0, 869_525_000),
        RXParamSetupReq(0, 16, 869_525_000),
        RXParamSetupReq(0, 0, 869_525_050),
        RXParamSetupReq(0, 0, 1_700_000_000),
        DevStatusAns(0, 32),
        DevStatusAns(0, -33),
        DevStatusAns(256, 0),
        NewChannelReq(256, 0),
        NewChannelReq(0, -100),
        NewChannelReq(0, 0, 16),
        RXTimingSetupReq(16),
        TXParamSetupReq(False, False, 16),
        DlChannelReq(-1, 0),
        DeviceTimeAns(2**32, 0),
        DeviceTimeAns(0, 256),
    ],
    ids=repr,
)
def test_a_field_outside_its_range_is_not_encoded(command: MacCommand) -> None:
    with pytest.raises(MacCommandError, match=r"outside|multiple"):
        command.encode()


def test_the_length_of_every_command_is_what_it_encodes() -> None:
    for command in COMMANDS.values():
        made = command(*[0] * len(fields(command)))
        assert len(made.payload()) == command.length


def test_time_is_told_in_256ths_of_a_second() -> None:
    answer = DeviceTimeAns.at(1_436_486_418.507)
    assert (answer.seconds, answer.fraction) == (1_436_486_418, 129)
    assert 0 <= 1_436_486_418.507 - answer.gps_s < 1 / 256
