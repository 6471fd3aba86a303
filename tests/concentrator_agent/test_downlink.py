"""Downlinks: the right window, never more air than allowed, in order, each with an end that has a name."""

import pytest

from concentrator_agent.config import RegionSettings
from concentrator_agent.server.queue import MAX_PER_DEVICE
from edge.clock import ManualClock
from meterwire import messages
from meterwire.lorawan.mac_commands import (
    DeviceTimeReq,
    DevStatusAns,
    DevStatusReq,
    NewChannelAns,
    NewChannelReq,
    RXParamSetupAns,
    RXParamSetupReq,
    RXTimingSetupAns,
    RXTimingSetupReq,
)
from tests.concentrator_agent.lab import GATEWAY_A, GATEWAY_B, Lab, Mote


async def queue(lab: Lab, mote: Mote, payload: bytes = b"\x01", fport: int = 33, **changes: object) -> str:
    command = lab.downlink_command(mote, payload, fport, **changes)
    result = await lab.queue.take(command, known=True)
    assert result.code is None, result
    return str(command.id)


def outcomes(lab: Lab) -> list[tuple[str, str | None, str | None]]:
    return [(event.detail["command"], event.reason, event.detail.get("cause")) for event in lab.reported("downlink")]


async def test_a_waiting_downlink_goes_out_after_the_next_uplink(lab: Lab, mote: Mote) -> None:
    command = await queue(lab, mote, b"configuration", 33)
    assert lab.radio.sent[1:] == []
    (transmission,) = await lab.hear(mote.frame())
    answer = mote.read(transmission.phy, 0)
    assert (answer.fport, answer.payload, answer.confirmed, answer.class_b_or_pending) == (
        33,
        b"configuration",
        False,
        False,
    )
    assert (transmission.freq, transmission.dr, transmission.power_dbm) == (868_100_000, 5, 14)
    assert outcomes(lab) == [(command, "sent", None)]
    assert await lab.hear(mote.frame()) == []


async def test_order_is_configuration_then_priority_then_age_and_pending_is_told(lab: Lab, mote: Mote) -> None:
    for payload, fport, priority in [(b"a", 40, 5), (b"b", 40, 9), (b"c", 33, 1), (b"d", 40, 9), (b"e", 34, 2)]:
        await queue(lab, mote, payload, fport, priority=priority)
        await lab.clock.advance(0.01)
    order = []
    for fcnt in range(5):
        (transmission,) = await lab.hear(mote.frame(confirmed=True))
        answer = mote.read(transmission.phy, fcnt)
        assert answer.ack
        assert answer.class_b_or_pending is (fcnt < 4)
        order.append(answer.payload)
    assert order == [b"e", b"c", b"b", b"d", b"a"]


async def test_a_confirmed_downlink_is_done_when_the_device_acknowledges(lab: Lab, mote: Mote) -> None:
    command = await queue(lab, mote, confirmed=True)
    (transmission,) = await lab.hear(mote.frame())
    assert mote.read(transmission.phy, 0).confirmed
    assert await lab.hear(mote.frame(ack=True)) == []
    assert outcomes(lab) == [(command, "sent", None), (command, "acknowledged", None)]
    assert len(lab.queue) == 0


async def test_a_confirmed_downlink_is_repeated_and_then_given_up(lab: Lab, mote: Mote) -> None:
    command = await queue(lab, mote, confirmed=True)
    sent = [len(await lab.hear(mote.frame())) for _ in range(5)]
    assert sent == [1, 1, 1, 0, 0]
    assert outcomes(lab) == [(command, "sent", None), (command, "refused", "unacknowledged")]


async def test_an_expired_downlink_is_never_sent_and_says_so(lab: Lab, mote: Mote) -> None:
    command = await queue(lab, mote, expires_at=messages.timestamp(lab.clock.time() + 10))
    await lab.clock.advance(11)
    assert await lab.hear(mote.frame()) == []
    await lab.queue.expire()
    assert outcomes(lab) == [(command, "expired", None)]
    assert len(lab.queue) == 0


async def test_the_queue_survives_a_restart_and_a_repeated_command_is_known(make_lab, lab: Lab, mote: Mote) -> None:  # type: ignore[no-untyped-def]
    first = lab.downlink_command(mote, b"1")
    await lab.queue.take(first, known=True)
    await lab.clock.advance(0.01)
    second = lab.downlink_command(mote, b"2")
    await lab.queue.take(second, known=True)
    await lab.hear(mote.frame())
    lab = make_lab()
    for command in (first, second):
        assert (await lab.queue.take(command, known=True)).code is None
    assert len(lab.queue) == 1
    (transmission,) = await lab.hear(mote.frame())
    assert mote.read(transmission.phy, 16).payload == b"2"


async def test_what_cannot_be_queued_is_refused_with_a_code(lab: Lab, mote: Mote) -> None:
    old = lab.downlink_command(mote, expires_at=messages.timestamp(lab.clock.time() - 1))
    assert (await lab.queue.take(old, known=True)).code == "expired"
    assert (await lab.queue.take(lab.downlink_command(mote), known=False)).code == "unknown_device"
    for _ in range(MAX_PER_DEVICE):
        await queue(lab, mote)
    assert (await lab.queue.take(lab.downlink_command(mote), known=True)).code == "queue_full"


async def test_rx2_is_used_when_the_first_band_has_no_air_and_nothing_when_neither_has(lab: Lab, mote: Mote) -> None:
    ledger = lab.downlink._ledger(GATEWAY_A)
    ledger.record(868_300_000, 36.0, lab.clock.time())
    (transmission,) = await lab.hear(mote.frame(confirmed=True))
    assert (transmission.freq, transmission.dr, transmission.power_dbm) == (869_525_000, 0, 27)
    (other_band,) = await lab.hear(mote.frame(confirmed=True), freq=867_100_000)
    assert other_band.freq == 867_100_000
    ledger.record(869_525_000, 360.0, lab.clock.time())
    assert await lab.hear(mote.frame(confirmed=True)) == []
    assert lab.downlink.counts["duty_cycle"] == 1


async def test_in_any_hour_no_band_gets_more_air_than_its_share(lab: Lab, mote: Mote) -> None:
    for _ in range(1500):
        await lab.hear(mote.frame(confirmed=True))
    used = [lab.downlink.used_s(GATEWAY_A, frequency) for frequency in (868_100_000, 869_525_000)]
    assert 35.9 < used[0] <= 36.0
    assert 358 < used[1] <= 360.0


async def test_the_ledger_survives_a_restart(make_lab, lab: Lab, mote: Mote) -> None:  # type: ignore[no-untyped-def]
    await lab.hear(mote.frame(confirmed=True))
    used = lab.downlink.used_s(GATEWAY_A, 868_100_000)
    await lab.downlink.save()
    assert make_lab().downlink.used_s(GATEWAY_A, 868_100_000) == used > 0


async def test_where_nothing_was_sent_nothing_is_stored(lab: Lab, mote: Mote) -> None:
    await lab.hear(mote.frame(confirmed=True))
    await lab.downlink.save()
    await lab.queue.expire()
    committed = lab.database.commits
    await lab.downlink.save()
    await lab.queue.expire()
    assert lab.database.commits == committed
    await lab.hear(mote.frame(confirmed=True))
    stored = lab.database.commits
    await lab.downlink.save()
    assert lab.database.commits == stored + 1


async def test_a_busy_gateway_is_not_kept_deaf_by_one_long_answer_after_the_other(lab: Lab, mote: Mote) -> None:
    for refusals, answers in ((["collision_packet"], 1), (["collision_packet"], 0), ([], 1)):
        lab.radio.refusals = refusals
        assert len(await lab.hear(mote.frame(confirmed=True), dr=5)) == answers
    await lab.clock.advance(60)
    lab.radio.refusals = ["collision_packet"]
    (transmission,) = await lab.hear(mote.frame(confirmed=True), dr=5)
    assert transmission.dr == 0


@pytest.mark.parametrize("refusal", ["too_late", "collision_packet", "tx_freq"])
async def test_a_refusing_gateway_gets_the_same_frame_for_rx2(lab: Lab, mote: Mote, refusal: str) -> None:
    lab.radio.refusals = [refusal]
    (transmission,) = await lab.hear(mote.frame(confirmed=True))
    assert (transmission.freq, transmission.dr) == (869_525_000, 0)
    assert mote.read(transmission.phy, 0).ack
    (next_one,) = await lab.hear(mote.frame(confirmed=True))
    assert mote.read(next_one.phy, 1).ack


async def test_after_two_refusals_another_gateway_is_asked(lab: Lab, mote: Mote) -> None:
    lab.radio.refusals = ["too_late", "too_late"]
    (transmission,) = await lab.hear(mote.frame(confirmed=True), gateways=(GATEWAY_A, GATEWAY_B))
    assert (transmission.gateway, transmission.freq) == (GATEWAY_B, 868_100_000)


async def test_a_payload_too_long_for_rx2_takes_a_counter_of_its_own_for_what_fits(lab: Lab, mote: Mote) -> None:
    await queue(lab, mote, b"x" * 200)
    lab.radio.refusals = ["too_late"]
    (transmission,) = await lab.hear(mote.frame(confirmed=True))
    answer = mote.read(transmission.phy, 1)
    assert (answer.ack, answer.payload, answer.class_b_or_pending) == (True, b"", True)
    (transmission,) = await lab.hear(mote.frame())
    assert mote.read(transmission.phy, 2).payload == b"x" * 200


async def test_downlink_failures_give_the_expiry_its_reason(lab: Lab, mote: Mote) -> None:
    command = await queue(lab, mote)
    for frequency in (868_100_000, 869_525_000):
        lab.downlink._ledger(GATEWAY_A).record(frequency, 360.0, lab.clock.time())
    await lab.hear(mote.frame())
    assert outcomes(lab) == []
    await lab.clock.advance(3601)
    await lab.queue.expire()
    assert outcomes(lab) == [(command, "duty_cycle", "duty_cycle")]


async def test_an_uplink_that_was_handled_too_late_gets_no_answer(lab: Lab, mote: Mote) -> None:
    frame = mote.frame(confirmed=True)
    from concentrator_agent.radio.base import Reception

    lab.dedupe.add(
        Reception(frame, GATEWAY_A, 5, 868_100_000, 5, -80.0, 5.0, lab.clock.time(), "ntp"), lab.clock.monotonic()
    )
    await lab.clock.advance(1.5)
    before = len(lab.radio.sent)
    await lab.uplink.process(lab.dedupe.take(lab.clock.monotonic(), 10))
    await lab.downlink.drain()
    assert [one.freq for one in lab.radio.sent[before:]] == [869_525_000]  # RX2 can still be reached
    lab.dedupe.add(
        Reception(mote.frame(confirmed=True), GATEWAY_A, 5, 868_100_000, 5, -80.0, 5.0, lab.clock.time(), "ntp"),
        lab.clock.monotonic(),
    )
    await lab.clock.advance(2.0)
    await lab.uplink.process(lab.dedupe.take(lab.clock.monotonic(), 10))
    await lab.downlink.drain()
    assert lab.downlink.counts["too_late"] == 1


async def test_the_answer_fits_the_slow_data_rate_mac_first_then_payload(lab: Lab, mote: Mote) -> None:
    await queue(lab, mote, b"x" * 48)
    (transmission,) = await lab.hear(mote.frame(b"", 1, [DeviceTimeReq()]), dr=0)
    answer = mote.read(transmission.phy, 0)
    assert (len(answer.fopts), answer.payload, answer.class_b_or_pending) == (6, b"", True)
    (transmission,) = await lab.hear(mote.frame(b"", 1), dr=0)
    assert mote.read(transmission.phy, 1).payload == b"x" * 48


async def test_the_networks_requests_wait_when_a_payload_needs_the_room(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(status_every_s=3600.0)
    mote = Mote()
    await lab.devices(mote.entry())
    await lab.join(mote)
    await queue(lab, mote, b"x" * 51)
    (transmission,) = await lab.hear(mote.frame(), dr=0)
    answer = mote.read(transmission.phy, 0)
    assert (answer.payload, answer.fopts, answer.class_b_or_pending) == (b"x" * 51, b"", True)
    (transmission,) = await lab.hear(mote.frame(), dr=0)
    assert mote.commands(transmission.phy, 1) == [DevStatusReq()]


async def test_the_device_status_is_asked_for_once_a_period(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(status_every_s=3600.0)
    mote = Mote()
    await lab.devices(mote.entry())
    await lab.join(mote)
    (transmission,) = await lab.hear(mote.frame())
    assert mote.commands(transmission.phy, 0) == [DevStatusReq()]
    assert await lab.hear(mote.frame(b"", 1, [DevStatusAns(200, -5)])) == []
    state = lab.sessions.device(mote.dev_eui).active.mac
    assert (state.battery, state.margin) == (200, -5)
    await lab.clock.advance(3600)
    assert len(await lab.hear(mote.frame())) == 1


PLAN = RegionSettings(rx_delay_s=3, rx1_dr_offset=1, rx2_dr=3, extra_channels=True)


async def test_a_personalised_device_is_brought_to_the_desired_parameters(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(PLAN)
    mote = Mote()
    await lab.devices(mote.personalise(0xFC000001))
    (transmission,) = await lab.hear(mote.frame())
    assert (transmission.dr, transmission.tmst) == (5, 1_001_000 + 1_000_000)  # by the factory's parameters
    commands = mote.commands(transmission.phy, 0)
    assert commands[:2] == [RXParamSetupReq(1, 3, 869_525_000), RXTimingSetupReq(3)]
    assert commands[2:] == [NewChannelReq(3, 867_100_000)]
    answers = [RXParamSetupAns(True, True, True), RXTimingSetupAns(), NewChannelAns(True, True)]
    (transmission,) = await lab.hear(mote.frame(b"", 1, answers))
    assert (transmission.dr, transmission.tmst) == (4, 1_002_000 + 3_000_000)  # by the new ones
    assert mote.commands(transmission.phy, 1) == [NewChannelReq(4, 867_300_000), NewChannelReq(5, 867_500_000)]


async def test_a_refused_request_is_repeated_three_times_and_then_left(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(RegionSettings(rx2_dr=3, extra_channels=False))
    mote = Mote()
    await lab.devices(mote.personalise(0xFC000001))
    asked = 0
    answers: list[RXParamSetupAns] = []
    for fcnt in range(6):
        transmissions = await lab.hear(mote.frame(b"", 1, answers))
        answers = []
        if transmissions and mote.commands(transmissions[0].phy, fcnt):
            asked += 1
            answers = [RXParamSetupAns(True, False, True)]
    assert asked == 3
    assert lab.sessions.device(mote.dev_eui).active.mac.current.rx2_dr == 0


async def test_what_a_device_was_told_is_remembered_over_a_restart(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(RegionSettings(rx_delay_s=3, rx2_dr=0, extra_channels=False))
    mote = Mote()
    await lab.devices(mote.personalise(0xFC000001))
    await lab.hear(mote.frame())
    (transmission,) = await lab.hear(mote.frame(b"", 1, [RXTimingSetupAns()]))
    assert mote.read(transmission.phy, 1).fopts == b""  # a sticky answer is ended by any downlink
    lab = make_lab(RegionSettings(rx_delay_s=3, rx2_dr=0, extra_channels=False))
    (transmission,) = await lab.hear(mote.frame(confirmed=True))
    assert transmission.tmst == 1_001_000 + 3_000_000


async def test_a_device_that_leaves_takes_its_downlinks_with_it(lab: Lab, mote: Mote) -> None:
    command = await queue(lab, mote)
    await lab.queue.drop_device(mote.dev_eui)
    assert outcomes(lab) == [(command, "refused", "device_removed")]


async def test_a_counter_is_never_used_twice_whatever_happens(
    make_lab, lab: Lab, mote: Mote, clock: ManualClock
) -> None:  # type: ignore[no-untyped-def]
    used: list[int] = []
    for round_ in range(4):
        for _ in range(20):
            for transmission in await lab.hear(mote.frame(confirmed=True)):
                used.append(int.from_bytes(transmission.phy[6:8], "little"))
        if round_ < 3:
            lab = make_lab()
    assert len(used) == len(set(used)) == 80
    assert used == sorted(used)
