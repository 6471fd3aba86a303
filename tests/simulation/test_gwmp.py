"""The datagrams of a packet forwarder, field by field, and requests that nobody should believe."""

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.simulation import gwmp
from adapter_agent.simulation.gateway import Reception
from meterwire.errors import FormatError
from meterwire.ids import GatewayEUI
from meterwire.lorawan.region import EU868

EUI = GatewayEUI.parse("AA555A0000000101")
RECEPTION = Reception(
    frame=b"\x40\x01\x02\x03",
    frequency_hz=867_300_000,
    data_rate=EU868.data_rate(0),
    channel=4,
    rssi=-117.6,
    snr=-9.25,
    tmst=3_512_348_611,
    unix=1_772_000_000.25,
)
TXPK: dict[str, Any] = {
    "tmst": 1_000_000,
    "freq": 868.1,
    "rfch": 0,
    "powe": 14,
    "modu": "LORA",
    "datr": "SF7BW125",
    "codr": "4/5",
    "ipol": True,
    "size": 4,
    "data": "YGRvdw==",
}


def pull_resp(txpk: Any, token: bytes = b"\x12\x34") -> bytes:
    return b"\x02" + token + b"\x03" + json.dumps({"txpk": txpk}).encode()


def frame_of(datagram: bytes) -> bytes:
    answer = gwmp.pull_resp(datagram)
    assert answer is not None
    return answer[1].frame


def test_a_received_frame_carries_every_field() -> None:
    datagram = gwmp.push_data(EUI, 0x0102, [RECEPTION], None, gps=True)
    assert datagram[:12].hex() == "02010200aa555a0000000101"
    assert json.loads(datagram[12:]) == {
        "rxpk": [
            {
                "jver": 1,
                "tmst": 3_512_348_611,
                "time": "2026-02-25T06:13:20.250000Z",
                "tmms": 1_456_035_218_250,
                "ftime": 250_000_000,
                "chan": 4,
                "rfch": 0,
                "freq": 867.3,
                "mid": 4,
                "stat": 1,
                "modu": "LORA",
                "datr": "SF12BW125",
                "codr": "4/5",
                "rssi": -118,
                "rssis": -127,
                "lsnr": -9.2,
                "foff": 0,
                "size": 4,
                "data": "QAECAw==",
            }
        ]
    }


def test_without_gps_there_is_no_time() -> None:
    fields = gwmp.rxpk(RECEPTION, gps=False)
    assert not {"time", "tmms", "ftime"} & set(fields)


def test_statistics_use_the_expanded_time_format() -> None:
    statistics = gwmp.Statistics(1_389_257_928.0, 5, 4, 3, 66.666, 2, 1, 23.17, (46.24, 3.2523, 145))
    datagram = gwmp.push_data(EUI, 1, [], statistics, gps=True)
    assert json.loads(datagram[12:]) == {
        "stat": {
            "time": "2014-01-09 08:58:48 GMT",
            "lati": 46.24,
            "long": 3.2523,
            "alti": 145,
            "rxnb": 5,
            "rxok": 4,
            "rxfw": 3,
            "ackr": 66.7,
            "dwnb": 2,
            "txnb": 1,
            "temp": 23.2,
        }
    }


def test_polls_and_acknowledgements_have_their_fixed_form() -> None:
    assert gwmp.pull_data(EUI, 0xABCD).hex() == "02abcd02aa555a0000000101"
    assert gwmp.tx_ack(EUI, 1)[12:] == b'{"txpk_ack":{"error":"NONE"}}'
    assert gwmp.tx_ack(EUI, 1, error="TOO_LATE")[:4].hex() == "02000105"
    assert gwmp.tx_ack(EUI, 1, warn_power=27)[12:] == b'{"txpk_ack":{"warn":"TX_POWER","value":27}}'
    assert gwmp.acknowledged(b"\x02\x12\x34\x01", gwmp.PUSH_ACK) == 0x1234
    for other in (b"", b"\x02\x12\x34", b"\x01\x12\x34\x01", b"\x02\x12\x34\x04"):
        assert gwmp.acknowledged(other, gwmp.PUSH_ACK) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"txpk":{"imme":true,"freq":864.123456,"rfch":0,"powe":14,"modu":"LORA","datr":"SF11BW125","codr":"4\\/6",'
        b'"ipol":false,"size":32,"data":"H3P3N2i9qc4yt7rK7ldqoeCVJGBybzPY5h1Dd7P7p8s"}}',  # unpadded, escaped slash
        b'{"txpk":{"imme":true,"freq":861.3,"rfch":0,"powe":12,"modu":"FSK","datr":50000,"fdev":3000,"size":32,'
        b'"data":"H3P3N2i9qc4yt7rK7ldqoeCVJGBybzPY5h1Dd7P7p8s="}}',
        b' \n{ "extra": [1], "txpk": {"tmst":0,"freq":868.1,"rfch":0,"modu":"LORA","datr":"SF7BW125","size":1,'
        b'"data":"AA","unknown":{"a":1}} }\x00',
    ],
)
def test_requests_of_other_servers_are_read(text: bytes) -> None:
    answer = gwmp.pull_resp(b"\x02\x00\x00\x03" + text)
    assert answer is not None
    token, request = answer
    assert token == 0
    assert len(request.frame) == request.size


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5},
        {"size": 0},
        {"size": 256},
        {"data": "not base64!"},
        {"data": "A"},
        {"data": "A" * 401},
        {"modu": "AM"},
        {"codr": "5/4"},
        {"freq": -1},
        {"freq": 1e300},
        {"tmst": 1 << 32},
        {"tmst": -1},
        {"rfch": 7},
        {"powe": 1e9},
        {"prea": 0},
        {"imme": "yes"},
    ],
)
def test_a_request_out_of_bounds_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        frame_of(pull_resp({**TXPK, **change}))


@pytest.mark.parametrize("missing", ["freq", "rfch", "modu", "datr", "size", "data"])
def test_a_request_without_a_mandatory_field_is_an_error(missing: str) -> None:
    with pytest.raises(FormatError):
        gwmp.pull_resp(pull_resp({name: value for name, value in TXPK.items() if name != missing}))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"txpk":[]}', b"\xff", b'{"txpk":', b"[" * 3000, b"{}" * 3000])
def test_a_body_that_is_no_request_is_an_error(body: bytes) -> None:
    with pytest.raises(FormatError):
        gwmp.pull_resp(b"\x02\x00\x01\x03" + body)


@given(st.binary(max_size=200))
def test_no_datagram_raises_anything_else(datagram: bytes) -> None:
    for candidate in (datagram, b"\x02\x00\x01\x03" + datagram):
        try:
            answer = gwmp.pull_resp(candidate)
        except FormatError:
            continue
        if answer is not None:
            assert answer[1].size > 0


@given(st.binary(min_size=1, max_size=255))
def test_a_frame_comes_out_of_a_request_as_it_went_in(frame: bytes) -> None:
    for data in (b64encode(frame).decode(), b64encode(frame).decode().rstrip("=")):
        assert frame_of(pull_resp({**TXPK, "data": data, "size": len(frame)})) == frame
    assert msgspec.json.decode(gwmp.push_data(EUI, 1, [], None, gps=True)[12:]) == {}
