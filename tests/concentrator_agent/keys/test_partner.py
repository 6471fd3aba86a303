"""The concentrator agrees keys with adapters [0087]: on its own air, through lost frames, restarts and refusals."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from concentrator_agent.keys.exchange import Stage
from concentrator_agent.keys.partner import GRACE_S, MAX_AGE_S
from meterwire.key_messages import ExchangeConfirm, ExchangeResult, Place, Result, decode, mac_keys
from meterwire.keymemory import KeyEntry, Standing
from meterwire.seal import InnerKey, Key16
from tests.concentrator_agent.keys.cast import PLACE, TRANSPORT, Partner
from tests.concentrator_agent.lab import CONCENTRATOR, Lab

DAY = 86_400.0


@pytest.fixture
async def partner(lab: Lab) -> Partner:
    return await Partner(lab).move_in()


@pytest.mark.parametrize("curve", ["x25519", "p-256", "brainpoolP256r1"])
async def test_a_key_is_agreed_stored_and_reported_by_its_check_value_only(partner: Partner, curve: str) -> None:
    assert (await partner.order(curve=curve)).code is None
    await partner.talk()
    key = partner.keys.held[PLACE]
    entry = partner.lab.ring.of(partner.mote.dev_eui).held(2)
    assert entry is not None
    assert (entry.key, entry.partner) == (key, str(CONCENTRATOR))
    assert partner.outcomes() == [("ok", {"seq": 1, "place": PLACE.octet, "check": key.check_value().hex()})]


async def test_values_are_opened_from_the_first_telegram_on_and_the_adapter_gets_its_proof(partner: Partner) -> None:
    await partner.order(not_before=1, not_after=0xFFFFFFFF)
    await partner.talk()
    proof = await partner.values()
    assert proof is not None
    assert decode(proof, up=False) == ExchangeConfirm(2, PLACE, 1, 0xFFFFFFFF, partner.keys.held[PLACE].check_value())
    await partner.talk(proof)
    assert partner.exchange.stage is Stage.OVER
    [opened] = partner.opened()
    assert opened["dev_eui"] == partner.mote.dev_eui
    assert opened["values"] == [{"obis": "1-0:1.8.0", "name": "import, total", "input": 0, "value": 4711, "unit": "Wh"}]


async def test_the_portal_gets_the_telegram_sealed_as_it_came(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    await partner.values()
    [telegram] = [one for one in partner.lab.telegrams() if one.fport == 16]
    assert telegram.payload[0] & 7 == PLACE.slot
    assert (4711).to_bytes(2) not in telegram.payload


async def test_an_adapter_without_a_shared_transport_key_is_refused(lab: Lab) -> None:
    partner = await Partner(lab).move_in(transport=False)
    assert (await partner.order()).code == "no_transport_key"
    assert (await partner.order(dev_eui="00" * 8)).code == "unknown_device"


async def test_a_validity_without_time_in_it_is_refused(partner: Partner) -> None:
    assert (await partner.order(not_before=20, not_after=20)).code == "format"


async def test_the_same_order_again_changes_nothing_and_has_its_outcome_told_again(partner: Partner) -> None:
    await partner.order()
    offer = partner.exchange.request()
    await partner.order()
    assert partner.exchange.request() == offer
    await partner.talk()
    await partner.order()
    assert [reason for reason, _ in partner.outcomes()] == ["ok", "ok"]


async def test_an_order_older_than_the_last_one_is_refused(partner: Partner) -> None:
    await partner.order(seq=5)
    assert (await partner.order(seq=3)).code == "old_sequence"


async def test_a_lost_offer_is_sent_again_as_the_same_bytes(partner: Partner) -> None:
    await partner.order()
    first = await partner.say()
    await partner.lab.clock.advance(3600)
    await partner.lab.queue.expire()
    await partner.lab.partner.turn()
    assert first is not None
    assert await partner.say() == first


@pytest.mark.parametrize("answers", [0, 1])
async def test_a_concentrator_that_dies_on_the_way_goes_on_where_it_was(
    make_lab: Callable[..., Lab], answers: int
) -> None:
    partner = await Partner(make_lab()).move_in()
    await partner.order()
    heard = await partner.say()
    for _ in range(answers):
        assert heard is not None
        heard = await partner.say(partner.answer(heard), 34)
    partner.lab = make_lab()
    await partner.talk(heard)
    assert partner.outcomes()[-1][0] == "ok"
    await partner.values()
    assert len(partner.opened()) == 1


async def test_an_outcome_that_did_not_get_into_the_outbox_is_told_after_a_restart(
    make_lab: Callable[..., Lab],
) -> None:
    partner = await Partner(make_lab()).move_in()
    await partner.order()
    held = partner.lab.ring.of(partner.mote.dev_eui)
    partner.lab.ring.change(partner.mote.dev_eui, replace(held, exchange=partner.exchange.ended("slot_taken")))
    partner.lab = make_lab()
    await partner.lab.partner.turn()
    assert partner.outcomes() == [("slot_taken", {"seq": 1, "place": PLACE.octet})]


async def test_a_result_that_was_lost_is_made_good_by_the_report_of_the_next_session(partner: Partner) -> None:
    await partner.order()
    offer = await partner.say()
    assert offer is not None
    confirm = await partner.say(partner.keys.hears(offer), 34)
    assert confirm is not None
    partner.keys.hears(confirm)  # and the answer is lost
    await partner.lab.join(partner.mote)
    await partner.say(partner.keys.report(), 34)
    assert [reason for reason, _ in partner.outcomes()] == ["ok"]


async def test_a_refusal_is_reported_and_leaves_no_key(partner: Partner) -> None:
    await partner.order()
    offer = await partner.say()
    assert offer is not None
    confirm = await partner.say(partner.keys.hears(offer), 34)
    assert confirm is not None
    await partner.say(partner.keys.says(ExchangeResult(1, PLACE, Result.SLOT_TAKEN, bytes(3))), 34)
    assert partner.outcomes() == [("slot_taken", {"seq": 1, "place": PLACE.octet})]
    assert partner.lab.ring.of(partner.mote.dev_eui).entries == ()


async def test_an_adapter_that_never_answers_is_given_up_after_two_days(partner: Partner) -> None:
    await partner.order()
    await partner.lab.clock.advance(MAX_AGE_S)
    await partner.lab.partner.turn()
    assert partner.outcomes() == [("timeout", {"seq": 1, "place": PLACE.octet})]
    assert partner.exchange.private is None


async def test_messages_of_others_change_nothing(partner: Partner) -> None:
    await partner.order()
    before = partner.exchange
    for key in (Key16(b"P" * 16), Key16(b"X" * 16)):
        forged = ExchangeResult(1, PLACE, Result.CANNOT_BE_STORED, bytes(3)).encode(mac_keys(key).up, partner.dev_eui)
        await partner.say(forged, 34)
    for nonsense in (b"\x82", bytes(45), b"\x83" * 16, b"\xff" * 242):
        await partner.say(nonsense, 34)
    assert replace(partner.exchange, attempts=before.attempts, due_at=before.due_at) == before


async def test_every_telegram_on_port_34_still_goes_to_the_portal(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    assert [one.payload for one in partner.lab.telegrams() if one.fport == 34] == partner.spoken


async def test_a_replaced_key_opens_late_telegrams_for_a_while_and_is_then_gone(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    await partner.talk(await partner.values())
    await partner.order(seq=3, place=Place(1, 3))
    await partner.talk()
    await partner.talk(await partner.values(Place(1, 3)))
    await partner.values(PLACE)
    assert len(partner.opened()) == 3
    await partner.lab.clock.advance(GRACE_S)
    await partner.lab.partner.turn()
    assert [entry.slot for entry in partner.lab.ring.of(partner.mote.dev_eui).entries] == [3]


async def test_a_device_that_leaves_the_table_takes_its_keys_along(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    await partner.lab.devices(remove=[partner.mote.dev_eui], base=partner.lab.table.revision)
    await partner.lab.partner.turn()
    assert list(partner.lab.ring) == []


async def test_who_steals_everything_stored_here_cannot_tell_the_next_key(partner: Partner) -> None:
    """Database, credential and key file of yesterday, and all that was on the air, give no key agreed after that."""
    await partner.order()
    await partner.talk()
    await partner.order(seq=3, place=Place(1, 3))
    offer = partner.exchange.private
    assert offer is not None
    folder = partner.lab.database.path.parent

    def rested() -> bytes:
        return partner.lab.credential.open((folder / "adapter.keys").read_bytes()[6:], "adapter keys")

    ephemeral = base64.b64encode(offer.reveal())
    assert ephemeral in rested()
    await partner.talk()
    assert partner.keys.held[Place(1, 3)]
    assert ephemeral not in rested()
    assert all(offer.reveal() not in file.read_bytes() for file in folder.iterdir() if file.is_file())


async def test_the_key_file_is_owner_only_and_shows_no_key(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    file = partner.lab.database.path.parent / "adapter.keys"
    assert file.stat().st_mode & 0o777 == 0o600
    secret = partner.keys.held[PLACE].reveal()
    assert secret not in file.read_bytes()
    assert secret.hex() not in repr(partner.lab.ring.of(partner.mote.dev_eui))


async def test_a_key_of_the_portal_opens_nothing_here(partner: Partner) -> None:
    """It is not in what the concentrator was given: neither its table nor its keys."""
    portals = InnerKey(b"P" * 16)
    await partner.values(Place(1, 1), portals)
    assert partner.opened() == []
    entry = KeyEntry(1, InnerKey(TRANSPORT.reveal()), "inner", "x", None, None, Standing.PROVEN)
    held = partner.lab.ring.of(partner.mote.dev_eui).with_entry(entry)
    partner.lab.ring.change(partner.mote.dev_eui, held)
    await partner.values(Place(1, 1), portals)
    assert partner.opened() == []


async def test_an_adapter_that_missed_the_proof_gets_it_after_its_next_report(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    await partner.values()
    held = partner.lab.ring.of(partner.mote.dev_eui)
    partner.lab.ring.change(partner.mote.dev_eui, replace(held, exchange=replace(partner.exchange, stage=Stage.OVER)))
    partner.keys.last = 1
    await partner.talk(await partner.say(partner.keys.report(), 34))
    assert partner.keys.proved == [PLACE]


async def test_a_date_that_is_not_trusted_opens_nothing(partner: Partner) -> None:
    await partner.order()
    await partner.talk()
    partner.quality = "none"
    await partner.values()
    assert partner.opened() == []
    partner.quality = "free"
    await partner.values()
    assert len(partner.opened()) == 1


async def test_a_key_opens_within_its_validity_only(partner: Partner) -> None:
    now = int(partner.lab.clock.time())
    await partner.order(not_before=now + 3600, not_after=now + 7200)
    await partner.talk()
    await partner.values()
    assert partner.opened() == []
    await partner.lab.clock.advance(3600)
    await partner.values()
    assert len(partner.opened()) == 1
    await partner.lab.clock.advance(3600)
    await partner.values()
    assert len(partner.opened()) == 1


async def test_only_rising_counters_are_forwarded_opened_also_after_a_restart(make_lab: Callable[..., Lab]) -> None:
    partner = await Partner(make_lab()).move_in()
    await partner.order()
    await partner.talk()
    await partner.values()
    partner.lab = make_lab()
    partner.counter = iter([1001, 1000, 1002])
    for _ in range(3):
        await partner.values()
    assert [opened["counter"] for opened in partner.opened()] == [1001, 1002]


async def test_after_a_timeout_the_same_order_makes_another_offer(partner: Partner) -> None:
    await partner.order()
    await partner.lab.clock.advance(MAX_AGE_S)
    await partner.lab.queue.expire()
    await partner.lab.partner.turn()
    await partner.order()
    await partner.talk()
    assert [reason for reason, _ in partner.outcomes()] == ["timeout", "ok"]


async def test_after_a_timeout_the_same_order_goes_on_with_a_key_that_the_adapter_may_have(partner: Partner) -> None:
    await partner.order()
    offer = await partner.say()
    assert offer is not None
    await partner.say(partner.answer(offer), 34)  # the confirmation gets lost
    await partner.lab.clock.advance(MAX_AGE_S)
    await partner.lab.queue.expire()
    await partner.lab.partner.turn()
    check = partner.exchange.check
    await partner.order()
    await partner.talk()
    assert partner.outcomes()[-1] == ("ok", {"seq": 1, "place": PLACE.octet, "check": check.hex()})
