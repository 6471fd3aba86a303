"""Scans that arrive at the same moment, on real connections: one wins, the others are told."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from django.db import connection, connections

from provisioning.accounts.models import Role, User
from provisioning.accounts.services import add_member
from provisioning.audit.queries import verify
from provisioning.fleet.services import create_adapter
from provisioning.pairing.models import Claim, Pairing, WrongClaim
from provisioning.pairing.services import Answer, claim, pair, record_step, refresh_configuration
from tests.cast import JOIN_EUI, LONG_AGO, STAGE, Cast
from tests.provisioning.labelled import label_of, labelled

THREADS = 6
T = TypeVar("T")
pytestmark = [pytest.mark.postgres, pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")]


def test_the_same_request_twice_at_once_pairs_once_and_is_answered_twice(transactional_cast: Cast) -> None:
    cast = transactional_cast
    adapter = create_adapter(STAGE, cast.organisation, dev_eui="70b3d57ed2000001", join_eui=JOIN_EUI)
    request = labelled(adapter, site=cast.site())
    answers = _at_once(lambda _: claim(cast.installer, cast.organisation, request, key="one-key-only"))
    assert {(answer.status, answer.body["id"]) for answer in answers} == {(201, Pairing.objects.get().pk)}
    assert Claim.objects.count() == 1


def test_of_two_installers_with_the_same_adapter_one_wins_and_the_other_is_told_who(transactional_cast: Cast) -> None:
    cast = transactional_cast
    adapter = create_adapter(STAGE, cast.organisation, dev_eui="70b3d57ed2000001", join_eui=JOIN_EUI)
    request = labelled(adapter, site=cast.site())
    people = [_person(cast, number) for number in range(THREADS)]

    def scan(number: int) -> Answer:
        mine = replace(request, meter_scan=f"1 EMH 00 0000 000{number}")
        return claim(people[number], cast.organisation, mine, key=f"key-of-{number}")

    answers = _at_once(scan)
    winner = Pairing.objects.get().claimed_by
    assert winner is not None
    assert sorted(answer.status for answer in answers) == [201] + [409] * (THREADS - 1)
    refused = [answer.body for answer in answers if answer.status == 409]
    assert {(body["code"], body["who"]) for body in refused} == {("already_paired", winner.email)}
    assert verify(cast.organisation).broken is None


def test_a_meter_that_two_scan_at_once_is_read_by_one_adapter(transactional_cast: Cast) -> None:
    cast = transactional_cast
    site = cast.site()
    requests = [labelled(cast.adapter(site)) for _ in range(THREADS)]
    answers = _at_once(lambda n: claim(cast.installer, cast.organisation, requests[n], key=f"key-of-{n}"))
    assert sorted(answer.status for answer in answers) == [201] + [409] * (THREADS - 1)
    assert {answer.body["code"] for answer in answers if answer.status == 409} == {"meter_paired"}


def test_a_scan_and_a_pairing_by_hand_at_once_leave_one_pairing(transactional_cast: Cast) -> None:
    cast = transactional_cast
    adapter = cast.adapter()
    request, point = labelled(adapter), cast.metering_point(adapter.site)

    def work(number: int) -> str:
        if number % 2:
            return str(claim(cast.installer, cast.organisation, request, key=f"key-of-{number}").status)
        try:
            pair(cast.operator, adapter, point)
        except Exception as error:
            return type(error).__name__
        return "paired"

    outcomes = _at_once(work)
    assert Pairing.objects.filter(to_at=None).count() == 1
    assert sorted(set(outcomes) - {"409", "Conflict"}) in (["201"], ["paired"])


def test_nobody_guesses_more_often_by_guessing_at_once(transactional_cast: Cast) -> None:
    cast = transactional_cast
    adapter = cast.adapter()
    request = replace(labelled(adapter), adapter_scan=label_of(adapter, "Z" * 26))

    def guess(number: int) -> list[str]:
        keys = [f"guess-{number}-{turn}" for turn in range(3)]
        return [str(claim(cast.installer, cast.organisation, request, key=key).body["code"]) for key in keys]

    codes = [code for answer in _at_once(guess) for code in answer]
    assert (codes.count("wrong_token"), codes.count("blocked")) == (5, THREADS * 3 - 5)
    assert WrongClaim.objects.count() == 5


def test_a_step_that_two_bridges_see_is_written_once(transactional_cast: Cast) -> None:
    held = transactional_cast.pairing()
    assert sum(_at_once(lambda _: record_step(held.pk, "joined", LONG_AGO))) == 1
    assert refresh_configuration(held.adapter).version == 0


def _person(cast: Cast, number: int) -> User:
    return add_member(STAGE, cast.organisation, f"fitter{number}@example.org", Role.INSTALLER).user


def _at_once(work: Callable[[int], T]) -> list[T]:
    """What `work` gives in THREADS threads that begin together."""
    results: list[T] = []
    failures: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait(60)
            results.append(work(number))
        except BaseException as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    assert connection.vendor == "postgresql"
    return results
