"""Somebody waits beside the adapter: joined at once, configured in seconds, the first reading proven and arrived."""

import asyncio
from itertools import pairwise

import pytest

from meterwire import config_records
from meterwire.config_records import (
    Commissioning,
    CommissioningReport,
    CounterReport,
    IdentityKind,
    MeterIdentity,
    ReadIdentity,
    Registers,
    Reporting,
)
from meterwire.identity import identity_hash
from meterwire.lorawan.region import EU868
from tests.adapter_agent.cast import DEV_EUI, SERVER_ID, opened
from tests.adapter_agent.house import House, reported

CONFIGURATION = config_records.encode(7, [MeterIdentity(0, SERVER_ID), Reporting(300)])
PROOF = 31


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def hourly_air(network) -> dict[str, float]:
    """Most seconds on the air of any hour, by sub-band."""
    most = {}
    for band in EU868.sub_bands:
        air = [(at, s) for at, hz, s in network.all_air if band.low_hz <= hz < band.high_hz]
        for end, _ in air:
            used = sum(seconds for at, seconds in air if end - 3600 < at <= end)
            most[band.name] = max(most.get(band.name, 0.0), used)
    return most


async def test_from_power_to_the_proven_reading_takes_seconds(house):
    house.network.after_report = list(CONFIGURATION)
    start = house.clock.time()
    async with house.running():
        await house.pass_time(40)
    assert house.network.joins[0].at - start < 2
    first = house.telegrams[0]
    assert first.acknowledged
    assert first.end - start < 15
    assert opened(first.payload, first.counter)[PROOF] == identity_hash(DEV_EUI, 0, SERVER_ID)
    before = house.sent[: house.sent.index(first)]
    running = [config_records.decode(sent.payload).version for sent in before if sent.port == 33 and sent.acknowledged]
    assert running[-1] == 7
    [identity] = {record.octets for record in reported(house.reports, ReadIdentity)}
    assert identity == SERVER_ID
    assert 800 < reported(house.reports, CommissioningReport)[0].seconds_left <= 900


async def test_without_a_configuration_the_reading_comes_all_the_same(house):
    start = house.clock.time()
    async with house.running():
        await house.pass_time(60)
    assert house.telegrams[0].end - start < 40


async def test_a_configuration_that_comes_late_is_fetched_by_polls_and_read_under_at_once(house):
    async with house.running():
        await house.pass_time(120)
        house.network.waiting = list(CONFIGURATION)
        before, now = len(house.telegrams), house.clock.time()
        await house.pass_time(70)
    assert any(part.version == 7 for part in house.reports)
    under = next(t for t in house.telegrams[before:] if PROOF in opened(t.payload, t.counter))
    assert under.end - now < 65


async def test_the_same_configuration_in_the_answer_to_its_report_costs_no_reading(house):
    """The network learns from the report that it runs; what was ready until then comes with the acknowledgement."""
    house.network.after_report = list(CONFIGURATION)
    start, down = house.clock.time(), house.network.down

    def again(**fields):
        uplink = house.network.uplinks[-1].uplink
        if uplink.fport == 33 and config_records.decode(uplink.payload).version == 7:
            fields = {**fields, "fport": 33, "payload": CONFIGURATION[0]}
        return down(**fields)

    house.network.down = again
    async with house.running():
        await house.pass_time(40)
    assert len(CONFIGURATION) == 1
    assert house.telegrams[0].end - start < 20


async def test_a_second_reading_comes_after_a_minute_and_all_of_it_ends_by_itself(house):
    house.network.after_report = list(CONFIGURATION)
    async with house.running():
        await house.pass_time(100)
        times = [sent.end for sent in house.telegrams]
        assert 55 <= times[1] - times[0] <= 75
        await house.pass_time(800, every_s=10)
        before = len(house.telegrams)
        await house.pass_time(900, every_s=10)
    assert len(house.telegrams) - before == 3  # the configured 300 s


async def test_a_reading_is_repeated_until_it_is_acknowledged(house):
    house.network.after_report = list(CONFIGURATION)
    async with house.running():
        while len(house.telegrams) < 1:
            if any(part.version == 7 for part in house.reports):
                house.network.mute = True
            await house.pass_time(1, every_s=1)
        assert not house.telegrams[0].acknowledged
        house.network.mute = False
        await house.pass_time(40)
    proven = [t for t in house.telegrams if PROOF in opened(t.payload, t.counter)]
    assert len(proven) > 1
    assert proven[-1].acknowledged


async def test_an_adapter_that_has_a_session_does_nothing_of_the_kind_at_power_up(house):
    async with house.running():
        await house.pass_time(1000, every_s=10)
    joins, before = len(house.network.joins), len(house.telegrams)
    async with house.running():
        await house.pass_time(600, every_s=10)
    assert len(house.network.joins) == joins
    assert len(house.telegrams) - before <= 2


async def test_the_button_brings_a_reading_outside_the_period_and_tells_how_long_it_lasts(house):
    async with house.running() as app:
        await house.pass_time(1200, every_s=10)
        before, reports, now = len(house.telegrams), len(house.reports), house.clock.time()
        app.commission()
        await house.pass_time(40)
    assert house.telegrams[before].acknowledged
    assert house.telegrams[before].end - now < 30
    assert PROOF in opened(house.telegrams[before].payload, house.telegrams[before].counter)
    assert len(reported(house.reports[reports:], CommissioningReport)) == 1


async def test_unpaired_and_paired_again_elsewhere_the_button_finds_the_new_network_within_seconds(house):
    async with house.running() as app:
        await house.pass_time(1200, every_s=10)
        joins = len(house.network.joins)
        house.network.knows = False  # its old session means nothing to anybody any more
        await house.pass_time(600, every_s=10)
        app.commission()
        await house.pass_time(4)
        house.network.knows = True
        house.network.hear_data, known = lambda heard: None, house.network.hear_data

        def join(heard):
            house.network.hear_data = known
            return type(house.network).hear_join(house.network, heard)

        house.network.hear_join = join
        now, before = house.clock.time(), len(house.telegrams)
        await house.pass_time(70)
    assert len(house.network.joins) == joins + 1
    assert house.network.joins[-1].at - now < 30
    assert next(t for t in house.telegrams[before:] if t.acknowledged).end - now < 60


async def test_nobody_answers_the_joins_are_quick_alternate_and_stay_within_every_limit(house):
    house.network.knows = False
    async with house.running():
        await house.pass_time(900, every_s=10)
        early = [(at - house.network.all_air[0][0], seconds) for at, _, seconds in house.network.all_air]
        await house.pass_time(3600, every_s=60)
    assert [round(at) for at, _ in early[:3]] == pytest.approx([0, 6, 12], abs=3)
    assert max(seconds for _, seconds in early[:3]) > 1.4, "SF12 is among the first three"
    assert all(used <= 36.0 for used in hourly_air(house.network).values())
    assert max(b - a for (a, _), (b, _) in pairwise(early)) < 20
    quarter = sum(seconds for _, seconds in early)
    assert quarter < 30


@pytest.mark.parametrize("dr", [0, 2, 5])
async def test_a_whole_commissioning_keeps_within_the_hour_at_every_data_rate(tmp_path, dr):
    house = House(tmp_path, dr=dr)
    async with house.running() as app:
        await house.pass_time(600, every_s=10)
        house.network.waiting = list(CONFIGURATION)
        await house.pass_time(600, every_s=10)
        app.commission()
        await house.pass_time(1200, every_s=10)
    assert all(used <= 36.0 for used in hourly_air(house.network).values())
    assert house.telegrams
    house.close()


async def test_a_meter_that_does_not_name_itself_is_reported_as_one_and_read_all_the_same(house):
    house.server_id = b""
    house.network.after_report = list(CONFIGURATION)
    async with house.running():
        await house.pass_time(60)
    assert reported(house.reports, ReadIdentity) == [ReadIdentity(0, IdentityKind.NONE, b"")] * 2 or reported(
        house.reports, ReadIdentity
    )[-1] == ReadIdentity(0, IdentityKind.NONE, b"")
    assert house.telegrams[0].acknowledged
    assert PROOF not in opened(house.telegrams[0].payload, house.telegrams[0].counter)


async def test_a_silent_meter_is_reported_after_half_a_minute_and_named_once_it_speaks(house):
    house.server_id = None
    async with house.running():
        await house.pass_time(60)
        assert reported(house.reports, ReadIdentity)[-1].kind == IdentityKind.NONE
        house.server_id = SERVER_ID
        await house.pass_time(20)
    assert reported(house.reports, ReadIdentity)[-1] == ReadIdentity(0, IdentityKind.SERVER_ID, SERVER_ID)
    assert len(reported(house.reports, CounterReport)) == 1, "only what is new is told again"


async def test_another_meter_on_the_line_is_told_and_proven_again(house):
    other = bytes.fromhex("0a01454d480000bc614f")
    async with house.running():
        await house.pass_time(1000, every_s=10)
        house.server_id, before = other, len(house.telegrams)
        await house.pass_time(1000, every_s=10)
    assert reported(house.reports, ReadIdentity)[-1].octets == other
    assert opened(house.telegrams[before].payload, house.telegrams[before].counter)[PROOF] == identity_hash(
        DEV_EUI, 0, other
    )


async def test_the_proof_is_repeated_once_a_day(house):
    async with house.running():
        await house.pass_time(2 * 86_400 + 3600, every_s=300)
    proven = [t.end for t in house.telegrams if PROOF in opened(t.payload, t.counter)]
    late = [at - proven[0] for at in proven if at - proven[0] > 3600]
    assert len(late) == 2
    assert 86_400 <= late[0] <= 86_400 + 1100


async def test_the_portal_can_begin_and_end_it(house):
    async with house.running():
        await house.pass_time(1200, every_s=10)
        house.network.waiting = config_records.encode(8, [Commissioning(5)])
        await house.pass_time(1000, every_s=10)
        assert reported(house.reports, CommissioningReport)[-1].seconds_left <= 300
        times = [t.end for t in house.telegrams]
        assert sum(1 for a, b in pairwise(times) if b - a < 100) > 15
        house.network.waiting = config_records.encode(9, [Commissioning(10)])
        await house.pass_time(1000, every_s=10)
        house.network.waiting = config_records.encode(10, [Commissioning(0)])
        await house.pass_time(100, every_s=10)
        before = len(house.telegrams)
        await house.pass_time(300, every_s=10)
    assert len(house.telegrams) - before <= 1


async def test_registers_are_those_of_the_configuration(house):
    house.network.after_report = config_records.encode(3, [Registers(0, (2,))])
    async with house.running():
        await house.pass_time(90)
    await asyncio.sleep(0)
    assert house.telegrams == [], "the meter has no export register"
