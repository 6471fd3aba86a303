"""Keys for people: revealed with a second person's approval, or wrapped for a recipient; audited without the value."""

import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from meterwire.seal import Key16
from provisioning.accounts.models import Role, User
from provisioning.accounts.services import add_member, create_token
from provisioning.approvals.models import Approval
from provisioning.approvals.services import approve, request
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.keys import vault_operations
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import NewKey, destroy, import_keys, reveal, revoke, rewrap
from provisioning.keys.services.reveal import DEED, REVEAL, Reveal, RevealedKey, subject
from provisioning.keys.services.rewrap import REWRAP
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import VaultAway, VaultRefused, ask
from provisioning.keys.vault_operations import Asker, asker
from provisioning.keys.vault_server import VaultServer
from tests.cast import STAGE, Cast

KEY = Key16(bytes.fromhex("000102030405060708090a0b0c0d0e0f"))
WHY = "the hand-over file was lost"


def imported(cast: Cast) -> DeviceKey:
    row = import_keys(STAGE, cast.adapter(), [NewKey("inner", KEY)])[0]
    return DeviceKey.objects.select_related("organisation", "adapter").get(pk=row.pk)


def second(cast: Cast) -> User:
    return add_member(STAGE, cast.organisation, "second@lindenhof.example", Role.CUSTODIAN).user


def allowed(cast: Cast, key: DeviceKey) -> Approval:
    asked = request(cast.custodian, cast.organisation, DEED, subject(key), "inner key of an adapter", WHY)
    return approve(second(cast), asked)


def recipient(folder: Path) -> tuple[Path, str]:
    private = folder / "recipient.pem"
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(["openssl", "genpkey", *curve, "-out", str(private)], check=True, capture_output=True)
    public = subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout"], check=True, capture_output=True)
    return private, public.stdout.decode()


def opened(private: Path, wrapped: str) -> dict[str, Any]:
    command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "PEM", "-inkey", str(private)]
    content = subprocess.run(command, input=wrapped.encode(), check=True, capture_output=True).stdout
    found: dict[str, Any] = json.loads(content)
    return found


@pytest.fixture
def web(settings: Any, tmp_path: Path) -> Iterator[Any]:
    """This process is a web worker; the vault is another one."""
    server = VaultServer(tmp_path / "vault.sock", Vault.from_settings(), {os.geteuid()})
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(server.server_address)
    yield server
    server.shutdown()
    server.server_close()


def test_a_key_is_revealed_once_for_one_approval(cast: Cast) -> None:
    key = imported(cast)
    allowed(cast, key)

    assert reveal(cast.custodian, key, WHY) == RevealedKey(KEY.reveal().hex(), key.check_value)
    with pytest.raises(Conflict, match="approval"):
        reveal(cast.custodian, key, WHY)


def test_without_an_approval_or_with_one_for_another_key_nothing_is_revealed(cast: Cast) -> None:
    key, other = imported(cast), imported(cast)
    allowed(cast, other)
    with pytest.raises(Conflict, match="approval"):
        reveal(cast.custodian, key, WHY)


def test_a_program_reveals_nothing_even_for_a_custodian(cast: Cast) -> None:
    key = imported(cast)
    allowed(cast, key)
    token, _secret = create_token(cast.custodian, cast.organisation, "backup", role=Role.CUSTODIAN, read_only=False)
    with pytest.raises(Forbidden):
        reveal(token, key, WHY)


def test_a_key_that_does_not_open_leaves_the_approval_unspent(cast: Cast) -> None:
    key = imported(cast)
    approval = allowed(cast, key)
    DeviceKey.objects.filter(pk=key.pk).update(sealed=imported(cast).sealed)
    with pytest.raises(Conflict, match="does not open"):
        reveal(cast.custodian, key, WHY)
    approval.refresh_from_db()
    assert approval.state == Approval.State.APPROVED


def test_a_destroyed_key_is_gone(cast: Cast, tmp_path: Path) -> None:
    key = imported(cast)
    destroy(STAGE, revoke(STAGE, key, "stolen"), "stolen")
    allowed(cast, key)
    with pytest.raises(Conflict, match="destroyed"):
        reveal(cast.custodian, key, WHY)
    with pytest.raises(Conflict, match="destroyed"):
        rewrap(cast.custodian, key, recipient(tmp_path)[1], WHY)


def test_the_audit_tells_who_why_and_whom_but_never_the_value(cast: Cast, tmp_path: Path) -> None:
    key = imported(cast)
    allowed(cast, key)
    reveal(cast.custodian, key, WHY)
    rewrap(cast.custodian, key, recipient(tmp_path)[1], WHY)

    revealed, wrapped = Entry.objects.filter(action__in=["key.revealed", "key.rewrapped"]).order_by("seq")
    assert (revealed.action, revealed.actor_id) == ("key.revealed", cast.custodian.pk)
    assert revealed.data["approved_by"] == "second@lindenhof.example"
    assert (wrapped.data["reason"], len(wrapped.data["recipient"])) == (WHY, 64)
    assert KEY.reveal().hex() not in json.dumps(list(Entry.objects.values_list("data", flat=True)))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "a\x00b"])
def test_a_reason_is_demanded(cast: Cast, tmp_path: Path, reason: str) -> None:
    key, (_private, public) = imported(cast), recipient(tmp_path)
    for attempt in (lambda: reveal(cast.custodian, key, reason), lambda: rewrap(cast.custodian, key, public, reason)):
        with pytest.raises(Invalid) as refused:
            attempt()
        assert refused.value.field == "reason"


def test_the_recipient_opens_the_key_with_openssl(cast: Cast, tmp_path: Path) -> None:
    key, (private, public) = imported(cast), recipient(tmp_path)
    wrapped = rewrap(cast.custodian, key, public, WHY)

    assert opened(private, wrapped) == {
        "dev_eui": key.adapter.dev_eui,
        "purpose": "inner",
        "partner": "portal",
        "slot": 0,
        "version": 1,
        "tag_length": 4,
        "key": KEY.reveal().hex(),
        "check_value": key.check_value,
        "not_before": None,
        "not_after": None,
    }


def test_a_web_worker_reveals_and_wraps_through_the_vault(
    transactional_cast: Cast, web: VaultServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cast, (private, public) = transactional_cast, recipient(tmp_path)
    caplog.set_level(logging.DEBUG)
    key = _sealed_by(web.vault, cast)
    allowed(cast, key)

    revealed = reveal(cast.custodian, key, WHY)
    assert revealed.value == KEY.reveal().hex()
    assert opened(private, rewrap(cast.custodian, key, public, WHY))["key"] == KEY.reveal().hex()
    assert KEY.reveal().hex() not in caplog.text + repr(revealed)


def test_refusals_cross_the_socket_as_what_they_are(transactional_cast: Cast, web: VaultServer) -> None:
    cast = transactional_cast
    key = _sealed_by(web.vault, cast)
    with pytest.raises(Conflict, match="fresh approval"):
        reveal(cast.custodian, key, WHY)
    with pytest.raises(Forbidden, match="role"):
        reveal(cast.operator, key, WHY)
    with pytest.raises(Invalid) as refused:
        ask(REVEAL, Reveal(asker(cast.custodian), 2**40, WHY), RevealedKey)
    assert refused.value.field == "key"
    with translation.override("de"), pytest.raises(Forbidden) as german:
        reveal(cast.operator, key, WHY)
    with pytest.raises(Forbidden) as english:
        reveal(cast.operator, key, WHY)
    assert str(german.value) != str(english.value)


@pytest.mark.parametrize("who", [Asker(), Asker(user=2**40), Asker(token=2**40), Asker(user=1, token=1)])
def test_the_vault_knows_whom_it_serves(transactional_cast: Cast, web: VaultServer, who: Asker) -> None:
    with pytest.raises(Forbidden, match="log in"):
        ask(REVEAL, Reveal(who, 1, WHY), RevealedKey)


def test_a_blocked_user_gets_nothing_out_of_the_vault(transactional_cast: Cast, web: VaultServer) -> None:
    cast = transactional_cast
    key = _sealed_by(web.vault, cast)
    allowed(cast, key)
    User.objects.filter(pk=cast.custodian.pk).update(is_active=False)
    with pytest.raises(Forbidden):
        reveal(cast.custodian, key, WHY)


def test_the_system_does_not_ask_on_its_own_behalf() -> None:
    with pytest.raises(ValueError, match="system"):
        asker(STAGE)


def test_a_user_may_be_limited_to_single_operations(transactional_cast: Cast, web: VaultServer) -> None:
    web.only = {os.geteuid(): (REWRAP,)}
    with pytest.raises(VaultRefused, match="may not ask for this"):
        reveal(transactional_cast.custodian, _sealed_by(web.vault, transactional_cast), WHY)


def test_an_unforeseen_failure_tells_no_secret(
    web: VaultServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(_vault: Vault, _asked: Any) -> None:
        raise RuntimeError(KEY.reveal().hex())

    monkeypatch.setitem(vault_operations._OPERATIONS, "fail", vault_operations.Operation(vault_operations.Nothing, run))
    with pytest.raises(VaultRefused, match="log"):
        ask("fail", vault_operations.Nothing(), str)
    assert "RuntimeError in run" in caplog.text
    assert KEY.reveal().hex() not in caplog.text


def test_a_vault_that_is_away_is_named(cast: Cast, settings: Any) -> None:
    key = imported(cast)
    settings.KEK_FILE, settings.VAULT_SOCKET = "", "nowhere.sock"
    with pytest.raises(VaultAway, match="run_vault"):
        reveal(cast.custodian, key, WHY)


def _sealed_by(vault: Vault, cast: Cast) -> DeviceKey:
    adapter = cast.adapter()
    key = DeviceKey(organisation=cast.organisation, adapter=adapter, purpose="inner", slot=0, state="active")
    key.check_value, key.sealed = KEY.check_value().hex(), vault.seal(key, KEY)
    key.save()
    return key
