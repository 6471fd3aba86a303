"""LMN keys reach their adapters only after the gateway's administrator has them; openssl opens what he gets."""

import json
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from provisioning.audit.models import Entry
from provisioning.campaigns.models import LmnHandover
from provisioning.campaigns.services import acknowledge, begin, download, prepare_handover, retry, withdraw
from provisioning.campaigns.services import handover as services_handover
from provisioning.campaigns.services.handover import make_file_here
from provisioning.campaigns.services.outcomes import failed
from provisioning.campaigns.vault_operation import LMN_FILE, LmnFile, make_file
from provisioning.errors import Conflict, Invalid
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import activate, issue_inner_key, issue_key, revoke
from provisioning.keys.vault_operations import asker, perform
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import HOUR, NOON, Stage
from tests.support.openssl import openssl

PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _prepared(stage: Stage, *keys: DeviceKey) -> LmnHandover:
    who = stage.cast.custodian
    terms = {"name": "Gateway Ltd", "public_key": PEM, "reason": "new meters"}
    return prepare_handover(who, stage.cast.organisation, keys, **terms)


def _lmn_key(stage: Stage) -> DeviceKey:
    return issue_key(STAGE, stage.adapter(), "lmn", tag_length=8)


def test_an_lmn_key_goes_to_the_gateway_first_and_then_to_its_adapter(stage: Stage) -> None:
    key = _lmn_key(stage)
    handover = _prepared(stage, key)
    with pytest.raises(Conflict):
        acknowledge(stage.cast.custodian, handover, "he said so on the phone")
    make_file(stage.cast.custodian, handover)
    key.refresh_from_db()
    assert key.state == "generated"
    campaign = acknowledge(stage.cast.custodian, handover, "letter of 24 November")
    delivery = begin(campaign.deliveries.get().pk, NOON, stage.vault)
    assert delivery is not None
    assert (delivery.state, delivery.key) == ("delivering", key)
    assert stage.confirmed(delivery).state == "confirmed"
    assert stage.heard(key) == 1
    key.refresh_from_db()
    assert key.state == "active"


def test_the_recipient_opens_the_file_with_openssl_and_finds_meters_addresses_and_keys(
    stage: Stage, vacant: Path
) -> None:
    key = _lmn_key(stage)
    point = stage.cast.metering_point(stage.site, "Flat 3")
    meter = stage.cast.meter(point)
    stage.cast.pairing(key.adapter, point)
    handover = _prepared(stage, key)
    text = make_file_here(stage.vault, stage.cast.custodian, handover)
    secret = stage.vault.open(key).reveal().hex()
    assert secret not in text
    vacant.write_bytes(PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    opened = json.loads(openssl("cms", "-decrypt", "-inform", "PEM", "-inkey", vacant, given=text.encode()))
    assert (opened["recipient"], opened["format"]) == ("Gateway Ltd", "mspan lmn hand-over v1")
    entry = opened["keys"][0]
    assert (entry["dev_eui"], entry["key"], entry["slot"]) == (key.adapter.dev_eui, secret, 1)
    assert [item["meter_id"] for item in entry["meters"]] == [meter.meter_id]
    assert download(stage.cast.custodian, handover) == text
    assert secret not in str(list(Entry.objects.values()))


def test_a_file_is_made_once(stage: Stage) -> None:
    handover = _prepared(stage, _lmn_key(stage))
    with pytest.raises(Conflict, match="not made"):
        download(stage.cast.custodian, handover)
    make_file_here(stage.vault, stage.cast.custodian, handover)
    with pytest.raises(Conflict, match="already"):
        make_file_here(stage.vault, stage.cast.custodian, handover)


def test_what_does_not_fit_into_one_file_is_refused_with_a_cure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_handover, "MAX_PAYLOAD", 200)
    handover = _prepared(stage, _lmn_key(stage))
    with pytest.raises(Conflict, match="prepare smaller ones"):
        make_file_here(stage.vault, stage.cast.custodian, handover)
    handover.refresh_from_db()
    assert handover.made_at is None


def test_the_vault_answers_with_the_row_and_not_with_the_file(stage: Stage) -> None:
    handover = _prepared(stage, _lmn_key(stage))
    question = LmnFile(asker(stage.cast.custodian), handover.pk)
    answer = perform(stage.vault, LMN_FILE, msgspec.json.encode(question))
    assert answer == str(handover.pk).encode()
    assert download(stage.cast.custodian, handover).startswith("-----BEGIN CMS-----")


def test_a_key_that_was_revoked_meanwhile_stops_the_file_and_leaves_no_trace_of_it(stage: Stage) -> None:
    key = _lmn_key(stage)
    handover = _prepared(stage, key)
    revoke(STAGE, key, "lost")
    with pytest.raises(Conflict, match="revoked"):
        make_file_here(stage.vault, stage.cast.custodian, handover)
    handover.refresh_from_db()
    assert handover.made_at is None


def test_only_new_lmn_keys_of_the_organisation_are_handed_over_and_each_once(stage: Stage) -> None:
    key = _lmn_key(stage)
    theirs = issue_key(STAGE, stage.cast.adapter(stage.cast.site(company=stage.cast.away)), "lmn")
    for wrong in (issue_inner_key(STAGE, key.adapter), theirs):
        with pytest.raises(Invalid) as refusal:
            _prepared(stage, key, wrong)
        assert refusal.value.field == "keys"
    handover = _prepared(stage, key)
    with pytest.raises(Conflict, match="already"):
        _prepared(stage, key)
    withdraw(stage.cast.custodian, handover, "wrong recipient")
    assert _prepared(stage, key)
    with pytest.raises(Conflict):
        make_file_here(stage.vault, stage.cast.custodian, handover)


def test_what_is_no_public_key_is_refused(stage: Stage) -> None:
    with pytest.raises(Invalid):
        prepare_handover(
            STAGE, stage.cast.organisation, [_lmn_key(stage)], name="x", public_key="-----BEGIN", reason="y"
        )


def test_nobody_activates_a_new_lmn_key_by_hand(stage: Stage) -> None:
    with pytest.raises(Conflict, match="gateway"):
        activate(stage.cast.custodian, _lmn_key(stage))


def test_a_refused_lmn_key_is_tried_again_as_the_same_key_in_a_new_message(stage: Stage) -> None:
    handover = _prepared(stage, _lmn_key(stage))
    make_file_here(stage.vault, STAGE, handover)
    first = begin(acknowledge(STAGE, handover, "letter").deliveries.get().pk, NOON, stage.vault)
    assert first is not None
    refused = failed(first, "cannot_be_stored", "", NOON)
    second = begin(retry(stage.cast.custodian, refused).pk, NOON + HOUR, stage.vault)
    assert second is not None
    assert second.key == first.key
    assert (first.seq, second.seq) == (1, 2)
