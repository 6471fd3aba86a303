"""Power loss at every byte and at every write: what is left can be read, goes on, and is signed."""

import os
from pathlib import Path

import pytest

from adapter_agent.daybook import folder as folder_module
from adapter_agent.daybook.folder import DayFolder
from adapter_agent.daybook.log import MAX_RECORDS, DayLog, Kept, records_of
from meterwire.signed_day import SignatureHalf
from tests.adapter_agent import cast
from tests.adapter_agent.daybook.cellar import BEGIN_DAY, Cellar
from tests.adapter_agent.radio.network import Memory as File

KEPT = [Kept(counter, 16, bytes([counter]) * (counter % 5 + 8)) for counter in range(1, 7)]
OCTETS = b"".join(one.encode() for one in KEPT)
ENDS = [len(b"".join(one.encode() for one in KEPT[:count])) for count in range(len(KEPT) + 1)]


@pytest.mark.parametrize("cut", range(len(OCTETS) + 1))
def test_a_file_cut_at_any_byte_holds_the_telegrams_before_and_takes_more(tmp_path, cut):
    path = tmp_path / "1.telegrams"
    path.write_bytes(OCTETS[:cut])
    whole = sum(end <= cut for end in ENDS) - 1
    with DayLog(path) as log:
        assert (log.count, log.last) == (whole, KEPT[whole - 1].counter if whole else -1)
        log.add(Kept(9, 16, b"after"))
    assert list(records_of(path.read_bytes())) == [*KEPT[:whole], Kept(9, 16, b"after")]


@pytest.mark.parametrize("bit", range(0, len(OCTETS) * 8, 7))
def test_a_damaged_file_yields_only_what_is_before_the_damage(bit):
    damaged = bytearray(OCTETS)
    damaged[bit // 8] ^= 1 << bit % 8
    before = sum(end <= bit // 8 for end in ENDS) - 1
    assert list(records_of(bytes(damaged))) == KEPT[:before]


def test_half_a_record_on_a_full_disk_does_not_hide_later_ones(tmp_path, monkeypatch):
    path, write = tmp_path / "1.telegrams", os.pwrite

    def half(file, octets, place):
        if len(octets) > 5:
            return write(file, octets[:5], place)
        raise OSError(28, "no space left")

    with DayLog(path) as log:
        log.add(KEPT[0])
        monkeypatch.setattr(os, "pwrite", half)
        with pytest.raises(OSError, match="no space"):
            log.add(KEPT[1])
        monkeypatch.setattr(os, "pwrite", write)
        log.add(KEPT[2])
    assert list(records_of(path.read_bytes())) == [KEPT[0], KEPT[2]]


def test_a_day_is_bounded(tmp_path):
    with DayLog(tmp_path / "1.telegrams") as log:
        log.count = MAX_RECORDS
        assert log.full


def test_flash_is_written_at_most_once_a_minute(tmp_path, monkeypatch):
    syncs = []
    monkeypatch.setattr(DayLog, "sync", lambda self: syncs.append(1))
    days = DayFolder(tmp_path / "days", cast.DEV_EUI)
    for second in range(600):
        days.add(1, Kept(second, 16, b"x"), float(second))
    days.close()
    assert len(syncs) == 10


class Lost(BaseException):
    """The power, at this very write."""


async def a_life(folder: Path, made: list[Cellar]) -> None:
    made.append(Cellar(folder))
    await a_day(made[0])


async def a_day(cellar: Cellar) -> None:
    cellar.send(3)
    await cellar.uplinks()
    await cellar.pass_days(1.5)
    await cellar.uplinks()
    cellar.send(2)
    await cellar.pass_days(3)
    await cellar.uplinks()


async def test_power_lost_at_every_write_leaves_a_daybook_that_signs_what_it_holds(tmp_path, monkeypatch):
    steps = 0
    fail_at = -1
    originals = {(os, name): getattr(os, name) for name in ("pwrite", "fsync", "ftruncate")}
    originals |= {(folder_module, "replace"): folder_module.replace, (File, "write"): File.write}

    def failing(original):
        def step(*args):
            nonlocal steps
            steps += 1
            if steps == fail_at:
                if original is originals[os, "pwrite"]:
                    original(args[0], args[1][: len(args[1]) // 2], args[2])
                raise Lost
            return original(*args)

        return step

    for (module, name), original in originals.items():
        monkeypatch.setattr(module, name, failing(original))
    await a_day(Cellar(tmp_path / "whole"))
    total, recovered = steps, 0
    assert total > 10
    for number in range(1, total + 1):
        steps, fail_at = 0, number
        made: list[Cellar] = []
        with pytest.raises(Lost):
            await a_life(tmp_path / str(number), made)
        fail_at = -1
        cellar = made[0] if made else Cellar(tmp_path / str(number))
        cellar.restart(skip=7)
        cellar.send(2)
        await cellar.pass_days(1.5)
        frames = [one for one in await cellar.frames() if isinstance(one, SignatureHalf)]
        newest = max(one.day for one in frames)
        assert newest > BEGIN_DAY - 1
        recovered += sum(one.leaves >= 2 for one in frames if one.day == newest) == 2
    assert recovered == total
