"""A configuration is applied as a whole and kept, or refused as a whole with a reason, whatever comes down."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.configuration import FACTORY, Configuration, ConfigurationFile, Unusable, checked
from adapter_agent.inbox import MAX_PARTS, PATIENCE_S, Inbox
from edge.clock import ManualClock
from edge.sealedfile import Credential, SealedFile, SealedFileError
from meterwire import config_records
from meterwire.config_records import (
    Commissioning,
    ConfigurationRefused,
    CounterReport,
    MeterIdentity,
    Registers,
    Reporting,
    UnknownRecord,
)
from meterwire.registers import AGE
from tests.adapter_agent.cast import SERVER_ID, opened
from tests.adapter_agent.house import House, reported
from tests.adapter_agent.radio.network import Memory

RECORDS = [MeterIdentity(0, SERVER_ID), Reporting(300), Registers(0, (1, 2, 7)), MeterIdentity(1, b"A" * 20)]
SECRET = Credential(bytes(32))


class Desk:
    """An inbox and what it said."""

    def __init__(self, file=None, inputs=(0, 1)) -> None:
        self.clock, self.file = ManualClock(), file or Memory()
        self.applied: list[tuple[Configuration, bool]] = []
        self.refusals: list[ConfigurationRefused] = []
        self.inbox = Inbox(
            ConfigurationFile(self.file),
            inputs,
            self.clock,
            lambda configuration, new: self.applied.append((configuration, new)),
            lambda: self.refusals.append(self.inbox.refusal),
        )

    def take(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.inbox.take(payload)


def parts(version: int = 5, records=RECORDS, limit: int = 30) -> list[bytes]:
    return config_records.encode(version, records, limit)


def test_it_counts_once_all_parts_are_in_whatever_their_order_and_however_often_they_come():
    desk = Desk()
    first, *rest = parts()
    desk.take(*rest, *rest)
    assert desk.inbox.running == FACTORY
    desk.take(first)
    [(configuration, new)] = desk.applied
    assert new
    assert configuration == Configuration(5, tuple(RECORDS))
    assert configuration.period_s == 300
    assert configuration.registers == {0: (1, 2, 7)}
    assert configuration.identities == {0: SERVER_ID, 1: b"A" * 20}


@given(st.permutations(range(len(parts()))), st.lists(st.integers(0, len(parts()) - 1), max_size=6))
def test_any_order_with_any_duplicates_gives_the_same(order, again):
    desk, payloads = Desk(), parts()
    sequence = list(order)
    for number in again:
        sequence.insert(number, number)
    desk.take(*(payloads[number] for number in sequence))
    assert desk.inbox.running == Configuration(5, tuple(RECORDS))
    assert all(configuration == desk.inbox.running for configuration, _ in desk.applied)
    assert desk.refusals == []


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_whatever_harm_the_running_configuration_or_raise(payloads):
    desk = Desk()
    desk.take(*parts(3))
    running = desk.inbox.running
    desk.take(*payloads)
    for configuration, _ in desk.applied:
        assert configuration.version != 0
    assert desk.inbox.running == running or desk.inbox.running in [c for c, _ in desk.applied]


@given(st.integers(0, 400), st.integers(0, 7))
def test_a_flipped_bit_never_applies_half_of_it(at, bit):
    payloads = parts()
    number = at % len(payloads)
    spoilt = bytearray(payloads[number])
    spoilt[(at // len(payloads)) % len(spoilt)] ^= 1 << bit
    desk = Desk()
    desk.take(*payloads[:number], bytes(spoilt), *payloads[number + 1 :])
    assert desk.inbox.running == FACTORY or len(desk.inbox.running.settings) == len(RECORDS)


def test_a_lost_part_is_made_up_by_sending_all_again_and_a_newer_version_starts_afresh():
    desk = Desk()
    desk.take(*parts(5)[:-1])
    desk.take(*parts(6, [Reporting(60)]))
    assert desk.inbox.running == Configuration(6, (Reporting(60),))
    desk.take(parts(5)[-1])
    assert desk.inbox.running.version == 6


async def test_parts_of_different_attempts_are_not_mixed():
    desk = Desk()
    desk.take(parts(5)[0])
    await desk.clock.advance(PATIENCE_S + 1)
    desk.take(*parts(5)[1:])
    assert desk.inbox.running == FACTORY
    desk.take(parts(5)[0])
    assert desk.inbox.running.version == 5


def test_the_same_again_is_told_again_but_not_written_again():
    desk = Desk()
    desk.take(*parts(), *parts())
    assert [new for _, new in desk.applied] == [True, False]
    assert desk.file.writes == 1


def test_an_empty_configuration_is_the_defaults_under_its_own_version():
    desk = Desk()
    desk.take(*parts(5), *parts(6, []))
    assert desk.inbox.running == Configuration(6)
    assert desk.inbox.running.period_s is None


@pytest.mark.parametrize(
    ("version", "records", "record_type", "reason"),
    [
        (0, [Reporting(60)], 0, "version 0 is factory"),
        (5, [UnknownRecord(0x1F, b"slot")], 0x1F, "unknown record"),
        (5, [CounterReport(1)], 0x81, "unknown record"),
        (5, [Reporting(60), Reporting(61)], 0x02, "given twice"),
        (5, [MeterIdentity(0, b"1"), MeterIdentity(0, b"2")], 0x01, "given twice"),
        (5, [MeterIdentity(4, b"1")], 0x01, "no input 4"),
        (5, [Registers(3, (1,))], 0x03, "no input 3"),
        (5, [Registers(0, (1, AGE))], 0x03, "age is not sent"),
    ],
)
def test_what_cannot_be_applied_is_refused_as_a_whole_and_the_old_one_stays(version, records, record_type, reason):
    desk = Desk()
    desk.take(*parts(4))
    desk.take(*parts(version, [*records, Commissioning(5)]))
    assert desk.inbox.running.version == 4
    assert desk.refusals == [ConfigurationRefused(version, record_type, reason)]
    desk.take(*parts(6))
    assert desk.inbox.refusal is None


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("0005 0101 0203 000000"),  # a period of 0 s
        bytes.fromhex("0005 0101 0203 015181"),  # of a day and a second
        bytes.fromhex("0005 0101 0304 00010101"),  # a register twice
        bytes.fromhex("0005 0101 0302 0020"),  # a register that is in no dictionary
        bytes.fromhex("0005 0101 0102 0831"),  # input 8
        bytes.fromhex("0005 0101 0101 00"),  # no identity
        bytes.fromhex("0005 0101 0401 3d"),  # 61 minutes
        bytes.fromhex("0005 0101 0204 00"),  # cut off
        bytes.fromhex("0005 0201"),  # part 2 of 1
    ],
)
def test_malformed_records_are_refused_with_their_version(payload):
    desk = Desk()
    desk.take(payload)
    assert [refusal.version for refusal in desk.refusals] == [5]
    assert desk.inbox.running == FACTORY


def test_more_parts_than_any_configuration_needs_are_refused():
    desk = Desk()
    desk.take(bytes((0, 5, 1, MAX_PARTS + 1)))
    assert desk.refusals[0].reason == "too many parts"
    desk.take(b"", b"\0\5\1", bytes(300))
    assert len(desk.refusals) == 2, "without a version nothing can be named"


def test_a_base_board_does_not_know_the_inputs_and_takes_them_all():
    assert checked(1, [MeterIdentity(7, b"x")], None).identities == {7: b"x"}
    with pytest.raises(Unusable):
        checked(1, [MeterIdentity(7, b"x")], {0})


def test_a_full_disk_refuses_it_and_the_old_one_stays(caplog):
    desk = Desk()
    desk.take(*parts(4))

    def full(content):
        raise SealedFileError("no space left")

    desk.file.write = full
    desk.take(*parts(5))
    assert desk.inbox.running.version == 4
    assert desk.refusals[-1].reason == "cannot be stored"


# At rest


def test_it_is_there_again_after_a_restart(tmp_path):
    file = SealedFile(tmp_path / "configuration.sealed", SECRET, "configuration")
    Desk(file).take(*parts())
    assert Desk(file).inbox.running == Configuration(5, tuple(RECORDS))


@pytest.mark.parametrize("spoil", [b"", b"MSPAN1", b"no sealed file", None])
def test_a_torn_file_is_the_factorys_state_and_an_alarm(tmp_path, caplog, spoil):
    file = SealedFile(tmp_path / "configuration.sealed", SECRET, "configuration")
    Desk(file).take(*parts())
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[: len(whole) // 2] if spoil is None else spoil)
    desk = Desk(file)
    assert desk.inbox.running == FACTORY
    assert "configuration_lost" in [getattr(record, "alarm", "") for record in caplog.records]
    desk.take(*parts(6))
    assert Desk(file).inbox.running.version == 6


@pytest.mark.parametrize("content", [b"[]", b"{}", b'["AAUB"]', b'["!"]', b"\xff"])
def test_what_is_no_configuration_inside_the_file_is_not_used(content):
    memory = Memory()
    memory.content = content
    assert Desk(memory).inbox.running == FACTORY


def test_killed_between_writing_and_renaming_the_old_one_stays(tmp_path):
    file = SealedFile(tmp_path / "configuration.sealed", SECRET, "configuration")
    Desk(file).take(*parts(4))
    script = f"""
        import os, signal
        from pathlib import Path
        from adapter_agent.configuration import Configuration, ConfigurationFile
        from edge.sealedfile import Credential, SealedFile
        from meterwire.config_records import Reporting
        Path.rename = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
        file = SealedFile(Path({str(file.path)!r}), Credential(bytes(32)), "configuration")
        ConfigurationFile(file).save(Configuration(5, (Reporting(60),)))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2, "the new one lies beside it, unfinished"
    assert Desk(file).inbox.running.version == 4


# In a whole adapter


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path, "[commissioning]\nminutes = 0")
    yield made
    made.close()


async def test_it_is_applied_without_a_restart_and_survives_one(house):
    async with house.running():
        await house.pass_time(1000, every_s=10)
        house.network.waiting = parts(5, [Reporting(300), Registers(0, (1,))], 51)
        await house.pass_time(1000, every_s=10)
        assert house.reports[-1].version == 5
        before = len(house.telegrams)
        await house.pass_time(900, every_s=10)
    assert len(house.telegrams) - before == 3
    reports, before = len(house.reports), len(house.telegrams)
    async with house.running():
        await house.pass_time(900, every_s=10)
    assert len(house.telegrams) - before in (3, 4)
    assert len(house.reports) == reports, "what has arrived is not reported again"


async def test_a_reset_in_mid_configuration_leaves_the_old_one_and_the_next_attempt_completes(house):
    app = house.app()
    task = asyncio.create_task(app.run())
    await house.pass_time(60, every_s=10)
    first, *rest = parts(5, RECORDS[:3], 20)
    app.downlink(33, first)
    await house.crash(task, app)
    async with house.running() as app:
        await house.pass_time(60, every_s=10)
        for payload in rest:
            app.downlink(33, payload)
        await house.pass_time(60, every_s=10)
        assert all(part.version == 0 for part in house.reports)
        for payload in (first, *rest):
            app.downlink(33, payload)
        await house.pass_time(60, every_s=10)
    assert house.reports[-1].version == 5


async def test_a_reset_between_storing_and_reporting_reports_it_afterwards(house):
    app = house.app()
    task = asyncio.create_task(app.run())
    await house.pass_time(60, every_s=10)
    house.network.deaf = True
    app.downlink(33, parts(5, [Reporting(300)])[0])
    await house.pass_time(10, every_s=10)
    await house.crash(task, app)
    house.network.deaf = False
    async with house.running():
        await house.pass_time(120, every_s=10)
    assert house.reports[-1].version == 5


async def test_a_refusal_is_reported_and_so_is_the_same_one_again(house):
    bad = parts(9, [MeterIdentity(5, b"1EMH0012345678")])
    async with house.running() as app:
        await house.pass_time(60, every_s=10)
        for _ in range(2):
            app.downlink(33, bad[0])
            await house.pass_time(60, every_s=10)
    assert reported(house.reports, ConfigurationRefused) == [ConfigurationRefused(9, 1, "no input 5")] * 2
    assert all(part.version == 0 for part in house.reports)


async def test_lost_downlinks_delay_it_and_do_no_harm(tmp_path):
    house = House(tmp_path)
    house.network.after_report, house.network.lose = parts(5, RECORDS[:3], 20), 1
    async with house.running():
        await house.pass_time(60)
        assert all(part.version == 0 for part in house.reports)
        house.network.waiting = parts(5, RECORDS[:3], 20)
        await house.pass_time(60)
    assert house.reports[-1].version == 5
    house.close()


async def test_at_the_slowest_rate_every_part_and_every_telegram_fits(tmp_path):
    house = House(tmp_path, "[sampler]\nregisters = ['1-0:1.8.0']", dr=0)
    house.network.after_report = parts(5, RECORDS[:3], 51)
    async with house.running():
        await house.pass_time(300, every_s=5)
    assert house.reports[-1].version == 5
    assert all(len(sent.payload) <= 51 for sent in house.sent)
    assert opened(house.telegrams[0].payload, house.telegrams[0].counter).keys() >= {1, 31}
    house.close()


async def test_the_state_of_the_release_before_is_read_and_reported_on_once(house):
    async with house.running():
        await house.pass_time(60, every_s=10)
    for name in ("configuration", "registration"):
        (house.source.parent / "state" / f"{name}.sealed").unlink(missing_ok=True)
    joins, reports = len(house.network.joins), len(house.reports)
    async with house.running():
        await house.pass_time(120, every_s=10)
    assert len(house.network.joins) == joins
    assert len(house.reports) > reports
