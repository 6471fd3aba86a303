"""Second factors: set up, shown once, removed, audited; what is stored, and whatever a hostile browser sends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from fido2.utils import websafe_encode
from hypothesis import given
from hypothesis import strategies as st

from provisioning.accounts import passkeys
from provisioning.accounts.actors import Actor
from provisioning.accounts.factor_changes import (
    MAX_PASSKEYS,
    add_app,
    add_passkey,
    new_app_secret,
    remove,
    renew_codes,
    reset,
)
from provisioning.accounts.factors import Kind, codes_left, factors_of, for_changes, for_keys, kinds_of, missing
from provisioning.accounts.models import Role, User
from provisioning.accounts.passkeys import MAX_RESPONSE, Party, WrongFactor
from provisioning.accounts.proofs import use_code, use_passkey
from provisioning.accounts.sealing import SealingAdapter, Unsealable
from provisioning.accounts.services import add_member
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from tests.cast import STAGE, Cast
from tests.support.app_codes import shown_by_app
from tests.support.passkey import DOMAIN, ORIGIN, SoftPasskey, give_passkey

NOW = datetime(2026, 11, 27, 12, 0, 5, tzinfo=UTC)
STEP = timedelta(seconds=30)
PARTY = Party(DOMAIN, ORIGIN)
NOBODY: frozenset[str] = frozenset()
CUSTODIAN = frozenset({str(Role.CUSTODIAN)})


def app_of(user: User, at: datetime = NOW) -> str:
    secret = new_app_secret()
    add_app(user, secret, shown_by_app(secret, at), at)
    return secret


def register(user: User, device: SoftPasskey, name: str = "laptop", party: Party = PARTY) -> None:
    options, state = passkeys.begin_registration(user, party)
    add_passkey(user, party, state, device.create(options), name)


def answer(user: User, device: SoftPasskey, party: Party = PARTY) -> Kind:
    options, state = passkeys.begin_authentication(user, party)
    return use_passkey(user, party, state, device.get(options), NOW)


def told(cast: Cast) -> list[str]:
    return list(
        Entry.objects.filter(organisation=cast.organisation, object_type="user").values_list("action", flat=True)
    )


def test_a_passkey_is_registered_and_answers_from_then_on(cast: Cast) -> None:
    device = SoftPasskey()
    register(cast.custodian, device)
    assert kinds_of(cast.custodian) == {Kind.PASSKEY}
    assert answer(cast.custodian, device) is Kind.PASSKEY
    assert Authenticator.objects.get().last_used_at == NOW
    entry = Entry.objects.get(action="factor.added")
    assert (entry.actor, entry.data) == (cast.custodian, {"kind": "webauthn", "name": "laptop"})


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://sub.testserver"},
        {"domain": "evil.example"},
        {"flags": 0x04},
        {"flags": 0x01},
    ],
    ids=["another site", "a site below ours", "another domain", "nobody present", "person not verified"],
)
def test_a_passkey_that_answers_for_another_page_or_nobody_is_refused(changes: dict[str, Any], cast: Cast) -> None:
    with pytest.raises(WrongFactor):
        register(cast.custodian, SoftPasskey(**changes))
    device = give_passkey(cast.operator)
    for name, value in changes.items():
        setattr(device, name, value)
    with pytest.raises(WrongFactor):
        answer(cast.operator, device)


def test_an_answer_serves_for_its_own_challenge_only(cast: Cast) -> None:
    device = give_passkey(cast.operator)
    options, _state = passkeys.begin_authentication(cast.operator, PARTY)
    old = device.get(options)
    _options, state = passkeys.begin_authentication(cast.operator, PARTY)
    with pytest.raises(WrongFactor):
        use_passkey(cast.operator, PARTY, state, old, NOW)


def test_the_passkey_of_somebody_else_is_refused(cast: Cast) -> None:
    device = give_passkey(cast.operator)
    give_passkey(cast.custodian)
    with pytest.raises(WrongFactor):
        answer(cast.custodian, device)


def test_a_copied_passkey_shows_by_its_counter_and_is_refused(cast: Cast) -> None:
    device = give_passkey(cast.operator)
    for counter in (5, 6):
        device.counter = counter
        answer(cast.operator, device)
    for counter in (6, 1, 0):
        device.counter = counter
        with pytest.raises(WrongFactor):
            answer(cast.operator, device)


def test_an_authenticator_that_does_not_count_serves_again_and_again(cast: Cast) -> None:
    device = give_passkey(cast.operator)
    assert [answer(cast.operator, device) for _ in range(3)] == [Kind.PASSKEY] * 3


def test_a_key_that_is_no_point_of_the_curve_is_refused_when_it_is_set_up(cast: Cast) -> None:
    device = SoftPasskey()
    wrong = device._cose()[:-1] + bytes([device._cose()[-1] ^ 1])
    device._cose = lambda: wrong  # type: ignore[method-assign]
    with pytest.raises(WrongFactor):
        register(cast.operator, device)


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda sent: [sent],
    "nothing": lambda sent: {},
    "no response": lambda sent: {**sent, "response": None},
    "another id": lambda sent: {**sent, "id": "AAAA"},
    "cut short": lambda sent: {**sent, "response": {**sent["response"], "clientDataJSON": "eyJ0"}},
    "no base64": lambda sent: {**sent, "response": {**sent["response"], "clientDataJSON": "ä"}},
    "too long": lambda sent: {**sent, "more": "x" * MAX_RESPONSE},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_refused_like_any_wrong_one(broken: Callable[[dict[str, Any]], Any], cast: Cast) -> None:
    device = give_passkey(cast.operator)
    options, state = passkeys.begin_authentication(cast.operator, PARTY)
    sent = json.dumps(broken(json.loads(device.get(options))))
    with pytest.raises(WrongFactor, match="was not accepted"):
        use_passkey(cast.operator, PARTY, state, sent, NOW)
    with pytest.raises(WrongFactor, match="was not accepted"):
        passkeys.finish_registration(PARTY, state, sent)


@given(st.binary(max_size=300))
def test_no_attestation_makes_the_parser_do_anything_but_refuse(made: bytes) -> None:
    _options, state = passkeys._server(PARTY).authenticate_begin()
    device = SoftPasskey()
    sent = json.loads(device.create({"publicKey": {"user": {"id": "MQ"}, "challenge": state["challenge"]}}))
    sent["response"]["attestationObject"] = websafe_encode(made)
    with pytest.raises(WrongFactor):
        passkeys.finish_registration(PARTY, state, json.dumps(sent))


@pytest.mark.parametrize(
    "handle", [None, 7, "", "MA", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "w6Q", "MTIzNDU2Nzg5"]
)
def test_a_passkey_that_names_nobody_is_refused(handle: object, cast: Cast) -> None:
    with pytest.raises(WrongFactor):
        passkeys.claimed_user(json.dumps({"response": {"userHandle": handle}}))


def test_the_number_of_passkeys_is_bounded(cast: Cast) -> None:
    for number in range(MAX_PASSKEYS):
        give_passkey(cast.operator, f"key {number}")
    with pytest.raises(Conflict, match="10 passkeys already"):
        register(cast.operator, SoftPasskey())


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\nb"])
def test_a_passkey_needs_a_name_that_can_be_read(name: str, cast: Cast) -> None:
    with pytest.raises(Invalid):
        register(cast.operator, SoftPasskey(), name)


def test_a_code_of_the_app_serves_once(cast: Cast) -> None:
    secret = app_of(cast.operator)
    with pytest.raises(WrongFactor):
        use_code(cast.operator, shown_by_app(secret, NOW), NOW)
    later = NOW + STEP
    assert use_code(cast.operator, shown_by_app(secret, later), later) is Kind.APP
    with pytest.raises(WrongFactor):
        use_code(cast.operator, shown_by_app(secret, later), later)


@pytest.mark.parametrize(("drift", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_that_is_half_a_minute_wrong_is_forgiven(drift: int, accepted: bool, cast: Cast) -> None:
    secret = app_of(cast.operator)
    now = NOW + 10 * STEP
    code = shown_by_app(secret, now + drift * STEP)
    if accepted:
        assert use_code(cast.operator, f"{code[:3]} {code[3:]}", now) is Kind.APP
    else:
        with pytest.raises(WrongFactor):
            use_code(cast.operator, code, now)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "٠١٢٣٤٥", "1" * 21, "0" * 10_000])
def test_a_code_of_the_wrong_form_is_refused(code: str, cast: Cast) -> None:
    app_of(cast.operator)
    renew_codes(cast.operator)
    with pytest.raises(WrongFactor):
        use_code(cast.operator, code, NOW + 10 * STEP)


def test_an_app_that_shows_no_right_code_is_not_set_up(cast: Cast) -> None:
    with pytest.raises(WrongFactor, match="clock"):
        add_app(cast.operator, new_app_secret(), "000000", NOW)
    assert kinds_of(cast.operator) == set()
    app_of(cast.operator)
    with pytest.raises(Conflict, match="already"):
        app_of(cast.operator)


def test_each_recovery_code_serves_once_and_the_use_is_audited(cast: Cast) -> None:
    app_of(cast.operator)
    codes = renew_codes(cast.operator)
    assert len(set(codes)) == 10
    assert use_code(cast.operator, codes[3], NOW) is Kind.RECOVERY
    with pytest.raises(WrongFactor):
        use_code(cast.operator, codes[3], NOW)
    assert use_code(cast.operator, codes[4], NOW) is Kind.RECOVERY
    assert codes_left(cast.operator) == 8
    assert told(cast)[-2:] == ["factor.recovery_used"] * 2
    assert Entry.objects.filter(action="factor.recovery_used").last().data == {"left": 8}  # type: ignore[union-attr]


def test_new_recovery_codes_end_the_old_ones(cast: Cast) -> None:
    app_of(cast.operator)
    old, new = renew_codes(cast.operator), renew_codes(cast.operator)
    with pytest.raises(WrongFactor):
        use_code(cast.operator, old[0], NOW)
    assert use_code(cast.operator, new[0], NOW) is Kind.RECOVERY


def test_recovery_codes_stand_in_for_a_factor_and_end_with_the_last_one(cast: Cast) -> None:
    with pytest.raises(Conflict, match="set up one first"):
        renew_codes(cast.operator)
    app_of(cast.operator)
    renew_codes(cast.operator)
    remove(cast.operator, factors_of(cast.operator)[0], NOBODY)
    assert kinds_of(cast.operator) == set()


def test_no_secret_of_a_factor_is_in_the_database_or_the_audit(cast: Cast) -> None:
    secret = app_of(cast.operator)
    codes = renew_codes(cast.operator)
    stored = f"{list(Authenticator.objects.values())}{list(Entry.objects.values())}"
    assert not [text for text in (secret, *codes) if text in stored]


def test_what_is_sealed_opens_again_and_not_when_it_was_changed() -> None:
    adapter = SealingAdapter()
    sealed = adapter.encrypt("secret")
    assert adapter.decrypt(sealed) == "secret"
    assert adapter.encrypt("secret") != sealed
    number, _, body = sealed.partition(":")
    flipped = f"{number}:{'A' if body[0] != 'A' else 'B'}{body[1:]}"
    for wrong in (flipped, f"7:{body}", "secret", f"{number}:ä", ""):
        with pytest.raises(Unsealable):
            adapter.decrypt(wrong)


def test_without_the_pepper_of_a_factor_the_pages_go_on_and_the_factor_says_so(
    cast: Cast, settings: Any, tmp_path: Path
) -> None:
    secret = app_of(cast.operator)
    renew_codes(cast.operator)
    settings.TOKEN_PEPPERS_FILE = str(tmp_path / "peppers")
    Path(settings.TOKEN_PEPPERS_FILE).write_text(json.dumps({"1": "ab" * 32}))
    assert codes_left(cast.operator) == 10
    with pytest.raises(Unsealable, match="take another one"):
        use_code(cast.operator, shown_by_app(secret, NOW + STEP), NOW + STEP)


def test_a_recovery_code_serves_where_the_app_can_no_longer_be_opened(cast: Cast) -> None:
    app_of(cast.operator)
    codes = renew_codes(cast.operator)
    Authenticator.objects.filter(type=Authenticator.Type.TOTP).update(data={"secret": "9:gone", "counter": 0})
    with pytest.raises(Unsealable, match="take another one"):
        use_code(cast.operator, "000000", NOW)
    assert use_code(cast.operator, codes[0], NOW) is Kind.RECOVERY


def test_a_custodian_keeps_one_passkey(cast: Cast) -> None:
    give_passkey(cast.custodian)
    only = factors_of(cast.custodian)[0]
    with pytest.raises(Conflict, match="keep at least one passkey"):
        remove(cast.custodian, only, CUSTODIAN)
    give_passkey(cast.custodian, "security key")
    remove(cast.custodian, only, CUSTODIAN)
    assert [row.data["name"] for row in factors_of(cast.custodian)] == ["security key"]
    with pytest.raises(Conflict, match="gone already"):
        remove(cast.custodian, only, NOBODY)


def test_nobody_removes_the_factor_of_somebody_else(cast: Cast) -> None:
    give_passkey(cast.custodian)
    with pytest.raises(Forbidden):
        remove(cast.operator, factors_of(cast.custodian)[0], NOBODY)


@pytest.mark.parametrize(
    ("kinds", "roles", "demand", "lacks"),
    [
        ("", "operator", True, False),
        ("", "custodian", False, True),
        ("app", "custodian", False, True),
        ("passkey", "custodian", False, False),
        ("", "administrator", True, True),
        ("", "administrator", False, False),
        ("app", "administrator", True, False),
        ("app", "custodian administrator", True, True),
    ],
)
def test_who_lacks_a_factor(kinds: str, roles: str, demand: bool, lacks: bool, cast: Cast, settings: Any) -> None:
    settings.DEMAND_SECOND_FACTOR = demand
    if kinds == "app":
        app_of(cast.viewer)
    elif kinds == "passkey":
        give_passkey(cast.viewer)
    assert missing(cast.viewer, frozenset(roles.split())) is lacks


def test_what_counts_grows_with_what_somebody_has(cast: Cast) -> None:
    user = cast.operator
    assert (for_keys(user, NOBODY), for_changes(user)) == ({Kind.PASSWORD}, {Kind.PASSWORD})
    app_of(user)
    assert Kind.PASSWORD not in for_keys(user, NOBODY) | for_changes(user)
    assert Kind.APP in for_changes(user)
    give_passkey(user)
    assert for_changes(user) == {Kind.PASSKEY, Kind.RECOVERY}, "a code of the app does not replace a passkey"
    assert for_keys(user, CUSTODIAN) == {Kind.PASSKEY}


def test_a_change_is_told_in_every_organisation_of_the_person(cast: Cast) -> None:
    add_member(STAGE, cast.away.organisation, cast.operator.email, Role.VIEWER)
    app_of(cast.operator)
    entries = Entry.objects.filter(action="factor.added", actor=cast.operator)
    assert {entry.organisation_id for entry in entries} == {cast.organisation.pk, cast.away.organisation.pk}


def test_the_operator_of_the_portal_resets_the_factors_of_who_lost_them_all(cast: Cast, capsys: Any) -> None:
    app_of(cast.operator)
    give_passkey(cast.operator)
    call_command("factor_reset", cast.operator.email.upper(), reason="Called back on the known number")
    assert kinds_of(cast.operator) == set()
    assert "2 factors" in capsys.readouterr().out
    assert Entry.objects.get(action="factor.reset").data == {"reason": "Called back on the known number"}
    for email, reason in (("nobody@example.org", "x"), (cast.operator.email, " ")):
        with pytest.raises(CommandError):
            call_command("factor_reset", email, reason=reason)


@pytest.mark.parametrize("who", ["administrator", "custodian"])
def test_a_person_does_not_reset_the_factors_of_another(who: str, cast: Cast) -> None:
    actor: Actor = cast.home.people[who]
    with pytest.raises(Forbidden, match="factor_reset"):
        reset(actor, cast.operator, "I was asked to")
