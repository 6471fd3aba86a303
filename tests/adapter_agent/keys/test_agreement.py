"""A key that is agreed on seals only after both sides have shown that they hold it."""

import pytest

from meterwire.curves import Curve, PrivateKey, PublicKey
from meterwire.key_messages import (
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    ExchangeResult,
    KeyPurpose,
    Place,
    Result,
)
from meterwire.keymemory import Standing
from tests.adapter_agent.cast import BEGIN
from tests.adapter_agent.keys.cast import CONCENTRATOR, EUI, YEAR, Adapter, Far, inner, key


@pytest.mark.parametrize("curve", Curve)
@pytest.mark.parametrize("transport", [None, CONCENTRATOR])
def test_offer_answer_confirmation_and_result_make_a_key(curve, transport):
    adapter = Adapter()
    partner = Far(adapter, transport) if transport else Far(adapter)
    [answer] = partner.offer(inner(2, tag_length=8), curve)
    assert isinstance(answer, ExchangeAnswer)
    assert adapter.seal() == 1
    [result] = partner.confirm(answer)
    assert result == ExchangeResult(1, inner(2, tag_length=8), Result.STORED, partner.agreed(answer).check_value())
    assert adapter.seal() == 2
    entry = adapter.memory.by_slot(2)
    assert entry.key == partner.agreed(answer)
    assert (entry.partner, entry.not_after) == (EUI if transport else "portal", BEGIN + YEAR)


def test_the_exchange_goes_on_after_a_power_failure_at_each_step():
    adapter = Adapter()
    portal = Far(adapter)
    [answer] = portal.offer(inner(2))
    adapter.restart()
    [result] = portal.confirm(answer)
    adapter.restart()
    assert result.result is Result.STORED
    assert adapter.seal() == 2


def test_an_offer_repeated_gets_the_same_answer_while_nothing_newer_has_happened():
    adapter = Adapter()
    portal = Far(adapter)
    [answer] = portal.offer(inner(2))
    offer = ExchangeOffer(answer.seq, answer.place, portal.own.public)
    assert portal.send(offer) == [answer]
    portal.confirm(answer)
    refused, _ = portal.send(offer)
    assert refused.result is Result.OLD_SEQUENCE


def test_each_offer_is_answered_with_another_key_and_the_newest_counts():
    adapter = Adapter()
    portal = Far(adapter)
    [first] = portal.offer(inner(2))
    [second] = portal.offer(inner(2))
    assert first.public != second.public
    late, _ = portal.send(ExchangeConfirm(first.seq, first.place, None, None, bytes(3)))
    assert late.result is Result.OLD_SEQUENCE
    assert portal.confirm(second)[0].result is Result.STORED


def test_a_confirmation_of_another_key_stores_nothing():
    adapter = Adapter()
    portal = Far(adapter)
    [answer] = portal.offer(inner(2))
    [result] = portal.confirm(answer, check=b"\x00\x01\x02")
    assert (result.result, result.check) == (Result.WRONG_CHECK_VALUE, portal.agreed(answer).check_value())
    assert adapter.ring.holding.partners[0].candidate is None
    assert len(adapter.memory) == 1


def test_a_confirmation_that_came_too_late_stores_nothing():
    adapter = Adapter()
    portal = Far(adapter)
    [answer] = portal.offer(inner(2))
    assert portal.confirm(answer, end=int(BEGIN))[0].result is Result.VALIDITY_OVER
    assert len(adapter.memory) == 1


def test_a_slot_that_was_taken_meanwhile_is_not_overwritten():
    adapter = Adapter()
    portal, concentrator = Far(adapter), Far(adapter, CONCENTRATOR)
    [answer] = portal.offer(inner(2))
    concentrator.deliver(inner(2), key(3))
    assert portal.confirm(answer)[0].result is Result.SLOT_TAKEN
    assert adapter.memory.by_slot(2).key.reveal() == key(3).reveal()


@pytest.mark.parametrize(
    ("place", "result"),
    [
        (inner(1), Result.SLOT_TAKEN),
        (Place(KeyPurpose.LMN, 2), Result.PURPOSE_UNKNOWN),
        (Place(KeyPurpose.METER, 2), Result.PURPOSE_UNKNOWN),
        (Place(12, 2), Result.PURPOSE_UNKNOWN),
    ],
)
def test_an_offer_for_a_wrong_place_is_refused(place, result):
    [answer] = Far(Adapter()).offer(place)
    assert answer == ExchangeResult(1, place, result, bytes(3))


def test_a_curve_that_is_not_supported_and_a_point_of_no_use_are_refused():
    [answer] = Far(Adapter(curves=frozenset({Curve.X25519}))).offer(inner(2), Curve.P256)
    assert answer.result is Result.CURVE_UNKNOWN
    portal = Far(Adapter())
    [answer] = portal.send(ExchangeOffer(1, inner(2), PublicKey(b"\x01" + bytes(32))))
    assert answer.result is Result.CURVE_UNKNOWN


def test_the_ephemeral_key_is_kept_nowhere():
    adapter = Adapter()
    Far(adapter).offer(inner(2), Curve.P256)
    first_entropy = bytes([1] * 48)
    own = PrivateKey.generate(Curve.P256, first_entropy)
    assert own.public.octets.hex().encode() in adapter.file.content  # in the answer
    assert own.reveal().hex().encode() not in adapter.file.content


def test_a_proof_of_a_key_that_is_not_held_is_refused():
    adapter = Adapter()
    portal, concentrator = Far(adapter), Far(adapter, CONCENTRATOR)
    assert portal.prove(inner(2), key(2)).result is Result.WRONG_CHECK_VALUE
    assert portal.prove(inner(1), key(2)).check == key(1).check_value()
    answer = concentrator.prove(inner(1), key(1))
    assert (answer.result, answer.check) == (Result.WRONG_CHECK_VALUE, bytes(3))
    assert adapter.memory.by_slot(1).standing is Standing.PROVEN


def test_a_confirmation_completes_the_offer_of_its_own_number_only():
    adapter = Adapter()
    portal = Far(adapter)
    [answer] = portal.offer(inner(2))
    check = portal.agreed(answer).check_value()
    [refused] = portal.send(ExchangeConfirm(portal.next(), answer.place, None, None, check))
    assert refused.result is Result.WRONG_CHECK_VALUE
    assert len(adapter.memory) == 1
