"""Two people or two bridges at the same key at once, on real connections: one wins, nothing is done twice."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections

from provisioning.audit import triggers
from provisioning.audit.queries import verify
from provisioning.campaigns.models import Delivery, Notice, Sequence
from provisioning.campaigns.services import (
    acknowledge,
    answered,
    begin,
    begin_notice,
    next_seq,
    prepare_handover,
    retry,
    tick,
)
from provisioning.campaigns.services.handover import make_file_here
from provisioning.errors import Conflict
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import activate, destroy, issue_inner_key, issue_key, revoke
from provisioning.keys.vault import Vault
from tests.cast import STAGE, Cast
from tests.provisioning.campaigns.stage import NOON, Stage
from tests.provisioning.campaigns.test_handover import PEM

THREADS = 4
pytestmark = [pytest.mark.postgres, pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")]


@pytest.fixture
def stage(transactional_db: None) -> Iterator[Stage]:
    """The stage in a test whose commits are real."""
    yield Stage(Cast.assemble())
    if connection.vendor == "sqlite":
        triggers.drop(connection)


def test_of_two_custodians_who_destroy_or_activate_the_same_key_one_wins(stage: Stage) -> None:
    adapter = stage.adapter()
    key = revoke(STAGE, issue_inner_key(STAGE, adapter), "unused")
    outcomes = _at_once(lambda _: destroy(stage.cast.custodian, DeviceKey.objects.get(pk=key.pk), "now"))
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [Conflict] * (THREADS - 1)
    fresh = [issue_inner_key(STAGE, adapter) for _ in range(THREADS)]
    _at_once(lambda number: activate(stage.cast.custodian, fresh[number]))
    assert DeviceKey.objects.filter(adapter=adapter, purpose="inner", state="active").count() == 1
    assert verify(stage.cast.organisation).broken is None


def test_two_bridges_begin_a_delivery_once(stage: Stage) -> None:
    planned = stage.plan(stage.adapter()).deliveries.get()
    vaults = [Vault.from_settings() for _ in range(THREADS)]
    outcomes = _at_once(lambda number: begin(planned.pk, NOON, vaults[number]))
    assert sum(isinstance(outcome, Delivery) for outcome in outcomes) == 1
    assert DeviceKey.objects.filter(purpose="inner").count() == 2


def test_two_campaigns_for_one_adapter_do_not_begin_at_once(stage: Stage) -> None:
    adapter = stage.adapter()
    purposes = ("inner", "control_up", "control_down", "group_control")
    planned = [stage.plan(adapter, purpose=purpose).deliveries.get().pk for purpose in purposes]
    outcomes = _at_once(lambda number: begin(planned[number], NOON, Vault.from_settings()))
    assert sum(isinstance(outcome, Delivery) for outcome in outcomes) == 1
    assert Delivery.objects.filter(state="planned").count() == THREADS - 1


def test_an_answer_heard_by_two_bridges_counts_once(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter())
    assert delivery.key is not None
    check = bytes.fromhex(delivery.key.check_value)
    outcomes = _at_once(lambda _: answered(delivery, check, NOON))
    assert {outcome.state for outcome in outcomes} == {"confirmed"}


def test_sequence_numbers_are_given_out_once(stage: Stage) -> None:
    adapter = stage.adapter()
    given = _at_once(lambda _: [next_seq(adapter) for _ in range(5)])
    assert sorted(number for numbers in given for number in numbers) == list(range(1, 5 * THREADS + 1))
    assert Sequence.objects.get().last == 5 * THREADS


def test_a_notice_has_one_number_whoever_begins_it(stage: Stage) -> None:
    revoke(STAGE, stage.cast.inner_key(stage.adapter()), "compromised")
    tick(NOON)
    pk = Notice.objects.get().pk
    outcomes = _at_once(lambda _: begin_notice(pk, NOON))
    assert {outcome.seq for outcome in outcomes if outcome is not None} == {Notice.objects.get().seq}


def test_ticks_at_once_do_everything_once(stage: Stage) -> None:
    revoke(STAGE, stage.cast.inner_key(stage.adapter()), "compromised")
    _at_once(lambda _: tick(NOON))
    assert Notice.objects.count() == 1


def test_of_two_who_acknowledge_a_hand_over_or_retry_a_delivery_one_wins(stage: Stage) -> None:
    key = issue_key(STAGE, stage.adapter(), "lmn")
    handover = prepare_handover(
        STAGE, stage.cast.organisation, [key], name="Gateway Ltd", public_key=PEM, reason="new meters"
    )
    make_file_here(stage.vault, STAGE, handover)
    outcomes = _at_once(lambda _: acknowledge(stage.cast.custodian, handover, "letter"))
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == THREADS - 1
    failed = stage.plan(stage.cast.adapter(stage.site)).deliveries.get()
    outcomes = _at_once(lambda _: retry(stage.cast.custodian, Delivery.objects.get(pk=failed.pk)))
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == THREADS - 1


def _at_once(work: Callable[[int], Any]) -> list[Any]:
    """Run `work` in THREADS threads that begin together; what each returned or raised."""
    outcomes: list[Any] = [None] * THREADS
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait(60)
            outcomes[number] = work(number)
        except Exception as failure:
            outcomes[number] = failure
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes
