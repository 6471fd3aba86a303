"""Joining: nonces by the rules of each LoRaWAN version; the old session is kept until the new one is heard."""

import pytest

from concentrator_agent.config import RegionSettings
from tests.concentrator_agent.lab import GATEWAY_A, GATEWAY_B, Lab, Mote


async def test_a_known_device_gets_an_accept_five_seconds_after_its_request(lab: Lab) -> None:
    mote = Mote()
    await lab.devices(mote.entry())
    (transmission,) = await lab.hear(mote.join_request(1), gateways=(GATEWAY_A, GATEWAY_B))
    accept = mote.take_accept(transmission.phy)
    assert transmission.gateway == GATEWAY_A
    assert (transmission.freq, transmission.dr, transmission.power_dbm) == (868_100_000, 5, 14)
    assert transmission.tmst == 1_001_000 + 5_000_000
    assert accept.cflist == (867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000)
    assert (accept.rx_delay, accept.rx1_dr_offset, accept.rx2_dr, accept.join_nonce) == (1, 0, 0, 1)
    (event,) = lab.reported("joined")
    assert event.dev_eui == mote.dev_eui
    assert event.detail["dev_addr"] == f"{accept.dev_addr:08x}"
    assert (event.detail["epoch"], event.detail["dev_nonce"]) == (0, 1)


async def test_a_replayed_join_request_is_refused_and_reported_once(lab: Lab) -> None:
    mote = Mote()
    await lab.devices(mote.entry())
    request = mote.join_request(7)
    assert len(await lab.hear(request)) == 1
    for _ in range(3):
        assert await lab.hear(request) == []
    (event,) = lab.reported("join_refused")
    assert (event.reason, event.detail["dev_nonce"]) == ("nonce_used", 7)


@pytest.mark.parametrize(
    "lorawan, nonces, answered",
    [
        ("1.0.4", [5, 6, 9], [True, True, True]),
        ("1.0.4", [5, 4, 5], [True, False, False]),
        ("1.0.4", [0, 0], [True, False]),
        ("1.0.3", [50000, 4, 123], [True, True, True]),
        ("1.0.2", [50000, 4, 50000], [True, True, False]),
    ],
)
async def test_the_nonce_rule_is_that_of_the_devices_version(
    lab: Lab, lorawan: str, nonces: list[int], answered: list[bool]
) -> None:
    mote = Mote(lorawan=lorawan)
    await lab.devices(mote.entry())
    results = [bool(await lab.hear(mote.join_request(nonce))) for nonce in nonces]
    assert results == answered


async def test_nonces_are_remembered_over_a_restart(make_lab, lab: Lab) -> None:  # type: ignore[no-untyped-def]
    for mote in (Mote(1, "1.0.4"), Mote(2, "1.0.3")):
        await lab.devices(mote.entry(), base=lab.table.revision or None)
        assert await lab.hear(mote.join_request(9))
    lab = make_lab()
    assert await lab.hear(Mote(1).join_request(9)) == []
    assert await lab.hear(Mote(2).join_request(9)) == []
    (transmission,) = await lab.hear(Mote(1).join_request(10))
    assert Mote(1).take_accept(transmission.phy).join_nonce == 2


async def test_a_wrong_key_a_foreign_join_eui_and_an_unknown_device_are_told_apart(lab: Lab) -> None:
    mote, stranger = Mote(1), Mote(99)
    await lab.devices(mote.entry())
    forged = mote.join_request(1)[:-1] + b"\0"
    assert await lab.hear(forged) == []
    assert await lab.hear(mote.join_request(1, join_eui="1" * 16)) == []
    assert await lab.hear(stranger.join_request(1)) == []
    assert [event.reason for event in lab.reported("join_refused")] == ["mic", "unknown_key"]
    (heard,) = lab.reported("heard")
    assert (heard.dev_eui, heard.detail["count"]) == (stranger.dev_eui, 1)
    assert await lab.hear(mote.join_request(1))


async def test_the_old_session_serves_until_the_new_one_is_heard(lab: Lab, mote: Mote) -> None:
    await lab.hear(mote.frame(b"1"))
    old = mote.session
    old_fcnt = mote.fcnt
    await lab.join(mote)
    new = mote.session
    mote.session, mote.fcnt = old, old_fcnt
    await lab.hear(mote.frame(b"2"))
    assert [telegram.payload for telegram in lab.telegrams()] == [b"1", b"2"]
    mote.session, mote.fcnt = new, 0
    await lab.hear(mote.frame(b"3"))
    mote.session, mote.fcnt = old, old_fcnt + 1
    await lab.hear(mote.frame(b"4"))
    assert [(telegram.payload, telegram.epoch, telegram.fcnt) for telegram in lab.telegrams()] == [
        (b"1", 0, 0),
        (b"2", 0, 1),
        (b"3", 1, 0),
    ]


async def test_a_second_join_before_any_uplink_replaces_the_first_new_session(lab: Lab, mote: Mote) -> None:
    await lab.hear(mote.frame(b"1"))
    await lab.join(mote)
    await lab.join(mote)
    await lab.hear(mote.frame(b"2"))
    assert [(telegram.payload, telegram.epoch) for telegram in lab.telegrams()] == [(b"1", 0), (b"2", 2)]


async def test_a_new_session_survives_a_restart_before_its_first_uplink(make_lab, lab: Lab, mote: Mote) -> None:  # type: ignore[no-untyped-def]
    await lab.hear(mote.frame(b"1"))
    await lab.join(mote)
    lab = make_lab()
    await lab.hear(mote.frame(b"2"))
    assert [telegram.payload for telegram in lab.telegrams()] == [b"1", b"2"]


async def test_every_device_has_an_address_of_its_own(lab: Lab) -> None:
    motes = [Mote(number) for number in range(1, 21)]
    await lab.devices(*(mote.entry() for mote in motes))
    addresses = {(await lab.join(mote)).dev_addr for mote in motes}
    assert len(addresses) == 20
    assert all(address >> 25 == 0 for address in addresses)


async def test_the_accept_carries_what_the_region_is_configured_to(make_lab) -> None:  # type: ignore[no-untyped-def]
    lab = make_lab(RegionSettings(rx_delay_s=5, rx1_dr_offset=2, rx2_dr=3, net_id=0x13, extra_channels=False))
    mote = Mote()
    await lab.devices(mote.entry())
    accept = await lab.join(mote)
    assert (accept.rx_delay, accept.rx1_dr_offset, accept.rx2_dr, accept.cflist) == (5, 2, 3, ())
    assert accept.dev_addr >> 25 == 0x13
    (transmission,) = await lab.hear(mote.frame(confirmed=True))
    assert (transmission.dr, transmission.tmst) == (3, 1_002_000 + 5_000_000)


async def test_the_accept_goes_into_rx2_when_the_first_band_has_no_air_left(lab: Lab) -> None:
    mote = Mote()
    await lab.devices(mote.entry())
    ledger = lab.downlink._ledger(GATEWAY_A)
    ledger.record(868_100_000, 36.0, lab.clock.time())
    (transmission,) = await lab.hear(mote.join_request(1))
    assert (transmission.freq, transmission.dr, transmission.power_dbm) == (869_525_000, 0, 27)
    assert transmission.tmst == 1_001_000 + 6_000_000
    ledger.record(869_525_000, 360.0, lab.clock.time())
    assert await lab.hear(mote.join_request(2)) == []
    assert lab.downlink.counts["duty_cycle"] == 1


async def test_long_accepts_leave_half_of_the_air_to_those_that_have_joined(lab: Lab) -> None:
    """Where hundreds join at once, who has joined would not be answered any more, and would fall out of its slot."""
    joined, late, fast = Mote(1), Mote(2), Mote(3)
    await lab.devices(joined.entry(), late.entry(), fast.entry())
    await lab.join(joined)
    ledger = lab.downlink._ledger(GATEWAY_A)
    ledger.record(868_100_000, 0.6 * 36.0, lab.clock.time())
    ledger.record(869_525_000, 0.6 * 360.0, lab.clock.time())
    assert await lab.hear(late.join_request(1), dr=0) == []
    assert lab.downlink.counts["duty_cycle"] == 1
    (accept,) = await lab.hear(fast.join_request(1))
    assert accept.dr == 5, "a short one harms nobody"
    assert len(await lab.hear(joined.frame(confirmed=True), dr=0)) == 1
    await lab.clock.advance(3700.0)
    assert len(await lab.hear(late.join_request(2), dr=0)) == 1, "the next hour has air again"
