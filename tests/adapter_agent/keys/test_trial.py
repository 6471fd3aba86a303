"""A new key is tried; the old one comes back unless the partner proves that it hears the new one."""

import pytest

from adapter_agent.keys.trial import SECONDS, TELEGRAMS
from meterwire.key_messages import KeyPurpose, KeyReport, Place, Result
from meterwire.keymemory import Standing
from tests.adapter_agent.cast import BEGIN, DEV_EUI
from tests.adapter_agent.keys.cast import CONCENTRATOR, YEAR, Adapter, Far, inner, key


def trying() -> tuple[Adapter, Far]:
    adapter = Adapter()
    portal = Far(adapter)
    portal.deliver(inner(2), key(2))
    return adapter, portal


def test_a_proof_ends_the_trial_and_the_older_key_stays_behind():
    adapter, portal = trying()
    adapter.seal()
    assert portal.prove(inner(2), key(2)).result is Result.STORED
    adapter.seal_unheard()
    assert adapter.seal() == 2
    assert [entry.standing for entry in adapter.memory] == [Standing.FORMER, Standing.PROVEN]
    adapter.restart()
    assert adapter.seal() == 2


def test_without_a_proof_the_old_key_seals_again_and_the_portal_is_told(caplog):
    adapter, portal = trying()
    adapter.seal_unheard()
    assert adapter.seal() == 1
    [report] = portal.hear()
    assert isinstance(report, KeyReport)
    assert [held.place.slot for held in report.keys] == [1, 2]
    assert [record.slot for record in caplog.records if getattr(record, "alarm", "") == "key_fall_back"] == [2]


def test_a_trial_ends_once_however_many_telegrams_its_key_seals_at_that_moment(caplog):
    adapter, _ = trying()
    adapter.seal()
    adapter.date += SECONDS
    entry = adapter.memory.choose("inner", adapter.date)  # for all telegrams that are made together
    for _ in range(TELEGRAMS + 3):
        adapter.trial.sealed(entry, adapter.date)
    assert [record.slot for record in caplog.records if getattr(record, "alarm", "") == "key_fall_back"] == [2]


def test_both_the_telegrams_and_the_day_must_be_over():
    adapter, _ = trying()
    adapter.seal(10 * TELEGRAMS)
    assert adapter.seal() == 2
    rare, _ = trying()
    rare.seal()
    for _ in range(TELEGRAMS - 2):
        rare.date += SECONDS
        assert rare.seal() == 2
    rare.seal()
    assert rare.seal() == 1


def test_the_day_counts_over_a_restart():
    adapter, _ = trying()
    adapter.seal()
    adapter.restart()
    adapter.date += SECONDS
    adapter.seal(TELEGRAMS)
    assert adapter.seal() == 1


def test_a_late_proof_brings_the_new_key_back():
    adapter, portal = trying()
    adapter.seal_unheard()
    portal.hear()
    assert portal.prove(inner(2), key(2)).result is Result.STORED
    assert adapter.seal() == 2


def test_a_revocation_of_the_old_key_is_a_proof_too():
    adapter, portal = trying()
    adapter.seal_unheard()
    portal.hear()
    assert portal.revoke(inner(1)).result is Result.STORED
    assert [(entry.slot, entry.standing) for entry in adapter.memory] == [(2, Standing.PROVEN)]


def test_a_revocation_before_the_new_key_sealed_proves_nothing():
    adapter, portal = trying()
    portal.revoke(inner(1))
    assert adapter.memory.by_slot(2).standing is Standing.TRIAL
    assert adapter.seal() == 2


def test_with_no_older_key_the_trial_goes_on():
    adapter, portal = trying()
    portal.revoke(inner(1))
    adapter.seal_unheard()
    assert adapter.seal() == 2


def test_a_key_that_fell_back_seals_when_the_old_one_is_over():
    adapter, portal = trying()
    portal.revoke(inner(2))
    portal.deliver(inner(2), key(2), end=int(BEGIN) + 2 * YEAR)
    adapter.seal_unheard()
    adapter.date = BEGIN + YEAR
    assert adapter.seal() == 2


def test_a_key_that_fell_back_may_be_replaced():
    adapter, portal = trying()
    adapter.seal_unheard()
    portal.hear()
    assert portal.deliver(inner(2), key(3)).result is Result.STORED
    assert adapter.seal() == 2
    assert adapter.memory.by_slot(2).standing is Standing.TRIAL
    assert adapter.ring.holding.trials == {2: adapter.date}


def test_a_disk_that_is_full_stops_no_telegram():
    adapter, _ = trying()
    adapter.file.full = True
    adapter.seal_unheard()
    assert adapter.seal() == 2


def test_a_concentrator_that_agreed_on_a_key_is_answered_in_its_own_words():
    adapter = Adapter()
    concentrator = Far(adapter, CONCENTRATOR)
    concentrator.deliver(inner(2), key(2))
    assert adapter.seal() == 2
    assert concentrator.prove(inner(2), key(2)).result is Result.STORED
    adapter.seal_unheard()
    assert adapter.seal() == 2


def test_revoking_takes_the_key_and_a_second_time_is_no_error():
    adapter, portal = trying()
    assert portal.revoke(inner(2)).result is Result.STORED
    assert adapter.seal() == 1
    assert portal.revoke(inner(2)).result is Result.STORED
    assert portal.revoke(Place(KeyPurpose.LMN, 1)).result is Result.STORED
    assert adapter.seal() == 1


def test_a_concentrator_revokes_its_own_keys_only_and_the_portal_any():
    adapter = Adapter()
    portal, concentrator = Far(adapter), Far(adapter, CONCENTRATOR)
    concentrator.deliver(inner(2), key(2))
    assert concentrator.revoke(inner(1)).result is Result.SLOT_TAKEN
    assert portal.revoke(inner(2)).result is Result.STORED
    assert [entry.slot for entry in adapter.memory] == [1]


def test_a_partner_hears_of_its_own_keys_and_the_portal_of_all():
    adapter = Adapter()
    portal, concentrator = Far(adapter), Far(adapter, CONCENTRATOR)
    concentrator.deliver(inner(2), key(2))
    portal.deliver(Place(KeyPurpose.METER, 5), key(5))
    adapter.uplinks.report(0)
    [to_portal] = portal.hear()
    adapter.uplinks.report(1)
    [to_concentrator] = concentrator.hear()
    assert [held.place for held in to_portal.keys] == [inner(2), inner(1), Place(KeyPurpose.METER, 5)]
    assert [held.check for held in to_concentrator.keys] == [key(2).check_value()]
    assert to_portal.seq == 1


def test_a_new_session_brings_one_report_per_partner():
    adapter = Adapter()
    adapter.uplinks.look(1)
    adapter.uplinks.look(1)
    assert len(adapter.said()) == 2
    adapter.uplinks.look(1)
    assert adapter.uplinks.due is None


@pytest.mark.parametrize("report", [False, True])
async def test_what_is_never_acknowledged_is_left_after_a_while(report):
    adapter = Adapter()
    if report:
        adapter.uplinks.report(0)
    else:
        portal = Far(adapter)
        adapter.requests.take(portal.delivery(inner(2), key(2)).encode(portal.macs.down, DEV_EUI))
    dues = []
    while adapter.uplinks.due is not None:
        dues.append(adapter.uplinks.due)
        await adapter.clock.advance(max(0.0, adapter.uplinks.due - adapter.clock.monotonic()))
        adapter.uplinks.failed(adapter.uplinks.next())
    assert len(dues) == 12
    assert dues[1] - dues[0] == 5
    assert dues[-1] - dues[-2] == 900


def test_answers_nobody_fetches_do_not_pile_up():
    adapter = Adapter()
    for number in range(100):
        adapter.uplinks.answer(bytes([number]))
    assert adapter.said() == [bytes([number]) for number in range(92, 100)]


def test_the_newest_key_is_tried_even_if_one_before_expires_sooner():
    adapter, portal = trying()
    adapter.seal()
    portal.deliver(inner(3), key(3), end=int(BEGIN) + 2 * YEAR)
    assert adapter.seal() == 3
    assert portal.prove(inner(2), key(2)).result is Result.STORED
    assert adapter.seal() == 3
    adapter.seal_unheard()
    assert adapter.seal() == 2


def test_a_key_for_later_ends_no_trial():
    adapter, portal = trying()
    portal.deliver(inner(3), key(3), begin=int(BEGIN) + 3600)
    assert adapter.seal() == 2


def test_an_answer_pushed_out_while_it_was_on_the_air_takes_no_report_with_it():
    adapter = Adapter()
    adapter.uplinks.report(0)
    adapter.uplinks.answer(bytes([200]))
    for number in range(8):
        adapter.uplinks.answer(bytes([number]))
    adapter.uplinks.arrived(bytes([200]))
    assert len(adapter.said()) == 9
