"""Telegrams in the slot: one goes out in it, the rest waits for outside, in bounds."""

import logging
from types import SimpleNamespace

import pytest

from adapter_agent.meter.installation import Passed
from adapter_agent.outgoing import Outgoing
from adapter_agent.radio.base import Planned, Sent
from adapter_agent.radio.phy import PhyError
from adapter_agent.sealing import Sealed
from adapter_agent.telegrams import MAX_LEFT, Telegrams
from adapter_agent.walk import Walk
from edge.clock import ManualClock


class Bench:
    """What is collected next, and what left; `broken`: nothing does."""

    def __init__(self, confirm_every: int = 3) -> None:
        self.collected, self.passed, self.proving = [], [], []
        self.sent, self.woken, self.broken, self.allowed, self.acknowledged = [], 0, False, True, True
        self.heard = False  # something else comes in the windows
        radio = SimpleNamespace(
            uncertain=False,
            max_payload=50,
            allows=lambda planned: self.allowed,
            room=lambda planned: 19,
            send=self._send,
            ready=self._ready,
            airtime=lambda size: 0.1,
        )
        source = SimpleNamespace(collect=self._collect, passing=self._passing, proof_arrived=lambda inputs: None)
        self.outgoing = Outgoing(radio, lambda sent: None)
        self.telegrams = Telegrams(
            radio,
            source,
            self.outgoing,
            Walk(),
            ManualClock(),
            confirm_every=confirm_every,
            daybook=None,
            wake=self._wake,
        )

    async def slot(self, *telegrams: Sealed, quiet: bool = True) -> str | None:
        self.collected = list(telegrams)
        return await self.telegrams.send_in_slot(Planned(1.0, 0, 5, 0.1, quiet=quiet))

    async def outside(self) -> list[int]:
        """The counters of everything left over, as it leaves."""
        before = len(self.sent)
        while self.telegrams.left:
            await self.telegrams.send_left()
        return [counter for counter, _, planned in self.sent[before:] if planned is None]

    async def _collect(self, limit, *, proving=True):
        self.proving.append(proving)
        taken, self.collected = self.collected, []
        return taken

    def _passing(self):
        taken, self.passed = self.passed, []
        return taken

    async def _ready(self, size):
        return None

    async def _send(self, port, payload, confirmed, planned=None):
        if self.broken:
            raise PhyError("the aerial is off")
        self.sent.append((payload[0], confirmed, planned))
        return Sent(port, payload, 1, confirmed, confirmed and self.acknowledged, 0.0, heard=self.heard)

    def _wake(self):
        self.woken += 1


def telegram(counter: int, **fields) -> Sealed:
    return Sealed(counter, bytes([counter]), **fields)


async def test_the_first_goes_out_in_the_slot_and_the_others_wait_for_outside_in_their_order():
    bench = Bench()
    bench.passed = [Passed(19, b"\x09", "no_key")]
    assert await bench.slot(telegram(1), telegram(2), telegram(3)) is None
    assert [(counter, planned is not None) for counter, _, planned in bench.sent] == [(1, True)]
    assert bench.woken == 3
    assert await bench.outside() == [2, 3, 9]


@pytest.mark.parametrize(("quiet", "again", "outside"), [(True, True, []), (False, False, [1])])
async def test_one_that_did_not_leave_is_made_anew_where_its_age_would_be_wrong_and_else_sent_later(
    quiet, again, outside
):
    bench = Bench()
    bench.broken = True
    assert await bench.slot(telegram(1), quiet=quiet) == "phy"
    bench.broken = False
    assert bench.telegrams.again is again
    assert await bench.outside() == outside
    await bench.telegrams.send()
    assert not bench.telegrams.again


async def test_a_quiet_slot_asks_for_no_proof_and_no_acknowledgement_until_another_uplink_has_to():
    bench = Bench(confirm_every=1)
    for number in range(3):
        assert not bench.telegrams.confirmation_due
        await bench.slot(telegram(number))
    assert bench.proving == [False] * 3
    assert not any(confirmed for _, confirmed, _ in bench.sent)
    assert bench.telegrams.confirmation_due


async def test_whatever_the_network_sends_spares_an_uplink_that_only_asks_whether_it_is_there():
    bench = Bench(confirm_every=1)
    for number in range(3):
        await bench.slot(telegram(number))
    bench.heard = True
    await bench.outgoing.send(202, b"\x00", confirmed=False)
    assert not bench.telegrams.confirmation_due
    bench.heard = False
    for number in range(2):
        await bench.slot(telegram(number))
        assert not bench.telegrams.confirmation_due
    await bench.slot(telegram(2))
    assert bench.telegrams.confirmation_due


async def test_a_proof_that_comes_all_the_same_goes_out_in_open_time():
    bench = Bench()
    await bench.slot(telegram(1, proves=(0,)))
    assert bench.sent == []
    assert bench.telegrams.again


async def test_without_air_for_the_slot_no_telegram_is_made():
    bench = Bench()
    bench.allowed = False
    assert await bench.slot(telegram(1)) == "duty_cycle"
    assert [one.counter for one in bench.collected] == [1]


async def test_what_waits_is_bounded_and_the_oldest_is_given_up_with_an_alarm(caplog):
    bench = Bench()
    await bench.slot(*(telegram(number) for number in range(MAX_LEFT + 3)))
    assert [record.alarm for record in caplog.records if record.levelno == logging.ERROR] == ["no_air"] * 2
    assert await bench.outside() == list(range(3, MAX_LEFT + 3))
