"""A delivered key is checked, stored on trial, answered, and never overwrites what is in use."""

from dataclasses import replace

import pytest

from adapter_agent.keys.holding import Partner
from edge.sealedfile import SealedFileError
from meterwire.key_messages import (
    DeliveryAnswer,
    KeyDelivery,
    KeyPurpose,
    KeyReport,
    KeyRevoke,
    Place,
    Result,
    decode,
    mac_keys,
    wrap,
)
from meterwire.key_messages.protection import tag
from meterwire.keymemory import Standing
from meterwire.seal import Key16
from tests.adapter_agent.cast import BEGIN, DEV_EUI
from tests.adapter_agent.keys.cast import CONCENTRATOR, EUI, YEAR, Adapter, Far, inner, key
from tests.meterwire.vectors import load


def test_a_delivered_key_is_stored_answered_and_seals_the_next_telegram():
    adapter = Adapter()
    portal = Far(adapter)
    answer = portal.deliver(inner(2, tag_length=8), key(2), begin=int(BEGIN) - 1)
    assert answer == DeliveryAnswer(1, inner(2, tag_length=8), Result.STORED, key(2).check_value())
    assert adapter.seal() == 2
    entry = adapter.memory.by_slot(2)
    assert (entry.key.reveal(), entry.key.tag_length) == (key(2).reveal(), 8)
    assert (entry.not_before, entry.not_after, entry.partner) == (BEGIN - 1, BEGIN + YEAR, "portal")
    assert entry.standing is Standing.TRIAL


def test_a_key_for_later_waits_for_its_time():
    adapter = Adapter()
    Far(adapter).deliver(inner(2), key(2), begin=int(BEGIN) + 60)
    assert adapter.seal() == 1
    adapter.date += 60
    assert adapter.seal() == 2


def test_everything_survives_a_power_failure():
    adapter = Adapter()
    portal = Far(adapter)
    portal.deliver(inner(2), key(2))
    adapter.restart()
    assert adapter.seal() == 2
    assert portal.deliver(inner(3), key(3)).result is Result.STORED


def test_an_answer_not_acknowledged_is_said_again_after_a_restart():
    adapter = Adapter()
    portal = Far(adapter)
    adapter.requests.take(portal.delivery(inner(2), key(2)).encode(portal.macs.down, DEV_EUI))
    adapter.restart()
    [answer] = portal.hear()
    assert answer.result is Result.STORED
    adapter.restart()
    assert portal.hear() == []


def test_the_same_request_again_gets_the_same_answer_and_changes_nothing():
    adapter = Adapter()
    portal = Far(adapter)
    delivery = portal.delivery(inner(2), key(2))
    first = portal.send(delivery)
    adapter.seal()
    content = adapter.file.content
    assert portal.send(delivery) == first
    assert adapter.file.content == content


def test_an_older_request_changes_nothing_and_a_report_says_how_far_it_is():
    adapter = Adapter()
    portal = Far(adapter)
    old = portal.delivery(inner(2), key(2))
    portal.deliver(inner(3), key(3))
    refused, report = portal.send(old)
    assert refused == DeliveryAnswer(1, inner(2), Result.OLD_SEQUENCE, bytes(3))
    assert isinstance(report, KeyReport)
    assert report.seq == 2
    assert [entry.slot for entry in adapter.memory] == [1, 3]


def test_one_number_serves_one_request():
    adapter = Adapter()
    portal = Far(adapter)
    portal.deliver(inner(2), key(2))
    portal.seq -= 1
    refused, _ = portal.send(portal.delivery(inner(3), key(3)))
    assert refused.result is Result.OLD_SEQUENCE


def test_what_is_not_authentic_changes_nothing_and_gets_no_answer(caplog):
    adapter = Adapter()
    portal = Far(adapter)
    payload = portal.delivery(inner(2), key(2)).encode(portal.macs.down, DEV_EUI)
    content = adapter.file.content
    upward = portal.delivery(inner(2), key(2)).encode(portal.macs.up, DEV_EUI)
    stranger = portal.delivery(inner(2), key(2)).encode(mac_keys(key(7)).down, DEV_EUI)
    changed = payload[:3] + bytes([payload[3] ^ 1]) + payload[4:]
    for wrong in (b"", b"\x01", payload[:-1], payload + b"\x00", changed, upward, stranger, bytes(60), b"\xff" * 51):
        adapter.requests.take(wrong)
    assert adapter.said() == []
    assert adapter.file.content == content


def test_an_authentic_message_that_cannot_be_read_is_left(caplog):
    adapter = Adapter()
    portal = Far(adapter)
    payload = KeyRevoke(1, inner(1)).encode(portal.macs.down, DEV_EUI)
    unknown = b"\x1f" + payload[1:4]
    adapter.requests.take(unknown + tag(unknown, portal.macs.down, DEV_EUI))
    assert adapter.said() == []
    assert "unreadable" in caplog.text


@pytest.mark.parametrize(
    ("place", "changes", "result"),
    [
        (inner(2), {"check": b"\x01\x02\x03"}, Result.WRONG_CHECK_VALUE),
        (inner(2), {"end": int(BEGIN)}, Result.VALIDITY_OVER),
        (inner(1), {}, Result.SLOT_TAKEN),
        (Place(KeyPurpose.LMN, 1), {}, Result.SLOT_TAKEN),
        (Place(KeyPurpose.CONTROL_DOWN, 2), {}, Result.PURPOSE_UNKNOWN),
        (Place(9, 2), {}, Result.PURPOSE_UNKNOWN),
    ],
)
def test_a_key_that_cannot_be_taken_is_refused_with_the_reason(place, changes, result):
    adapter = Adapter()
    answer = Far(adapter).deliver(place, key(2), **changes)
    assert answer.result is result
    assert [entry.slot for entry in adapter.memory] == [1]
    assert adapter.seal() == 1


def test_a_key_wrapped_under_another_transport_key_does_not_open():
    adapter = Adapter()
    portal = Far(adapter)
    wrong = replace(portal.delivery(inner(2), key(2)), wrapped=wrap(CONCENTRATOR, key(2)))
    [answer] = portal.send(wrong)
    assert (answer.result, answer.check) == (Result.WRONG_CHECK_VALUE, bytes(3))


def test_without_a_date_a_key_is_stored_and_not_used():
    adapter = Adapter()
    adapter.date = None
    assert Far(adapter).deliver(inner(2), key(2), end=int(BEGIN)).result is Result.STORED
    adapter.date = BEGIN
    assert adapter.seal() == 1


def test_a_key_that_has_sealed_nothing_is_replaced_by_its_partner_only():
    adapter = Adapter()
    portal, concentrator = Far(adapter), Far(adapter, CONCENTRATOR)
    portal.deliver(inner(2), key(2))
    assert concentrator.deliver(inner(2), key(3)).result is Result.SLOT_TAKEN
    assert portal.deliver(inner(2), key(4)).result is Result.STORED
    adapter.seal()
    assert portal.deliver(inner(2), key(5)).result is Result.SLOT_TAKEN
    assert adapter.memory.by_slot(2).key.reveal() == key(4).reveal()


def test_a_key_that_alone_can_seal_is_not_replaced():
    adapter = Adapter()
    portal = Far(adapter)
    portal.deliver(inner(2), key(2))
    portal.revoke(inner(1))
    assert portal.deliver(inner(2), key(3), begin=int(BEGIN) + 60).result is Result.SLOT_TAKEN


def test_an_expired_key_makes_room():
    adapter = Adapter()
    adapter.date = BEGIN + YEAR
    assert Far(adapter).deliver(inner(1), key(2), end=int(BEGIN) + 2 * YEAR).result is Result.STORED
    assert adapter.seal() == 1


def test_a_full_disk_is_told_and_nothing_is_changed(caplog):
    adapter = Adapter()
    portal = Far(adapter)
    delivery = portal.delivery(inner(2), key(2))
    adapter.file.full = True
    [answer] = portal.send(delivery)
    assert answer.result is Result.CANNOT_BE_STORED
    assert [entry.slot for entry in adapter.memory] == [1]
    adapter.file.full = False
    [answer] = portal.send(delivery)
    assert answer.result is Result.STORED


def test_the_keys_of_meters_take_no_slot():
    adapter = Adapter()
    portal = Far(adapter)
    for input_ in range(8):
        assert portal.deliver(Place(KeyPurpose.METER, input_), key(0x20 + input_)).result is Result.STORED
    adapter.restart()
    assert adapter.ring.meter_key(3) == key(0x23)
    assert len(adapter.memory) == 1
    assert portal.revoke(Place(KeyPurpose.METER, 3)).result is Result.STORED
    assert adapter.ring.meter_key(3) is None


def test_a_concentrator_delivers_inner_keys_and_nothing_else():
    adapter = Adapter()
    concentrator = Far(adapter, CONCENTRATOR)
    for purpose in (KeyPurpose.LMN, KeyPurpose.METER, KeyPurpose.TRANSPORT):
        assert concentrator.deliver(Place(purpose, 2), key(2)).result is Result.PURPOSE_UNKNOWN
    assert concentrator.deliver(inner(2), key(2)).result is Result.STORED
    assert adapter.memory.by_slot(2).partner == EUI


def test_a_new_transport_key_serves_beside_the_old_until_it_is_heard():
    adapter = Adapter()
    portal = Far(adapter)
    assert portal.deliver(Place(KeyPurpose.TRANSPORT, 0), key(0xC0)).result is Result.STORED
    assert portal.deliver(inner(2), key(2)).result is Result.STORED
    successor = Far(adapter, key(0xC0))
    assert successor.deliver(inner(3), key(3)).result is Result.STORED
    adapter.requests.take(portal.delivery(inner(4), key(4)).encode(portal.macs.down, DEV_EUI))
    assert adapter.said() == []
    assert [entry.slot for entry in adapter.memory] == [1, 2, 3]


def test_a_new_transport_key_is_heard_in_what_is_not_about_keys_too():
    adapter = Adapter()
    portal, successor, stranger = Far(adapter), Far(adapter, key(0xC0)), Far(adapter, key(0xD0))
    portal.deliver(Place(KeyPurpose.TRANSPORT, 0), key(0xC0))

    def held_after(sender: Far, *, full: bool = False) -> list[Key16]:
        adapter.file.full = full
        octets = b"\x20about a day"
        adapter.requests.heard(octets + tag(octets, sender.macs.down, DEV_EUI))
        return [partner.transport for partner in adapter.ring.holding.partners if partner.is_portal]

    both = [portal.transport, successor.transport]
    assert (held_after(stranger), held_after(portal), held_after(successor, full=True)) == (both, both, both)
    assert held_after(successor) == [successor.transport]


def test_the_portal_brings_and_takes_the_transport_key_of_a_concentrator():
    adapter = Adapter()
    portal, other = Far(adapter), Far(adapter, key(0xD0))
    assert portal.deliver(Place(KeyPurpose.TRANSPORT, 2), key(0xD0)).result is Result.STORED
    assert other.deliver(inner(2), key(2)).result is Result.STORED
    assert portal.deliver(Place(KeyPurpose.TRANSPORT, 3), key(0xD0)).result is Result.SLOT_TAKEN
    assert portal.revoke(Place(KeyPurpose.TRANSPORT, 0)).result is Result.SLOT_TAKEN
    assert portal.revoke(Place(KeyPurpose.TRANSPORT, 2)).result is Result.STORED
    adapter.requests.take(other.delivery(inner(3), key(3)).encode(other.macs.down, DEV_EUI))
    assert adapter.said() == []


def test_a_log_names_slot_and_result_and_no_key(caplog):
    caplog.set_level("DEBUG")
    adapter = Adapter()
    Far(adapter).deliver(inner(2), key(2))
    [record] = [record for record in caplog.records if hasattr(record, "result")]
    assert (record.slot, record.seq, record.result, record.partner) == (2, 1, "STORED", "portal")
    shown = repr(adapter.ring.holding) + "".join(str(vars(record)) for record in caplog.records)
    assert key(2).reveal().hex() not in shown
    assert repr(key(2).reveal()) not in shown


def test_the_vector_that_is_documented_is_taken():
    vectors = load("key_messages")
    sent = {one["name"]: bytes.fromhex(one["bytes"]) for one in vectors["messages"]}
    adapter = Adapter()
    transport = Key16.parse(vectors["transport_key"])
    adapter.ring.change(replace(adapter.ring.holding, partners=(Partner("portal", 0, transport),)))
    adapter.requests.take(sent["KeyDelivery"])
    assert adapter.said() == [sent["DeliveryAnswer"]]
    assert isinstance(decode(sent["KeyDelivery"], up=False), KeyDelivery)


def test_what_was_refused_because_the_disk_failed_late_is_not_found_after_a_restart():
    adapter = Adapter()
    portal = Far(adapter)
    write = adapter.file.write

    def failing_once(content: bytes) -> None:
        write(content)
        adapter.file.write = write
        raise SealedFileError("the folder cannot be synchronised")

    adapter.file.write = failing_once
    assert portal.deliver(inner(2), key(2)).result is Result.CANNOT_BE_STORED
    adapter.restart()
    assert [entry.slot for entry in adapter.memory] == [1]
