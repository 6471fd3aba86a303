"""What a process keeps of slots is brought up to date, and the database corrects it where it is wrong."""

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from provisioning.audit.models import Entry
from provisioning.errors import Conflict
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.models import Assignment, Occupancy, SlotChange, SlotPlan
from provisioning.slots.services import assign, assign_many, change_rate, heard_by, memory, reading, release, site
from tests.cast import STAGE, Cast
from tests.provisioning.slots.test_assigning import NOW, assert_nobody_meets

Place = tuple[int, int]


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator()


@pytest.fixture
def some(cast: Cast, cellar: Concentrator) -> Callable[[int], list[Adapter]]:
    return lambda many: [cast.adapter(cellar.site, cellar) for _ in range(many)]


def place(adapter: Adapter, data_rate: int = 5) -> Place:
    row = assign(STAGE, adapter, period_s=900, data_rate=data_rate)
    return row.channel, row.phase_ms


def test_two_processes_that_take_turns_follow_each_other(
    some: Callable[[int], list[Adapter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = [memory.Memory(), memory.Memory()]
    adapters = some(12)
    for number, adapter in enumerate(adapters):
        monkeypatch.setattr(site, "memory", processes[number % 2])
        place(adapter, number % 6)
        if number % 5 == 4:
            release(STAGE, adapters[number - 2])
            change_rate(STAGE, adapters[number - 1], 5)
    assert_nobody_meets()
    assert not Assignment.objects.filter(overlap_ms__gt=0).exists()


def test_what_was_rolled_back_was_never_there(some: Callable[[int], list[Adapter]]) -> None:
    first, second, third = some(3)
    place(first)
    with transaction.atomic():
        lost = place(second)
        release(STAGE, first)
        transaction.set_rollback(True)
    assert place(third) == lost
    assert_nobody_meets()


def test_what_was_committed_is_not_read_again(
    some: Callable[[int], list[Adapter]], monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:  # fmt: skip
    adapters = some(4)
    with django_capture_on_commit_callbacks(execute=True):
        place(adapters[0])

    def unread(*_: object) -> None:
        raise AssertionError("slots were read")

    for name in ("at", "among", "changed_since"):
        monkeypatch.setattr(memory, name, unread)
    for adapter in adapters[1:]:
        with django_capture_on_commit_callbacks(execute=True):
            place(adapter)
    assert_nobody_meets()


def come_back_silently(silent: Adapter, next_one: Adapter) -> Occupancy:
    """An adapter's slot is there again, which this process saw going when `next_one` came and went; nobody is told."""
    row, laid = Assignment.objects.get(adapter=silent), Occupancy.objects.get(assignment=silent.pk)
    release(STAGE, silent)
    place(next_one)
    release(STAGE, next_one)
    Assignment.objects.filter(pk=row.pk).update(concentrator=row.concentrator_id)
    laid.save(force_insert=True)
    return laid


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often everything was read again."""
    times: list[str] = []
    forget = memory.Memory.forget

    def spy(kept: memory.Memory) -> None:
        times.append("again")
        forget(kept)

    monkeypatch.setattr(memory.Memory, "forget", spy)
    return times


def test_whoever_writes_without_telling_is_found_out_by_the_database(
    some: Callable[[int], list[Adapter]], forgotten: list[str]
) -> None:
    """As a database that was restored beneath a running process."""
    first, silent, next_one = some(3)
    place(first)
    taken = place(silent)
    come_back_silently(silent, next_one)
    assert place(next_one) != taken
    assert forgotten == ["again"]
    assert Assignment.objects.get(adapter=next_one).version == 2
    assert Entry.objects.filter(action="slot.assigned").count() == 4
    assert_nobody_meets()


def test_many_at_once_are_given_again_when_somebody_wrote_without_telling(
    cast: Cast, some: Callable[[int], list[Adapter]], forgotten: list[str]
) -> None:
    silent, *others = some(20)
    place(silent)
    come_back_silently(silent, others[0])
    told: list[int] = []
    given = assign_many(
        STAGE, cast.organisation, others, period_s=900, size=16, data_rate=lambda _: 5,
        progress=lambda done, _total: told.append(done),
    )  # fmt: skip
    assert (given, told, forgotten) == (19, [19], ["again"])
    assert Occupancy.objects.count() == 20
    assert_nobody_meets()


def test_many_at_once_that_the_database_refuses_again_and_again_are_a_conflict(
    cast: Cast, some: Callable[[int], list[Adapter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, *others = some(3)
    place(silent)
    laid = come_back_silently(silent, others[0])
    monkeypatch.setattr(memory.Memory, "forget", lambda _: None)  # it goes on believing what it knows
    with pytest.raises(Conflict):
        assign_many(STAGE, cast.organisation, others, period_s=900, size=16, data_rate=lambda _: 5)
    assert Occupancy.objects.get() == laid


def test_a_restored_backup_has_other_slots_than_the_process_remembers(some: Callable[[int], list[Adapter]]) -> None:
    adapters = some(9)
    for adapter in adapters[:3]:
        place(adapter)
    models: tuple[type[Model], ...] = (SlotPlan, Assignment, Occupancy, SlotChange)
    backup = [(model, list(model._default_manager.values())) for model in models]
    for adapter in adapters[3:6]:
        place(adapter)
    release(STAGE, adapters[0])
    for model in reversed(models):
        model._default_manager.all().delete()
    for model, rows in backup:
        model._default_manager.bulk_create(model(**row) for row in rows)
    for adapter in adapters[6:]:
        place(adapter)
    assert Occupancy.objects.count() == 6
    assert_nobody_meets()
    assert not Assignment.objects.filter(overlap_ms__gt=0).exists()


def test_a_process_that_is_far_behind_reads_everything(
    some: Callable[[int], list[Adapter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "KEPT_CHANGES", 3)
    monkeypatch.setattr(site, "KEPT_CHANGES", 3)
    monkeypatch.setattr(site, "_TRIM_EVERY", 1)
    behind, ahead = memory.Memory(), memory.Memory()
    adapters = some(8)
    for number, adapter in enumerate(adapters):
        monkeypatch.setattr(site, "memory", behind if number in (0, 7) else ahead)
        place(adapter)
    assert SlotChange.objects.count() == 3
    assert_nobody_meets()


def test_one_adapter_that_changed_often_does_not_hide_what_else_changed(
    some: Callable[[int], list[Adapter]], monkeypatch: pytest.MonkeyPatch, forgotten: list[str]
) -> None:
    monkeypatch.setattr(reading, "KEPT_CHANGES", 3)  # the log itself is trimmed now and then only
    behind, ahead = memory.Memory(), memory.Memory()
    first, second, restless, unseen, last = some(5)
    monkeypatch.setattr(site, "memory", behind)
    place(first)
    place(second)
    monkeypatch.setattr(site, "memory", ahead)
    place(restless)
    for data_rate in (4, 5, 4):
        change_rate(STAGE, restless, data_rate)
    place(unseen)
    monkeypatch.setattr(site, "memory", behind)
    place(last)
    assert forgotten == []
    assert_nobody_meets()


def test_a_process_keeps_no_more_slots_than_it_may(
    some: Callable[[int], list[Adapter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = memory.Memory(most=2)
    monkeypatch.setattr(site, "memory", small)
    for adapter in some(6):
        place(adapter)
    with small.world(SlotPlan()) as world:
        assert len(world) <= 3
    assert_nobody_meets()


def test_plans_that_are_changed_to_and_fro_leave_no_end_of_allocators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_WORLDS", 3)
    kept, made = memory.Memory(), set()
    for reserve in range(10):
        with kept.world(SlotPlan(reserve=reserve)) as world:
            made.add(weakref.ref(world))
    del world
    gc.collect()
    assert sum(one() is not None for one in made) <= 3


def test_a_process_that_is_forked_while_a_thread_is_giving_begins_with_nothing() -> None:
    giving, done = threading.Event(), threading.Event()

    def give() -> None:
        with memory.memory.world(SlotPlan()):
            giving.set()
            done.wait(10)

    thread = threading.Thread(target=give)
    thread.start()
    giving.wait(10)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(5)  # ends it where it waits for that thread
        memory.memory.forget()
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_reading_a_concentrator_joins_nothing(cast: Cast, cellar: Concentrator) -> None:
    """PostgreSQL took minutes for that after an import, before it had counted its tables anew."""
    adapter = cast.adapter(cellar.site, cellar)
    assign(STAGE, adapter, period_s=900, data_rate=5)
    with CaptureQueriesContext(connection) as asked:
        assert reading.at(cellar.pk).keys() == {adapter.pk}
    assert len(asked) == 3
    assert not [query for query in asked if "IS NOT NULL" in query["sql"] or "fleet_" in query["sql"]]
    assert not [query for query in asked if "JOIN" in query["sql"]]


def test_who_hears_an_adapter_is_known_to_the_next_that_comes_there(cast: Cast, cellar: Concentrator) -> None:
    beside = cast.concentrator(cellar.site)
    adapter = cast.adapter(cellar.site, cellar)
    taken = place(adapter)
    first = place(cast.adapter(cellar.site, beside))
    assert first == taken
    heard_by(STAGE, adapter, beside, NOW, -100.0)
    second = place(cast.adapter(cellar.site, beside))
    assert second != taken
    release(STAGE, adapter)
    assert not Occupancy.objects.filter(concentrator=beside, served=False).exists()
