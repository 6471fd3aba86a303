"""Uplinks: authenticated, stored once, acknowledged only after that; what is wrong is refused under its name."""

import pytest

from concentrator_agent.radio.base import Reception
from concentrator_agent.server.heard import MAX_STRANGERS
from edge.database import StorageFull
from meterwire.config_records import CounterReport, encode
from meterwire.lorawan.gpstime import gps_seconds
from meterwire.lorawan.mac_commands import DeviceTimeAns, DeviceTimeReq, LinkCheckAns, LinkCheckReq
from tests.concentrator_agent.lab import GATEWAY_A, GATEWAY_B, Lab, Mote


def payloads(lab: Lab) -> list[bytes]:
    return [telegram.payload for telegram in lab.telegrams()]


async def test_an_uplink_becomes_one_telegram_with_all_its_receptions(lab: Lab, mote: Mote) -> None:
    at = lab.clock.time()
    assert await lab.hear(mote.frame(b"reading", 16), gateways=(GATEWAY_B, GATEWAY_A), snr=7.5) == []
    (telegram,) = lab.telegrams()
    assert (telegram.dev_eui, telegram.fport, telegram.fcnt, telegram.payload) == (mote.dev_eui, 16, 0, b"reading")
    assert [(rx.gw, rx.snr) for rx in telegram.rx] == [(GATEWAY_B, 7.5), (GATEWAY_A, 6.5)]
    assert (telegram.dr, telegram.freq, telegram.time_quality, telegram.epoch) == (5, 868_100_000, "ntp", 0)
    assert telegram.received_at.startswith("2026-01-01T00:00:0")
    assert at == pytest.approx(lab.clock.time(), abs=2)


async def test_a_confirmed_uplink_is_acknowledged_in_rx1_by_the_gateway_that_heard_it_best(
    lab: Lab, mote: Mote
) -> None:
    (transmission,) = await lab.hear(mote.frame(confirmed=True), gateways=(GATEWAY_B, GATEWAY_A))
    answer = mote.read(transmission.phy, 0)
    assert answer.ack
    assert transmission.gateway == GATEWAY_B
    assert len(transmission.phy) == 12


async def test_a_repeated_frame_is_acknowledged_again_and_not_stored_again(lab: Lab, mote: Mote) -> None:
    frame = mote.frame(confirmed=True)
    first = await lab.hear(frame)
    again = await lab.hear(frame)
    assert mote.read(first[0].phy, 0).ack
    assert mote.read(again[0].phy, 1).ack
    assert payloads(lab) == [b"hello"]
    assert lab.uplink.counts["retransmitted"] == 1


async def test_a_repeated_frame_is_recognised_after_a_restart(make_lab, lab: Lab, mote: Mote) -> None:  # type: ignore[no-untyped-def]
    frame = mote.frame(confirmed=True)
    await lab.hear(frame)
    lab = make_lab()
    (transmission,) = await lab.hear(frame)
    assert mote.read(transmission.phy, 16).ack  # downlink counters go on behind the reserved block
    assert payloads(lab) == [b"hello"]


async def test_two_frames_of_one_device_in_one_batch_are_both_kept(lab: Lab, mote: Mote) -> None:
    await lab.hear(mote.frame(b"1"), mote.frame(b"2"), mote.frame(b"3"))
    assert payloads(lab) == [b"1", b"2", b"3"]


async def test_the_counter_goes_over_16_bits_and_a_frame_with_the_wrong_upper_half_is_refused(
    lab: Lab, mote: Mote
) -> None:
    for fcnt in (40_000, 70_000, 131_072):
        await lab.hear(mote.frame(b"%d" % fcnt, fcnt=fcnt))
    assert [telegram.fcnt for telegram in lab.telegrams()] == [40_000, 70_000, 131_072]
    await lab.hear(mote.frame(b"too far", fcnt=131_073 + 65_536))
    assert len(lab.telegrams()) == 3
    (event,) = lab.reported("frame_refused")
    assert event.reason == "mic"


async def test_an_older_device_may_not_leap(lab: Lab) -> None:
    mote = Mote(lorawan="1.0.2")
    await lab.devices(mote.entry())
    await lab.join(mote)
    await lab.hear(mote.frame(b"1", fcnt=16_384), mote.frame(b"2", fcnt=40_000))
    assert payloads(lab) == [b"1"]
    (event,) = lab.reported("frame_refused")
    assert (event.reason, event.dev_eui) == ("counter", mote.dev_eui)


async def test_a_replayed_older_frame_is_refused_as_a_replay(lab: Lab, mote: Mote) -> None:
    old = mote.frame(b"old", confirmed=True)
    await lab.hear(old)
    await lab.hear(mote.frame(b"new"))
    assert await lab.hear(old) == []
    (event,) = lab.reported("frame_refused")
    assert (event.reason, event.dev_eui, event.detail["fcnt"]) == ("replay", mote.dev_eui, 0)
    assert payloads(lab) == [b"old", b"new"]


async def test_every_flipped_bit_is_refused(lab: Lab, mote: Mote) -> None:
    frame = mote.frame(b"x", 1)
    for bit in range(len(frame) * 8):
        damaged = bytes(octet ^ (1 << bit % 8) if at == bit // 8 else octet for at, octet in enumerate(frame))
        await lab.hear(damaged)
    assert lab.telegrams() == []
    await lab.hear(frame)
    assert payloads(lab) == [b"x"]


@pytest.mark.parametrize(
    "name, change",
    [
        ("11 bytes", lambda frame: frame[:11]),
        ("nothing", lambda frame: b"\x40"),
        ("256 bytes", lambda frame: frame + b"x" * 256),
        ("FOptsLen past the end", lambda frame: frame[:5] + bytes([frame[5] | 0x0F]) + frame[6:]),
        ("major version 1", lambda frame: bytes([frame[0] | 1]) + frame[1:]),
        ("a downlink", lambda frame: bytes([0x60]) + frame[1:]),
        ("proprietary", lambda frame: bytes([0xE0]) + frame[1:]),
        ("a join-request of another length", lambda frame: bytes([0]) + frame[1:]),
    ],
)
async def test_what_is_no_uplink_is_dropped_and_counted(lab: Lab, mote: Mote, name: str, change) -> None:  # type: ignore[no-untyped-def]
    assert await lab.hear(change(mote.frame(b"", 1))) == []
    assert lab.telegrams() == []
    assert "error" not in lab.uplink.counts
    assert sum(lab.uplink.counts.values()) == 2  # the join, and this one
    await lab.hear(mote.frame(b"fine"))
    assert payloads(lab) == [b"fine"]


async def test_an_unknown_mac_command_in_the_middle_cuts_the_stream_there(lab: Lab, mote: Mote) -> None:
    fopts = DeviceTimeReq().encode() + b"\x7f\x01" + LinkCheckReq().encode()
    (transmission,) = await lab.hear(mote.frame(b"data", 16, fopts=fopts))
    commands = mote.commands(transmission.phy, 0)
    assert [type(command) for command in commands] == [DeviceTimeAns]
    assert payloads(lab) == [b"data"]
    assert lab.uplink.counts["mac_unknown"] == 1


async def test_mac_commands_on_port_0_are_answered_and_are_no_telegram(lab: Lab, mote: Mote) -> None:
    (transmission,) = await lab.hear(mote.frame(LinkCheckReq().encode(), 0), gateways=(GATEWAY_A, GATEWAY_B), snr=5.0)
    assert mote.commands(transmission.phy, 0) == [LinkCheckAns(margin=12, gateways=2)]
    assert lab.telegrams() == []


async def test_device_time_is_the_end_of_the_uplink_in_gps_time(lab: Lab, mote: Mote) -> None:
    heard_at = lab.clock.time()
    (transmission,) = await lab.hear(mote.frame(b"", 1, [DeviceTimeReq()]))
    (answer,) = mote.commands(transmission.phy, 0)
    assert isinstance(answer, DeviceTimeAns)
    assert answer.gps_s == pytest.approx(gps_seconds(heard_at), abs=1 / 256)
    assert answer.gps_s == pytest.approx(heard_at - 315_964_800 + 18, abs=1 / 256)


async def test_strangers_are_listed_within_a_bound_and_reported_sparingly(lab: Lab) -> None:
    stranger = Mote(500)
    stranger.personalise(0x01020304)
    for _ in range(5):
        await lab.hear(stranger.frame())
    (event,) = lab.reported("heard")
    assert event.detail["dev_addr"] == "01020304"
    assert lab.heard.strangers["01020304"].count == 5
    for number in range(MAX_STRANGERS + 10):
        stranger.personalise(0x02000000 + number)
        lab.heard.note(f"{0x02000000 + number:08x}", reception(lab), dev_addr="x")
    assert len(lab.heard.strangers) == MAX_STRANGERS
    assert lab.events.suppressed["heard"] > 900


def reception(lab: Lab) -> Reception:
    return Reception(b"", GATEWAY_A, 0, 868_100_000, 5, -80.0, 5.0, lab.clock.time(), "ntp")


async def test_devices_that_share_an_address_are_told_apart_by_their_mic(lab: Lab) -> None:
    one, other = Mote(1), Mote(2)
    await lab.devices(one.personalise(0xFC000001), other.personalise(0xFC000001, b"N" * 16, b"A" * 16))
    await lab.hear(one.frame(b"one"), other.frame(b"other"))
    assert [(telegram.dev_eui, telegram.payload) for telegram in lab.telegrams()] == [
        (one.dev_eui, b"one"),
        (other.dev_eui, b"other"),
    ]


async def test_a_full_disk_means_no_acknowledgement_and_the_repetition_is_taken_later(
    lab: Lab, mote: Mote, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = mote.frame(b"precious", confirmed=True)
    real = lab.outbox.insert

    def full(*arguments: object) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(lab.outbox, "insert", full)
    assert await lab.hear(frame) == []
    assert lab.uplink.counts["not_stored"] == 1
    monkeypatch.setattr(lab.outbox, "insert", real)
    (transmission,) = await lab.hear(frame)
    assert mote.read(transmission.phy, 0).ack
    assert payloads(lab) == [b"precious"]


async def test_a_really_full_database_does_the_same(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(max_bytes=110_000)
    mote = Mote()
    await lab.devices(mote.entry())
    await lab.join(mote)
    stored = 0
    for _ in range(300):
        frame = mote.frame(b"x" * 200, 16, confirmed=True)
        if not await lab.hear(frame):
            break
        stored += 1
    assert lab.uplink.counts["not_stored"] >= 1
    assert len(lab.telegrams()) == stored
    await lab.outbox.remove([one.seq for one in lab.outbox.after(0, 1000)])
    assert len(await lab.hear(frame)) == 1
    assert lab.telegrams()[-1].fcnt == stored


async def test_more_devices_than_contexts_are_served_from_the_store(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(cached=3)
    motes = [Mote(number) for number in range(1, 9)]
    await lab.devices(*(mote.entry() for mote in motes))
    for mote in motes:
        await lab.join(mote)
    for _ in range(3):
        await lab.hear(*(mote.frame(mote.dev_eui.encode()) for mote in motes))
        assert len(lab.sessions) == 3
    assert sorted(payloads(lab)) == sorted(mote.dev_eui.encode() for mote in motes for _ in range(3))


def sealed(counter: int) -> bytes:
    return b"\x10" + (counter & 0xFFFF).to_bytes(2, "big") + b"\x61\x01" + b"tag!"


async def test_the_inner_counter_is_unknown_until_reported_and_then_restored_in_full(lab: Lab, mote: Mote) -> None:
    await lab.hear(mote.frame(sealed(70_000), 16))
    (report,) = encode(0, [CounterReport(70_001)])
    await lab.hear(mote.frame(report, 33))
    for counter in (70_001, 70_002, 131_071, 131_072):
        await lab.hear(mote.frame(sealed(counter), 16))
    await lab.hear(mote.frame(sealed(70_500 + 60_000), 17))
    counters = [(telegram.fport, telegram.counter) for telegram in lab.telegrams()]
    assert counters == [
        (16, None),
        (33, None),
        (16, 70_001),
        (16, 70_002),
        (16, 131_071),
        (16, 131_072),
        (17, 130_500),  # a gap asked for again lies a little behind
    ]


async def test_the_inner_counter_goes_on_over_a_join_and_a_restart(make_lab, lab: Lab, mote: Mote) -> None:  # type: ignore[no-untyped-def]
    (report,) = encode(0, [CounterReport(200_000)])
    await lab.hear(mote.frame(report, 33), mote.frame(sealed(200_000), 16))
    await lab.join(mote)
    await lab.hear(mote.frame(sealed(200_001), 16))
    lab = make_lab()
    await lab.hear(mote.frame(sealed(200_002), 16))
    assert [telegram.counter for telegram in lab.telegrams()] == [None, 200_000, 200_001, 200_002]


async def test_a_foreign_device_has_no_inner_counter_and_a_reserved_port_no_telegram(lab: Lab) -> None:
    mote = Mote(7)
    await lab.devices(mote.entry(foreign=True))
    await lab.join(mote)
    await lab.hear(mote.frame(sealed(5), 16), mote.frame(b"x", 230), mote.frame(b"y", 224), mote.frame(b"", None))
    assert [(telegram.fport, telegram.counter) for telegram in lab.telegrams()] == [(16, None), (224, None)]


async def test_an_adr_ack_request_is_answered_with_an_empty_frame(lab: Lab, mote: Mote) -> None:
    (transmission,) = await lab.hear(mote.frame(adr=True, adr_ack_req=True))
    answer = mote.read(transmission.phy, 0)
    assert (answer.ack, answer.fport, answer.payload) == (False, None, b"")
