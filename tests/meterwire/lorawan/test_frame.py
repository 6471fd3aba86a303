"""Frames: octets to fields and back, and everything that is no frame is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, MeterspanError
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.frame import (
    MAX_PHY,
    DataFrame,
    EncryptedJoinAccept,
    FrameError,
    JoinAccept,
    JoinRequest,
    MType,
    parse,
    uplink_address,
)
from tests.meterwire.vectors import load

VECTORS = load("lorawan")
UPLINK = bytes.fromhex(VECTORS["data_frames"][0]["frame"])


@st.composite
def data_frames(draw: st.DrawFn) -> DataFrame:
    uplink = draw(st.booleans())
    fport = draw(st.none() | st.integers(0, 255))
    fopts = b"" if fport == 0 else draw(st.binary(max_size=15))
    room = MAX_PHY - 12 - len(fopts) - 1
    return DataFrame(
        uplink=uplink,
        dev_addr=draw(st.integers(0, 2**32 - 1)),
        fcnt=draw(st.integers(0, 0xFFFF)),
        confirmed=draw(st.booleans()),
        adr=draw(st.booleans()),
        adr_ack_req=uplink and draw(st.booleans()),
        ack=draw(st.booleans()),
        class_b_or_pending=draw(st.booleans()),
        fopts=fopts,
        fport=fport,
        payload=b"" if fport is None else draw(st.binary(max_size=room)),
        mic=draw(st.binary(min_size=4, max_size=4)),
    )


join_requests = st.builds(
    JoinRequest,
    st.builds(JoinEUI.from_bytes, st.binary(min_size=8, max_size=8)),
    st.builds(DevEUI.from_bytes, st.binary(min_size=8, max_size=8)),
    st.integers(0, 0xFFFF),
    st.binary(min_size=4, max_size=4),
)
join_accepts = st.builds(
    JoinAccept,
    join_nonce=st.integers(0, 0xFFFFFF),
    net_id=st.integers(0, 0xFFFFFF),
    dev_addr=st.integers(0, 0xFFFFFFFF),
    rx1_dr_offset=st.integers(0, 7),
    rx2_dr=st.integers(0, 15),
    rx_delay=st.integers(0, 15),
    cflist=st.lists(st.integers(1, 0xFFFFFF).map(lambda n: n * 100), max_size=5).map(tuple),
)


@given(data_frames())
def test_a_data_frame_survives_the_way_over_the_air(frame: DataFrame) -> None:
    assert parse(frame.encode()) == frame


@given(join_requests)
def test_a_join_request_survives_the_way_over_the_air(request: JoinRequest) -> None:
    assert parse(request.encode()) == request


@given(join_accepts)
def test_a_join_accept_survives_the_way_over_the_air(accept: JoinAccept) -> None:
    assert JoinAccept.decode(accept.encode()) == accept


@given(st.binary(max_size=300) | st.binary(min_size=12, max_size=40).map(lambda tail: b"\x40" + tail))
def test_no_octets_make_the_parser_fail_otherwise_than_by_its_own_error(octets: bytes) -> None:
    for read in (parse, uplink_address, JoinAccept.decode):
        try:
            read(octets)
        except FrameError:
            pass


@given(data_frames().map(DataFrame.encode) | st.binary(max_size=300))
def test_the_quick_look_agrees_with_the_parser(octets: bytes) -> None:
    try:
        frame = parse(octets)
    except FrameError:
        frame = None
    try:
        found = uplink_address(octets)
    except FrameError:
        assert not isinstance(frame, DataFrame) or not frame.uplink
    else:
        assert found == (int.from_bytes(octets[1:5], "little"), int.from_bytes(octets[6:8], "little"))
        assert frame is None or (isinstance(frame, DataFrame) and frame.uplink)


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        pytest.param(b"", "12 to 255 octets, not 0", id="nothing at all"),
        pytest.param(UPLINK[:11], "12 to 255 octets, not 11", id="eleven octets"),
        pytest.param(bytes(256), "12 to 255 octets, not 256", id="one octet too many"),
        pytest.param(b"\x41" + UPLINK[1:], "major version 1", id="major version 1"),
        pytest.param(UPLINK[:5] + b"\x0a" + UPLINK[6:], "FOptsLen 10 points past the end", id="FOpts past the end"),
        pytest.param(
            bytes.fromhex("4004030201010000" + "02" + "00" + "aa" + "00000000"),
            "both in FOpts and on port 0",
            id="FOpts together with port 0",
        ),
        pytest.param(b"\x00" + bytes(21), "join-request has 23 octets, not 22", id="short join-request"),
        pytest.param(b"\x00" + bytes(23), "join-request has 23 octets, not 24", id="long join-request"),
        pytest.param(b"\x20" + bytes(17), "17 or 33 octets, not 18", id="join-accept of a wrong length"),
        pytest.param(b"\xc0" + bytes(18), "RFU", id="rejoin-request of 1.1"),
        pytest.param(b"\xe0" + bytes(18), "PROPRIETARY", id="proprietary frame"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_reason(octets: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint) as caught:
        parse(octets)
    assert caught.value.code == "frame"
    assert isinstance(caught.value, FormatError)


def test_the_shortest_data_frame_has_twelve_octets_and_no_port() -> None:
    frame = parse(bytes.fromhex("400403020100020011223344"))
    assert frame == DataFrame(True, 0x01020304, 2, mic=bytes.fromhex("11223344"))


def test_the_longest_frame_fills_the_radio() -> None:
    frame = DataFrame(True, 1, 1, fport=1, payload=bytes(242), mic=bytes(4))
    assert len(frame.encode()) == MAX_PHY
    assert parse(frame.encode()) == frame


def test_reserved_bits_are_ignored() -> None:
    assert parse(b"\x5c" + UPLINK[1:]) == parse(UPLINK)
    assert uplink_address(b"\x5c" + UPLINK[1:]) == uplink_address(UPLINK) == (0x49BE7DF1, 2)


def test_an_adr_ack_request_does_not_exist_downwards() -> None:
    down = bytes.fromhex("600403020140020011223344")
    frame = parse(down)
    assert isinstance(frame, DataFrame)
    assert not frame.adr_ack_req


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"fopts": bytes(16)}, "FOpts holds 15 octets, not 16"),
        ({"fopts": b"\x02", "fport": 0}, "never both"),
        ({"payload": b"x"}, "needs a port"),
        ({"fport": 256}, "FPort 256"),
        ({"fport": 1, "payload": bytes(243)}, "longer than 255"),
        ({"fport": 1, "payload": bytes(242), "fopts": b"\x02"}, "longer than 255"),
        ({"dev_addr": 2**32}, "DevAddr"),
        ({"fcnt": 2**16}, "FCnt"),
        ({"fcnt": -1}, "FCnt"),
        ({"mic": b"123"}, "MIC has 4 octets"),
        ({"uplink": False, "adr_ack_req": True}, "uplinks only"),
    ],
)
def test_a_frame_that_cannot_travel_is_not_encoded(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint):
        DataFrame(**{"uplink": True, "dev_addr": 1, "fcnt": 1, **fields}).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"join_nonce": 2**24}, "JoinNonce"),
        ({"net_id": 2**24}, "NetID"),
        ({"dev_addr": 2**32}, "DevAddr"),
        ({"rx1_dr_offset": 8}, "RX1DROffset"),
        ({"rx2_dr": 16}, "RX2DataRate"),
        ({"rx_delay": 16}, "RXDelay"),
        ({"cflist": (868_100_000,) * 6}, "5 channels, not 6"),
        ({"cflist": (868_100_050,)}, "multiple of 100 Hz"),
        ({"cflist": (2_000_000_000,)}, "multiple of 100 Hz up to"),
    ],
)
def test_a_join_accept_that_cannot_travel_is_not_encoded(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint):
        JoinAccept(**{"join_nonce": 1, "net_id": 1, "dev_addr": 1, **fields}).encode()  # type: ignore[arg-type]


def test_a_channel_mask_of_another_region_is_no_frequency_list() -> None:
    plain = JoinAccept(1, 1, 1, cflist=(867_100_000,)).encode()
    assert JoinAccept.decode(plain[:-1] + b"\x01").cflist == ()


def test_an_unused_channel_keeps_its_place_in_the_list() -> None:
    accept = JoinAccept(1, 1, 1, cflist=(867_100_000, 0, 867_500_000))
    assert JoinAccept.decode(accept.encode()).cflist == (867_100_000, 0, 867_500_000)


def test_a_delay_of_zero_means_one_second() -> None:
    assert [JoinAccept(1, 1, 1, rx_delay=n).rx_delay_s for n in (0, 1, 2, 15)] == [1, 1, 2, 15]


def test_only_a_join_accept_is_decoded_as_one() -> None:
    with pytest.raises(FrameError, match="no join-accept"):
        JoinAccept.decode(b"\x40" + bytes(12))
    with pytest.raises(FrameError, match="major version"):
        JoinAccept.decode(b"\x21" + bytes(12))
    assert isinstance(parse(b"\x20" + bytes(16)), EncryptedJoinAccept)


def test_frame_types_are_named_by_direction_and_confirmation() -> None:
    named = {(up, sure): DataFrame(up, 1, 1, sure).mtype for up in (True, False) for sure in (True, False)}
    assert named == {
        (True, True): MType.CONFIRMED_UP,
        (True, False): MType.UNCONFIRMED_UP,
        (False, True): MType.CONFIRMED_DOWN,
        (False, False): MType.UNCONFIRMED_DOWN,
    }


def test_every_frame_error_is_one_of_ours() -> None:
    assert issubclass(FrameError, MeterspanError)
    assert not FrameError.temporary
