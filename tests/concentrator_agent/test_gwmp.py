"""The Semtech UDP protocol: what forwarders really send is read, everything else is refused under a name."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concentrator_agent.radio import gwmp
from concentrator_agent.radio.gwmp import GwmpError, Kind, parse
from meterwire.lorawan.region import EU868

EUI = "aa555a0000000101"
# From PROTOCOL.TXT of Lora-net/packet_forwarder, section 4: escaped slash, unpadded base64, FSK with a numeric datr.
SPECIFICATION = (
    rb'{"rxpk":[{"time":"2013-03-31T16:21:17.528002Z","tmst":3512348611,"chan":2,"rfch":0,"freq":866.349812,"stat":1,'
    rb'"modu":"LORA","datr":"SF7BW125","codr":"4\/6","rssi":-35,"lsnr":5.1,"size":32,'
    rb'"data":"-DS4CGaDCdG+48eJNM3Vai-zDpsR71Pn9CPA9uCON84"},'
    rb'{"time":"2013-03-31T16:21:17.530974Z","tmst":3512348514,"chan":9,"rfch":1,"freq":869.1,"stat":1,"modu":"FSK",'
    rb'"datr":50000,"rssi":-75,"size":16,"data":"VEVTVF9QQUNLRVRfMTIzNA=="}]}'
)


def push(body: bytes, token: bytes = b"\x12\x34", version: int = 2) -> bytes:
    return bytes([version]) + token + b"\x00" + bytes.fromhex(EUI) + body


def rxpk(**changes: Any) -> dict[str, Any]:
    packet = {
        "tmst": 1000,
        "freq": 868.1,
        "datr": "SF7BW125",
        "modu": "LORA",
        "codr": "4/5",
        "stat": 1,
        "rssi": -80,
        "lsnr": 7.5,
        "size": 3,
        "data": "AQID",
    }
    return {name: value for name, value in (packet | changes).items() if value is not None}


def push_packets(*packets: dict[str, Any]) -> bytes:
    return push(json.dumps({"rxpk": packets}).encode())


def test_a_packet_is_read_in_our_units() -> None:
    read = parse(push_packets(rxpk(tmms=1_436_486_418_000)), EU868)
    (packet,) = read.packets
    assert (read.kind, read.token, read.eui) == (Kind.PUSH_DATA, b"\x12\x34", EUI)
    assert packet.phy == b"\x01\x02\x03"
    assert (packet.tmst, packet.freq, packet.dr, packet.rssi, packet.snr) == (1000, 868_100_000, 5, -80.0, 7.5)
    assert packet.gateway_time == 1_752_451_200  # 2025-07-14 00:00 UTC


def test_the_examples_of_the_specification_are_read_where_they_can_be() -> None:
    read = parse(push(SPECIFICATION), EU868)
    (fsk,) = read.packets
    assert (fsk.phy, fsk.dr, fsk.freq) == (b"TEST_PACKET_1234", 7, 869_100_000)
    assert read.dropped == {"base64": 1}  # the first one uses an alphabet that is none


def test_unpadded_base64_and_an_escaped_slash_are_read() -> None:
    body = rb'{"rxpk":[{"tmst":1,"freq":868.1,"datr":"SF12BW125","codr":"4\/5","data":"AQIDBA"}]}'
    (packet,) = parse(push(body), EU868).packets
    assert (packet.phy, packet.dr) == (b"\x01\x02\x03\x04", 0)


def test_status_alone_or_with_packets_is_fine_and_unknown_fields_are_ignored() -> None:
    stat = {"time": "2014-01-12 08:59:28 GMT", "lati": 46.24, "rxnb": 2, "ackr": 100.0, "temp": 23}
    assert parse(push(json.dumps({"stat": stat}).encode()), EU868).packets == ()
    both = json.dumps({"stat": stat, "rxpk": [rxpk(foo={"bar": 1}, jver=1)]}).encode()
    assert len(parse(push(both), EU868).packets) == 1


@pytest.mark.parametrize(
    "reason, packet",
    [
        ("crc", rxpk(stat=-1, data="!!")),
        ("crc", rxpk(stat=0)),
        ("base64", rxpk(data="A*ID")),
        ("base64", rxpk(data="A")),
        ("size", rxpk(size=4)),
        ("size", rxpk(data="", size=None)),
        ("datr", rxpk(datr="SF6BW500")),
        ("datr", rxpk(datr=300)),
        ("rxpk", rxpk(tmst=-1)),
        ("rxpk", rxpk(tmst="now")),
        ("rxpk", rxpk(tmst=None)),
        ("rxpk", rxpk(freq=1e30)),
        ("rxpk", rxpk(rssi="loud")),
        ("rxpk", rxpk(data="A" * 400)),
        ("rxpk", rxpk(data=None)),
    ],
)
def test_a_bad_packet_is_dropped_under_its_name_and_its_neighbour_is_kept(reason: str, packet: dict[str, Any]) -> None:
    read = parse(push_packets(packet, rxpk()), EU868)
    assert read.dropped == {reason: 1}
    assert [packet.phy for packet in read.packets] == [b"\x01\x02\x03"]


@pytest.mark.parametrize(
    "reason, datagram",
    [
        ("not_gwmp", b""),
        ("not_gwmp", b"GET / HTTP"),
        ("version", b"\x01" + bytes(20)),
        ("kind", b"\x02\x00\x00\x03" + bytes(8)),
        ("kind", b"\x02\x00\x00\x09" + bytes(8)),
        ("json", push(b"")),
        ("json", push(b'{"rxpk":[')),
        ("json", push(b'{"rxpk":5}')),
        ("json", push(b"[" * 60_000)),
        ("json", push(b'{"a":' * 10_000)),
        ("json", push(b"\xff\xfe")),
        ("json", b"\x02\x00\x00\x05" + bytes(8) + b"{"),
        ("oversize", push_packets(*[rxpk(data="AA", size=1)] * 256)),
        ("oversize", bytes(65_508)),
    ],
)
def test_a_datagram_that_is_none_is_refused_under_its_name(reason: str, datagram: bytes) -> None:
    with pytest.raises(GwmpError) as caught:
        parse(datagram, EU868)
    assert caught.value.reason == reason


def test_as_many_packets_as_a_forwarder_may_send_are_taken() -> None:
    assert len(parse(push_packets(*[rxpk(data="AA", size=1)] * 255), EU868).packets) == 255


@pytest.mark.parametrize(
    "body, error",
    [
        (b"", None),
        (b"\0", None),
        (b'{"txpk_ack":{"error":"NONE"}}', None),
        (b'{"txpk_ack":{"warn":"TX_POWER","value":14}}', None),
        (b'{"txpk_ack":{"error":"TOO_LATE"}}', "TOO_LATE"),
        (b'{"txpk_ack":{"error":"COLLISION_PACKET"}}', "COLLISION_PACKET"),
    ],
)
def test_tx_ack_with_or_without_json(body: bytes, error: str | None) -> None:
    read = parse(b"\x02\xab\xcd\x05" + bytes.fromhex(EUI) + body, EU868)
    assert (read.kind, read.token, read.error) == (Kind.TX_ACK, b"\xab\xcd", error)


def test_acknowledgements_echo_the_token() -> None:
    assert gwmp.acknowledge(parse(push_packets(), EU868)) == b"\x02\x12\x34\x01"
    assert gwmp.acknowledge(parse(b"\x02\x00\x00\x02" + bytes(8), EU868)) == b"\x02\x00\x00\x04"


def test_a_downlink_is_what_a_forwarder_expects() -> None:
    datagram = gwmp.pull_resp(
        b"\x00\x07", b"\x60\x01", tmst=2**32 + 5, freq=869_525_000, datr="SF12BW125", power_dbm=27
    )
    assert datagram[:4] == b"\x02\x00\x07\x03"
    assert json.loads(datagram[4:]) == {
        "txpk": {
            "imme": False,
            "tmst": 5,
            "freq": 869.525,
            "rfch": 0,
            "powe": 27,
            "modu": "LORA",
            "datr": "SF12BW125",
            "codr": "4/5",
            "ipol": True,
            "ncrc": True,
            "size": 2,
            "data": "YAE=",
        }
    }
    fsk = json.loads(gwmp.pull_resp(b"\0\0", b"x", tmst=0, freq=868_800_000, datr=50_000, power_dbm=14)[4:])["txpk"]
    assert (fsk["modu"], fsk["datr"], fsk["fdev"], "codr" in fsk) == ("FSK", 50_000, 25_000, False)


@given(st.binary(max_size=300))
def test_no_datagram_raises_anything_else(datagram: bytes) -> None:
    for candidate in (datagram, b"\x02\x00\x00\x00" + datagram, b"\x02\x00\x00\x05" + datagram):
        try:
            parse(candidate, EU868)
        except GwmpError:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(rxpk(), json_values) | {"time": json_values, "tmms": json_values})
)
def test_no_packet_raises_anything(packet: dict[str, Any]) -> None:
    read = parse(push_packets(packet, rxpk()), EU868)
    assert read.packets[-1].phy == b"\x01\x02\x03"


@given(st.binary(min_size=1, max_size=255), st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_what_a_forwarder_encodes_is_read_back(phy: bytes, tmst: int, dr: int) -> None:
    packet = rxpk(data=base64.b64encode(phy).decode(), size=len(phy), tmst=tmst, datr=EU868.data_rate(dr).datr)
    (read,) = parse(push_packets(packet), EU868).packets
    assert (read.phy, read.tmst, read.dr) == (phy, tmst, dr)
