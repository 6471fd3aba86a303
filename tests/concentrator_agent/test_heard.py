"""Strangers that ask to join are reported promptly while somebody may wait beside them, and never flood the outbox."""

from itertools import pairwise

from concentrator_agent.events import STRANGER_BURST
from concentrator_agent.server.heard import MAX_STRANGERS
from tests.concentrator_agent.lab import GATEWAY_A, GATEWAY_B, JOIN_EUI, Lab, Mote

DAY = 86400


async def ask(lab: Lab, mote: Mote, seconds: float, every_s: float) -> list[float]:
    """The mote asks to join for so long; at which seconds it was reported."""
    start, seen, at = lab.clock.monotonic(), len(lab.reported("heard")), []
    while lab.clock.monotonic() - start < seconds:
        asked = lab.clock.monotonic() - start
        mote.dev_nonce += 1
        await lab.hear(mote.join_request())
        if len(lab.reported("heard")) > seen:
            seen = len(lab.reported("heard"))
            at.append(round(asked))
        lab.clock._step(start + asked + every_s)
    return at


async def test_a_stranger_is_reported_at_once_and_then_in_doubling_steps_up_to_hourly(lab: Lab) -> None:
    reported = await ask(lab, Mote(500), 5 * 3600, 10)
    steps = [later - earlier for earlier, later in pairwise(reported)]
    assert reported[0] == 0
    assert [step // 10 * 10 for step in steps][:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert set(steps[8:]) <= {3600, 3610}


async def test_the_report_carries_the_radio_figures_of_the_best_gateway(lab: Lab) -> None:
    mote = Mote(500)
    await lab.hear(mote.join_request(7), gateways=(GATEWAY_A, GATEWAY_B), dr=3, snr=-2.5)
    await lab.hear(mote.join_request(8), gateways=(GATEWAY_B,))
    (event,) = lab.reported("heard")
    assert event.dev_eui == mote.dev_eui
    assert event.detail == {
        "join_eui": JOIN_EUI,
        "gw": GATEWAY_A,
        "rssi": -80.0,
        "snr": -2.5,
        "dr": 3,
        "count": 1,
    }


async def test_the_count_tells_how_often_it_asked_between_reports(lab: Lab) -> None:
    await ask(lab, Mote(500), 100, 10)
    assert [event.detail["count"] for event in lab.reported("heard")] == [1, 4, 10]


async def test_after_an_hour_of_silence_it_is_prompt_again(lab: Lab) -> None:
    mote = Mote(500)
    await ask(lab, mote, 1800, 10)
    lab.clock._step(lab.clock.monotonic() + 3700)
    assert (await ask(lab, mote, 40, 10))[:2] == [0, 30]


async def test_many_strangers_share_a_budget_and_data_noise_does_not_use_it_up(lab: Lab) -> None:
    noise = Mote(499)
    for number in range(100):
        noise.personalise(0x02000000 + number)
        await lab.hear(noise.frame())
    before = len(lab.reported("heard"))
    await lab.hear(*(Mote(1000 + number).join_request(1) for number in range(200)))
    asked = lab.reported("heard")[before:]
    assert len(asked) == STRANGER_BURST
    assert all(event.dev_eui for event in asked)


async def test_a_flood_of_made_up_devices_costs_a_bounded_number_of_events_and_places(lab: Lab) -> None:
    start = lab.clock.monotonic()
    for number in range(0, 20_000, 500):
        await lab.hear(*(Mote(number + one).join_request(1) for one in range(500)))
    seconds = lab.clock.monotonic() - start
    assert len(lab.reported("heard")) <= STRANGER_BURST + seconds / 10 + 1
    assert len(lab.heard.strangers) <= MAX_STRANGERS


async def test_who_enters_the_table_is_a_stranger_no_more_and_prompt_again_when_it_leaves(lab: Lab) -> None:
    mote, other = Mote(500), Mote(501)
    await ask(lab, mote, 600, 10)
    await ask(lab, other, 10, 10)
    await lab.devices(mote.entry())
    lab.heard.forget(lambda dev_eui: dev_eui == mote.dev_eui)
    assert list(lab.heard.strangers) == [other.dev_eui]
    await lab.devices(remove=[mote.dev_eui], base=1)
    lab.clock._step(lab.clock.monotonic() + 1)
    assert await ask(lab, mote, 10, 10) == [0]


async def test_a_clock_that_is_set_back_delays_no_report(lab: Lab) -> None:
    mote = Mote(500)
    await lab.hear(mote.join_request(1))
    lab.clock.jump(-DAY)
    lab.clock._step(lab.clock.monotonic() + 31)
    await lab.hear(mote.join_request(2))
    assert len(lab.reported("heard")) == 2
