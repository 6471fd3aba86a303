"""Keys, MICs and encryption: the published vectors, and that nothing changed, foreign or old passes."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import CounterExhausted, FormatError, MicMismatch
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.aes import mac
from meterwire.lorawan.crypto import RootKey, Session, SessionKeys, full_fcnt, is_retransmission
from meterwire.lorawan.frame import DataFrame, FrameError, JoinAccept, JoinRequest
from tests.meterwire.lorawan.test_frame import data_frames, join_accepts
from tests.meterwire.vectors import load

VECTORS = load("lorawan")
KEYS = SessionKeys(bytes(range(16)), bytes(range(16, 32)))
ROOT = RootKey(bytes(range(16)))
JOIN_EUI, DEV_EUI = JoinEUI.parse("70b3d57ed0000001"), DevEUI.parse("70b3d57ed0061234")


def session_of(vector: dict[str, Any]) -> Session:
    app_s_key = vector["app_s_key"] or "00" * 16
    keys = SessionKeys(bytes.fromhex(vector["nwk_s_key"]), bytes.fromhex(app_s_key))
    address = bytes.fromhex(vector["frame"])[1:5]
    return Session(keys, int.from_bytes(address, "little"))


@pytest.mark.parametrize("vector", VECTORS["data_frames"], ids=lambda v: f"{v['number']} {v['what']}")
def test_published_data_frames_open(vector: dict[str, Any]) -> None:
    phy = bytes.fromhex(vector["frame"])
    frame = session_of(vector).open(phy, vector["fcnt"], vector["uplink"])
    assert (frame.fport, frame.fopts.hex()) == (vector["fport"], vector["fopts"])
    assert frame.fcnt == vector["fcnt"] & 0xFFFF
    for flag in ("confirmed", "adr", "adr_ack_req", "ack"):
        assert getattr(frame, flag) == (flag in vector["flags"]), flag
    if vector["payload"] is not None:
        assert frame.payload.hex() == vector["payload"]


@pytest.mark.parametrize("vector", VECTORS["data_frames"], ids=lambda v: f"{v['number']} {v['what']}")
def test_published_data_frames_are_built_octet_for_octet(vector: dict[str, Any]) -> None:
    session = session_of(vector)
    frame = session.open(bytes.fromhex(vector["frame"]), vector["fcnt"], vector["uplink"])
    built = session.build(
        uplink=frame.uplink,
        fcnt32=vector["fcnt"],
        fport=frame.fport,
        payload=frame.payload,
        confirmed=frame.confirmed,
        adr=frame.adr,
        adr_ack_req=frame.adr_ack_req,
        ack=frame.ack,
        class_b_or_pending=frame.class_b_or_pending,
        fopts=frame.fopts,
    )
    assert built.hex() == vector["frame"]


def test_a_counter_beyond_16_bits_is_part_of_the_mic() -> None:
    vector = next(v for v in VECTORS["data_frames"] if v["number"] == 10)
    session, phy = session_of(vector), bytes.fromhex(vector["frame"])
    assert session.verify(phy, 76543, uplink=False)
    assert not session.verify(phy, 76543 & 0xFFFF, uplink=False)
    with pytest.raises(MicMismatch, match="a counter that was reset"):
        session.open(phy, 76543 & 0xFFFF, uplink=False)


@pytest.mark.parametrize("vector", VECTORS["join_requests"], ids=lambda v: f"{v['number']} {v['what']}")
def test_published_join_requests_verify_and_are_signed_alike(vector: dict[str, Any]) -> None:
    root, phy = RootKey(bytes.fromhex(vector["app_key"])), bytes.fromhex(vector["frame"])
    request = root.verify_join_request(phy)
    assert request == JoinRequest(
        JoinEUI.parse(vector["join_eui"]), DevEUI.parse(vector["dev_eui"]), vector["dev_nonce"], phy[-4:]
    )
    assert root.sign_join_request(request.join_eui, request.dev_eui, request.dev_nonce) == phy


@pytest.mark.parametrize("vector", VECTORS["join_accepts"], ids=lambda v: f"{v['number']} {v['what']}")
def test_published_join_accepts_open_and_are_built_alike(vector: dict[str, Any]) -> None:
    root, phy = RootKey(bytes.fromhex(vector["app_key"])), bytes.fromhex(vector["frame"])
    fields = ("join_nonce", "net_id", "dev_addr", "rx1_dr_offset", "rx2_dr", "rx_delay")
    accept = JoinAccept(**{name: vector[name] for name in fields}, cflist=tuple(vector["cflist"]))
    assert root.decrypt_join_accept(phy) == accept
    assert root.encrypt_join_accept(accept) == phy


@pytest.mark.parametrize("vector", VECTORS["session_keys"], ids=lambda v: str(v["number"]))
def test_published_session_keys_are_derived(vector: dict[str, Any]) -> None:
    keys = RootKey(bytes.fromhex(vector["app_key"])).derive(vector["join_nonce"], vector["net_id"], vector["dev_nonce"])
    assert (keys.nwk_s_key.hex(), keys.app_s_key.hex()) == (vector["nwk_s_key"], vector["app_s_key"])


def test_published_payload_cipher_both_ways() -> None:
    vector = VECTORS["payload_cipher"]
    session = Session(SessionKeys.from_bytes(bytes.fromhex(vector["key"]) * 2), vector["dev_addr"])
    clear = bytes.fromhex(vector["clear"])
    for uplink, sealed in ((True, vector["up"]), (False, vector["down"])):
        for fport in (0, 1):
            assert session.crypt(clear, vector["fcnt"], uplink, fport).hex() == sealed


def test_published_data_mic_both_ways() -> None:
    vector = VECTORS["data_mic"]
    session = Session(SessionKeys.from_bytes(bytes.fromhex(vector["key"]) * 2), vector["dev_addr"])
    body = bytes.fromhex(vector["body"])
    assert session.verify(body + bytes.fromhex(vector["up"]), vector["fcnt"], uplink=True)
    assert session.verify(body + bytes.fromhex(vector["down"]), vector["fcnt"], uplink=False)
    assert not session.verify(body + bytes.fromhex(vector["down"]), vector["fcnt"], uplink=True)


def test_aes_cmac_as_rfc_4493_has_it() -> None:
    vector = VECTORS["cmac"]
    for case in vector["messages"]:
        assert mac(bytes.fromhex(vector["key"]), bytes.fromhex(case["message"])).hex() == case["mac"]


@given(data_frames(), st.integers(0, 0xFFFF))
def test_every_frame_that_is_built_opens_again(frame: DataFrame, high: int) -> None:
    session, fcnt32 = Session(KEYS, frame.dev_addr), high << 16 | frame.fcnt
    phy = session.build(
        uplink=frame.uplink,
        fcnt32=fcnt32,
        fport=frame.fport,
        payload=frame.payload,
        confirmed=frame.confirmed,
        adr=frame.adr,
        adr_ack_req=frame.adr_ack_req,
        ack=frame.ack,
        class_b_or_pending=frame.class_b_or_pending,
        fopts=frame.fopts,
    )
    opened = session.open(phy, fcnt32, frame.uplink)
    assert opened == DataFrame(
        frame.uplink,
        frame.dev_addr,
        frame.fcnt,
        frame.confirmed,
        frame.adr,
        frame.adr_ack_req,
        frame.ack,
        frame.class_b_or_pending,
        frame.fopts,
        frame.fport,
        frame.payload,
        phy[-4:],
    )
    if frame.uplink:
        quick = session.open_uplink(phy, fcnt32)
        assert (quick.fport, quick.fopts, quick.payload) == (frame.fport, frame.fopts, frame.payload)
        assert (quick.confirmed, quick.adr, quick.adr_ack_req, quick.ack, quick.class_b) == (
            frame.confirmed,
            frame.adr,
            frame.adr_ack_req,
            frame.ack,
            frame.class_b_or_pending,
        )


@given(st.data())
def test_any_single_flipped_bit_is_refused(data: st.DataObject) -> None:
    session = Session(KEYS, 0x01020304)
    payload = data.draw(st.binary(max_size=60))
    phy = session.build(uplink=True, fcnt32=70000, fport=16, payload=payload)
    bit = data.draw(st.integers(0, len(phy) * 8 - 1))
    changed = bytearray(phy)
    changed[bit // 8] ^= 1 << bit % 8
    for open_ in (session.open_uplink, lambda phy, fcnt32: session.open(phy, fcnt32, uplink=True)):
        with pytest.raises((MicMismatch, FrameError)):
            open_(bytes(changed), 70000)


@pytest.mark.parametrize(
    "place", [pytest.param(-1, id="MIC"), pytest.param(9, id="payload"), pytest.param(1, id="DevAddr")]
)
def test_a_changed_octet_breaks_the_mic(place: int) -> None:
    session = Session(KEYS, 0x01020304)
    changed = bytearray(session.build(uplink=True, fcnt32=5, fport=1, payload=b"reading"))
    changed[place] ^= 1
    with pytest.raises(MicMismatch):
        session.open_uplink(bytes(changed), 5)
    assert not session.verify(bytes(changed), 5, uplink=True)


@given(st.binary(max_size=300))
def test_no_octets_make_a_session_fail_otherwise_than_by_a_named_error(octets: bytes) -> None:
    session = Session(KEYS, 1)
    for open_ in (
        session.open_uplink,
        lambda phy, n: session.open(phy, n, True),
        lambda phy, n: session.open(phy, n, False),
    ):
        with pytest.raises((FrameError, MicMismatch)):
            open_(octets, 1)


@given(st.binary(max_size=300))
def test_no_octets_make_a_root_key_fail_otherwise_than_by_a_named_error(octets: bytes) -> None:
    for read in (ROOT.verify_join_request, ROOT.decrypt_join_accept):
        with pytest.raises((FrameError, MicMismatch)):
            read(octets)


def test_a_frame_of_the_other_direction_does_not_open() -> None:
    session = Session(KEYS, 1)
    down = session.build(uplink=False, fcnt32=1, fport=1, payload=b"x")
    with pytest.raises(FrameError, match="no uplink"):
        session.open_uplink(down, 1)
    with pytest.raises(FrameError, match="no uplink"):
        session.open(down, 1, uplink=True)
    assert session.open(down, 1, uplink=False).payload == b"x"


def test_another_device_on_the_same_address_does_not_open() -> None:
    phy = Session(KEYS, 1).build(uplink=True, fcnt32=1, fport=1, payload=b"x")
    with pytest.raises(MicMismatch):
        Session(SessionKeys(bytes(16), bytes(16)), 1).open_uplink(phy, 1)


@given(join_accepts)
def test_a_join_accept_is_read_by_its_device_and_by_no_other(accept: JoinAccept) -> None:
    phy = ROOT.encrypt_join_accept(accept)
    assert ROOT.decrypt_join_accept(phy) == accept
    with pytest.raises(MicMismatch):
        RootKey(bytes(16)).decrypt_join_accept(phy)


def test_a_join_request_under_another_key_is_refused() -> None:
    phy = ROOT.sign_join_request(JOIN_EUI, DEV_EUI, 7)
    assert ROOT.verify_join_request(phy).dev_nonce == 7
    with pytest.raises(MicMismatch, match="check the key"):
        RootKey(bytes(16)).verify_join_request(phy)
    with pytest.raises(MicMismatch):
        ROOT.verify_join_request(phy[:17] + b"\x08" + phy[18:])
    with pytest.raises(FrameError, match="no join-request"):
        ROOT.verify_join_request(Session(KEYS, 1).build(uplink=True, fcnt32=1))


@pytest.mark.parametrize(
    ("next_expected", "received", "full"),
    [
        (0, 0, 0),
        (0, 1, 1),
        (1, 1, 1),
        (2, 1, 1),
        (65536, 0, 65536),
        (65536, 65535, 65535),
        (65537, 0, 65536),
        (65537, 2, 65538),
        (0, 65535, 65535),
        (2**32 - 1, 65535, 2**32 - 1),
        (2**32, 65535, 2**32 - 1),
    ],
)
def test_the_full_counter_at_its_boundaries(next_expected: int, received: int, full: int) -> None:
    assert full_fcnt(received, next_expected) == full
    assert is_retransmission(full, next_expected) == (full == next_expected - 1)


@given(st.integers(0, 2**32 - 1), st.integers(0, 65534))
def test_every_counter_up_to_65534_frames_ahead_is_restored(next_expected: int, ahead: int) -> None:
    full = next_expected + ahead
    if full < 2**32:
        assert full_fcnt(full & 0xFFFF, next_expected) == full
    else:
        with pytest.raises(CounterExhausted):
            full_fcnt(full & 0xFFFF, next_expected)


@pytest.mark.parametrize("next_expected", [2**32 - 1, 2**32])
def test_a_session_ends_with_its_counter(next_expected: int) -> None:
    with pytest.raises(CounterExhausted, match="join again"):
        full_fcnt(0, next_expected)
    with pytest.raises(FrameError, match="outside 32 bits"):
        Session(KEYS, 1).build(uplink=True, fcnt32=2**32)


def test_keys_show_nowhere() -> None:
    shown = " ".join(repr(x) + str(x) for x in (KEYS, ROOT, Session(KEYS, 0x01020304)))
    for key in (KEYS.nwk_s_key, KEYS.app_s_key):
        assert key.hex() not in shown.lower()
        assert repr(key)[2:-1] not in shown
    with pytest.raises(FormatError) as caught:
        RootKey(b"secret")
    assert "secret" not in str(caught.value)


def test_session_keys_survive_the_sealed_store() -> None:
    assert SessionKeys.from_bytes(KEYS.to_bytes()) == KEYS
    assert SessionKeys(bytes(16), bytes(16)) != KEYS
    with pytest.raises(FormatError, match="32 octets, not 31"):
        SessionKeys.from_bytes(bytes(31))
    with pytest.raises(TypeError, match="unhashable"):
        hash(KEYS)


def test_a_session_cannot_be_pickled_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Session(KEYS, 1))


@pytest.mark.parametrize("address", [-1, 2**32])
def test_an_address_has_32_bits(address: int) -> None:
    with pytest.raises(FrameError, match="32 bits"):
        Session(KEYS, address)


def test_a_payload_longer_than_any_frame_is_refused_before_it_is_encrypted() -> None:
    with pytest.raises(FrameError, match="fits no frame"):
        Session(KEYS, 1).crypt(bytes(256), 1, uplink=True, fport=1)
    with pytest.raises(FrameError, match="at most 255"):
        Session(KEYS, 1).verify(bytes(256), 1, uplink=True)
