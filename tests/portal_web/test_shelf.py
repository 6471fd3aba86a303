"""Facts that take long to count are served a little old, never very old, and made anew behind the scenes."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from portal.web import shelf
from portal.web.shelf import FRESH_S, LONGEST_S, MAX_KEPT, PATIENCE, SOON_S, Shelf, Shown, watched

KEY = (1, "all")


class Counting:
    """Counts how often it was asked; that takes `seconds` on a clock which it turns itself."""

    def __init__(self) -> None:
        self.now, self.seconds, self.times, self.trouble = 1000.0, 0.0, 0, False
        self.meanwhile: Callable[[], None] = lambda: None
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, key: tuple[Any, ...]) -> int:
        if self.trouble:
            raise OperationalError("the database is away")
        self.now += self.seconds
        self.times += 1
        self.meanwhile()
        return self.times

    def thread(self, target: Callable[..., None], args: Any, **_named: Any) -> Any:
        return SimpleNamespace(start=lambda: self.waiting.append(lambda: target(*args)))

    def behind(self) -> int:
        """What waits to be made behind the scenes is made now; how many there were."""
        jobs, self.waiting = self.waiting, []
        for job in jobs:
            job()
        return len(jobs)


def told(shown: Shown) -> tuple[float, float]:
    """How old what was shown is, and when to ask again; it must be told."""
    age = shown.age()
    assert age is not None
    return age


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    made = Counting()
    monkeypatch.setattr(shelf, "monotonic", lambda: made.now)
    monkeypatch.setattr(shelf, "connection", SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(shelf, "threading", SimpleNamespace(Thread=made.thread, Lock=threading.Lock))
    return made


def test_what_is_counted_quickly_is_a_second_old_at_most_and_made_while_one_waits(counting: Counting) -> None:
    facts = Shelf(counting)
    assert [facts.get(KEY), facts.get(KEY)] == [1, 1]
    counting.now += FRESH_S + 0.1
    assert (facts.get(KEY), counting.behind()) == (2, 0)


def test_what_took_long_is_served_old_while_the_next_one_is_made_once(counting: Counting) -> None:
    facts, counting.seconds = Shelf(counting), 0.2
    assert facts.get(KEY) == 1
    counting.now += PATIENCE * 0.2 - 0.1
    assert (facts.get(KEY), counting.behind()) == (1, 0)
    counting.now += 0.2
    assert [facts.get(KEY), facts.get(KEY)] == [1, 1]
    assert counting.behind() == 1
    assert facts.get(KEY) == 2


def test_however_long_it_took_nobody_is_shown_what_is_older_than_a_minute_and_the_time_of_making(
    counting: Counting,
) -> None:
    facts, counting.seconds = Shelf(counting), 10.0
    facts.get(KEY)
    counting.now += LONGEST_S + 0.1
    facts.get(KEY)
    assert counting.behind() == 1
    assert facts.get(KEY) == 2


def test_who_asks_again_when_told_to_gets_a_newer_value(counting: Counting) -> None:
    facts = Shelf(counting, told=True)
    for counting.seconds in (0.0, 0.3, 20.0):
        facts.forget()
        with watched() as shown:
            before = facts.get(KEY)
        counting.now += 0.5
        age, again = told(shown)
        assert age == pytest.approx(counting.seconds + 0.5)
        assert SOON_S <= again <= LONGEST_S + SOON_S
        counting.now += again
        facts.get(KEY)
        counting.behind()
        assert facts.get(KEY) == before + 1


def test_what_was_never_counted_can_be_answered_at_once(counting: Counting) -> None:
    facts = Shelf(counting, first=lambda: 0, told=True)
    with watched() as shown:
        assert facts.get(KEY) == 0
    assert told(shown) == (counting.now, SOON_S), "older than whatever there was news of"
    counting.behind()
    assert facts.get(KEY) == 1


def test_an_answer_is_as_old_as_what_it_shows_also_when_something_newer_was_made_meanwhile(counting: Counting) -> None:
    facts, counting.seconds = Shelf(counting, told=True), 0.2
    facts.get(KEY)
    counting.now += 30.0
    with watched() as shown:
        assert facts.get(KEY) == 1
        assert counting.behind() == 1
        assert facts.get(KEY) == 2
    assert told(shown) == (pytest.approx(30.4), pytest.approx(SOON_S))


def test_an_answer_is_as_old_as_the_oldest_that_it_shows_of_what_news_changes(counting: Counting) -> None:
    quick, slow, apart = Shelf(counting, told=True), Shelf(counting, fresh_s=60.0, told=True), Shelf(counting, 60.0)
    apart.get(KEY)
    counting.now += 10.0
    slow.get(KEY)
    counting.now += 5.0
    with watched() as shown:
        for facts in (quick, slow, apart):
            facts.get(KEY)
    assert told(shown) == (5.0, 55.0 + SOON_S)
    with watched() as shown:
        apart.get(KEY)
    assert shown.age() is None


def test_what_was_made_while_something_was_changed_is_made_once_more(counting: Counting) -> None:
    facts, counting.seconds = Shelf(counting, told=True), 0.2
    facts.get(KEY)
    counting.now += 30.0
    facts.get(KEY)
    counting.meanwhile = facts.forget
    assert counting.behind() == 1
    counting.meanwhile = lambda: None
    with watched() as shown:
        assert facts.get(KEY) == 2, "nobody waits for it"
    assert told(shown) == (pytest.approx(0.2), pytest.approx(0.2 + SOON_S))
    assert counting.behind() == 1
    assert (facts.get(KEY), counting.behind()) == (3, 0)


def test_what_is_counted_quickly_while_something_is_changed_is_counted_again_for_the_next(counting: Counting) -> None:
    facts, counting.seconds = Shelf(counting), 0.01
    counting.meanwhile = facts.forget
    assert facts.get(KEY) == 1
    counting.meanwhile = lambda: None
    assert [facts.get(KEY), facts.get(KEY), counting.behind()] == [2, 2, 0]


def test_a_change_at_one_organisation_lets_another_one_keep_what_it_counts_meanwhile(counting: Counting) -> None:
    facts, counting.seconds = Shelf(counting), 0.2
    counting.meanwhile = lambda: facts.forget(KEY[0] + 1)
    assert [facts.get(KEY), facts.get(KEY), counting.behind()] == [1, 1, 0]


def test_without_its_database_the_last_value_goes_on_to_be_served(counting: Counting) -> None:
    facts, counting.seconds = Shelf(counting), 1.0
    facts.get(KEY)
    counting.now, counting.trouble = counting.now + LONGEST_S + 1, True
    facts.get(KEY)
    assert counting.behind() == 1
    counting.trouble = False
    assert facts.get(KEY) == 1
    assert counting.behind() == 1
    assert facts.get(KEY) == 2


def test_an_organisation_is_forgotten_alone_and_the_oldest_values_make_room(counting: Counting) -> None:
    facts = Shelf(counting)
    facts.get((1, "a"))
    facts.get((2, "b"))
    facts.forget(1)
    assert [facts.get((2, "b")), facts.get((1, "a"))] == [2, 3]
    for number in range(MAX_KEPT):
        facts.get((3, number))
    assert facts.get((1, "a")) == MAX_KEPT + 4
