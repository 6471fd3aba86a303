"""Independent implementations read every frame type we send, and we read theirs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.crypto import RootKey, Session, SessionKeys
from meterwire.lorawan.frame import JoinAccept
from meterwire.lorawan.mac_commands import MacCommand, encode_commands
from tests.judges.lora_packet import judge, needs_lora_packet
from tests.meterwire.lorawan.test_mac_commands import DOWN, UP

pamoja = pytest.importorskip("pamoja._native", reason="pamoja-gateway is not installed (extra dev)")

ROOT_KEY, NWK_S_KEY, APP_S_KEY = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
DEV_ADDR = 0x26011BDA
SESSION = Session(SessionKeys(NWK_S_KEY, APP_S_KEY), DEV_ADDR)
JOIN_EUI, DEV_EUI = JoinEUI.parse("70b3d57ed0000001"), DevEUI.parse("70b3d57ed0061234")

DATA_FRAMES: dict[str, dict[str, Any]] = {
    "values telegram": {"uplink": True, "fcnt32": 1, "fport": 16, "payload": bytes(range(16))},
    "confirmed, late in its counter": {
        "uplink": True, "confirmed": True, "fcnt32": 0x0001_2AFF, "fport": 17, "payload": bytes(27),
    },
    "every uplink flag": {
        "uplink": True, "fcnt32": 3, "fport": 1, "payload": b"x", "adr": True, "adr_ack_req": True, "ack": True,
    },
    "MAC answers in FOpts": {
        "uplink": True, "fcnt32": 4, "fport": 16, "payload": bytes(16), "fopts": bytes.fromhex("03070507080d"),
    },
    "MAC answers on port 0": {"uplink": True, "fcnt32": 5, "fport": 0, "payload": bytes.fromhex("0600e2")},
    "FOpts without a port": {"uplink": True, "fcnt32": 6, "fopts": b"\x02"},
    "the longest uplink": {"uplink": True, "fcnt32": 7, "fport": 18, "payload": bytes(242)},
    "bare acknowledgement": {"uplink": False, "fcnt32": 8, "ack": True},
    "confirmed downlink with more to come": {
        "uplink": False, "confirmed": True, "fcnt32": 0xFFFF_FFFF, "fport": 32, "payload": bytes(29),
        "class_b_or_pending": True,
    },
    "MAC requests in FOpts": {
        "uplink": False, "fcnt32": 9, "fport": 33, "payload": bytes(40), "fopts": bytes.fromhex("0352ff00010604"),
    },
    "MAC requests on port 0": {"uplink": False, "fcnt32": 10, "fport": 0, "payload": bytes.fromhex("0d0100000002")},
}  # fmt: skip


@needs_lora_packet
def test_lora_packet_reads_every_data_frame_we_send() -> None:
    frames = {name: SESSION.build(**fields) for name, fields in DATA_FRAMES.items()}
    keys = {"nwk_s_key": NWK_S_KEY.hex(), "app_s_key": APP_S_KEY.hex()}
    answers = judge(
        [
            {"frame": frames[name].hex(), "fcnt_high": fields["fcnt32"] >> 16, **keys}
            for name, fields in DATA_FRAMES.items()
        ]
    )
    for (name, fields), answer in zip(DATA_FRAMES.items(), answers, strict=True):
        read = dict(answer)
        assert read.pop("type") == (
            f"{'Confirmed' if fields.get('confirmed') else 'Unconfirmed'} Data {'Up' if fields['uplink'] else 'Down'}"
        ), name
        pending = fields.get("class_b_or_pending", False)
        assert read == {
            "direction": "up" if fields["uplink"] else "down",
            "dev_addr": f"{DEV_ADDR:08x}",
            "fcnt": fields["fcnt32"] & 0xFFFF,
            "adr": fields.get("adr", False),
            "adr_ack_req": fields.get("adr_ack_req", False),
            "ack": fields.get("ack", False),
            "pending": pending,
            "fopts": fields.get("fopts", b"").hex(),
            "fport": fields.get("fport"),
            "payload": fields["payload"].hex() if "payload" in fields else None,
            "mic_ok": True,
        }, name


@needs_lora_packet
def test_lora_packet_refuses_a_frame_under_a_wrong_counter() -> None:
    frame = SESSION.build(**DATA_FRAMES["confirmed, late in its counter"])
    keys = {"nwk_s_key": NWK_S_KEY.hex(), "app_s_key": APP_S_KEY.hex()}
    (right, wrong) = judge([{"frame": frame.hex(), "fcnt_high": high, **keys} for high in (1, 0)])
    assert (right["mic_ok"], wrong["mic_ok"]) == (True, False)


@needs_lora_packet
def test_lora_packet_follows_our_join() -> None:
    root, key = RootKey(ROOT_KEY), ROOT_KEY.hex()
    channels = (867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000)
    accept = JoinAccept(0x010203, 0x000013, DEV_ADDR, rx1_dr_offset=2, rx2_dr=3, rx_delay=5, cflist=channels)
    bare = JoinAccept(0x010204, 0x000013, DEV_ADDR)
    request, with_list, without_list, keys = judge(
        [
            {"frame": root.sign_join_request(JOIN_EUI, DEV_EUI, 0x1234).hex(), "app_key": key},
            {"frame": root.encrypt_join_accept(accept).hex(), "app_key": key},
            {"frame": root.encrypt_join_accept(bare).hex(), "app_key": key},
            {"derive": {"app_key": key, "net_id": "000013", "join_nonce": "010203", "dev_nonce": "1234"}},
        ]
    )
    assert request == {
        "type": "Join Request", "join_eui": str(JOIN_EUI), "dev_eui": str(DEV_EUI), "dev_nonce": 0x1234, "mic_ok": True,
    }  # fmt: skip
    assert with_list == {
        "type": "Join Accept", "join_nonce": "010203", "net_id": "000013", "dev_addr": f"{DEV_ADDR:08x}",
        "rx1_dr_offset": 2, "rx2_dr": 3, "rx_delay": 5, "cflist": "184f84e85684b85e84886684586e8400", "mic_ok": True,
    }  # fmt: skip
    assert without_list["mic_ok"]
    assert without_list["cflist"] == ""
    ours = root.derive(0x010203, 0x000013, 0x1234)
    assert keys == {"nwk_s_key": ours.nwk_s_key.hex(), "app_s_key": ours.app_s_key.hex()}


def test_pamoja_reads_every_data_frame_we_send() -> None:
    theirs = pamoja.LorawanSession(DEV_ADDR, NWK_S_KEY, APP_S_KEY)
    for name, fields in DATA_FRAMES.items():
        heard = theirs.decode(SESSION.build(**fields), fields["fcnt32"])
        assert heard.direction == ("Uplink" if fields["uplink"] else "Downlink"), name
        assert (heard.dev_addr, heard.fcnt) == (DEV_ADDR, fields["fcnt32"] & 0xFFFF), name
        assert (heard.fport, heard.payload) == (fields.get("fport"), fields.get("payload", b"")), name
        assert heard.fopts == fields.get("fopts", b""), name
        for flag in ("confirmed", "adr", "adr_ack_req", "ack"):
            assert getattr(heard, flag) == fields.get(flag, False), (name, flag)


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(1, 255), st.booleans(), st.booleans())
def test_we_read_what_pamoja_sends(payload: bytes, fcnt: int, fport: int, confirmed: bool, uplink: bool) -> None:
    theirs = pamoja.LorawanSession(DEV_ADDR, NWK_S_KEY, APP_S_KEY)
    encode = theirs.encode_uplink if uplink else theirs.encode_downlink
    phy = encode(fcnt, fport, payload, confirmed=confirmed, ack=True, fopts=b"\x02")
    frame = SESSION.open(phy, fcnt, uplink)
    assert (frame.fport, frame.payload, frame.confirmed, frame.ack, frame.fopts) == (
        fport, payload, confirmed, True, b"\x02",
    )  # fmt: skip


def test_pamoja_joins_with_our_request_and_accept() -> None:
    device = pamoja.LorawanDevice(DEV_EUI.bytes, JOIN_EUI.bytes, ROOT_KEY)
    root = RootKey(ROOT_KEY)
    request = root.verify_join_request(device.join_request(7))
    assert (request.join_eui, request.dev_eui, request.dev_nonce) == (JOIN_EUI, DEV_EUI, 7)
    assert device.join_request(7) == root.sign_join_request(JOIN_EUI, DEV_EUI, 7)
    accept = JoinAccept(0x010203, 0x13, DEV_ADDR, 2, 3, 5, (867_100_000, 867_300_000))
    heard = device.accept_join(root.encrypt_join_accept(accept), 7)
    assert (heard.dev_addr, heard.net_id, heard.rx1_dr_offset, heard.rx2_data_rate) == (DEV_ADDR, 0x13, 2, 3)
    assert heard.receive_delay_us == 5_000_000
    ours = Session(root.derive(0x010203, 0x13, 7), DEV_ADDR)
    assert ours.open_uplink(heard.session().encode_uplink(0, 16, b"first"), 0).payload == b"first"


@given(st.one_of(st.tuples(st.just("Uplink"), UP), st.tuples(st.just("Downlink"), DOWN)))
def test_pamoja_reads_every_mac_command_alike(case: tuple[str, MacCommand]) -> None:
    direction, command = case
    (theirs,) = pamoja.lorawan_mac_parse(direction, encode_commands([command]))
    assert theirs.kind.replace("_", "") == type(command).__name__.lower()
    for ours, name in PAMOJA_NAMES.items():
        if hasattr(command, ours):
            assert getattr(theirs, name) == getattr(command, ours), ours


PAMOJA_NAMES = {
    "data_rate": "data_rate", "tx_power": "tx_power", "ch_mask": "channel_mask", "ch_mask_cntl": "mask_control",
    "nb_trans": "transmissions", "power_ack": "power_ack", "data_rate_ack": "data_rate_ack",
    "channel_mask_ack": "channel_mask_ack", "max_duty_cycle": "max_duty_cycle", "rx1_dr_offset": "rx1_offset",
    "rx2_dr": "rx2_data_rate", "frequency_hz": "frequency_hz", "channel_ack": "channel_ack",
    "rx2_dr_ack": "rx2_data_rate_ack", "rx1_dr_offset_ack": "rx1_offset_ack", "battery": "battery",
    "gateways": "gateways", "index": "index", "min_dr": "min_data_rate", "max_dr": "max_data_rate",
    "frequency_ok": "frequency_ok", "data_rates_ok": "data_rate_range_ok", "delay": "delay", "max_eirp": "max_eirp",
    "downlink_dwell": "downlink_dwell", "uplink_dwell": "uplink_dwell",
    "uplink_frequency_exists": "uplink_frequency_exists", "seconds": "seconds", "fraction": "fraction",
}  # fmt: skip
