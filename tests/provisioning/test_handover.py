"""The key file of an adapter, and the commands that write keys to disk."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from meterwire.keymemory import KeyEntry, KeyMemory
from meterwire.seal import InnerKey, Key16
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.models import Concentrator
from provisioning.keys.kek import FileKek
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import (
    NewKey,
    activate,
    hand_over,
    heard_under,
    import_keys,
    issue_adapter_keys,
    issue_inner_key,
    issue_root_key,
    register_foreign_device,
)
from provisioning.keys.vault import Vault
from tests.cast import JOIN_EUI, STAGE, Cast


def test_the_file_holds_what_the_adapter_needs(cast: Cast) -> None:
    adapter = cast.adapter()
    root = issue_root_key(STAGE, adapter)
    until = datetime(2027, 1, 1, tzinfo=UTC)
    inner = issue_inner_key(STAGE, adapter, slot=1, tag_length=8, not_after=until)
    vault = Vault.from_settings()
    file = hand_over(cast.custodian, adapter, vault, "installation")
    assert json.loads(file.content) == {
        "dev_eui": adapter.dev_eui,
        "join_eui": JOIN_EUI,
        "root_key": vault.open(root).reveal().hex(),
        "inner_keys": [
            {
                "slot": 1,
                "key": vault.open(inner).reveal().hex(),
                "tag_length": 8,
                "purpose": "inner",
                "partner": "portal",
                "not_before": None,
                "not_after": "2027-01-01T00:00:00Z",
            }
        ],
    }
    assert "key" not in repr(file).replace("KeyFile", "")


def test_its_inner_keys_fit_the_key_memory_of_an_adapter(cast: Cast) -> None:
    adapter = cast.adapter()
    issue_adapter_keys(STAGE, adapter)
    content = json.loads(hand_over(cast.custodian, adapter, Vault.from_settings(), "installation").content)
    memory = KeyMemory()
    for item in content["inner_keys"]:
        key = InnerKey(bytes.fromhex(item["key"]), item["tag_length"])
        memory.put(KeyEntry(item["slot"], key, item["purpose"], item["partner"], None, None))
    assert memory.choose("inner", 0.0).slot == 0


def test_handing_over_makes_the_root_key_serve_and_the_inner_key_wait_for_its_first_telegram(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)
    issue_adapter_keys(STAGE, adapter)
    before = Concentrator.objects.get(pk=concentrator.pk).desired_revision
    hand_over(cast.custodian, adapter, Vault.from_settings(), "installation")
    assert dict(adapter.keys.values_list("purpose", "state")) == {
        "root": "active",
        "inner": "delivering",
        "transport": "active",
    }
    assert Concentrator.objects.get(pk=concentrator.pk).desired_revision == before + 1
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.actor, entry.data["reason"]) == ("key.handed_over", cast.custodian, "installation")


def test_a_lost_file_can_be_written_again_until_the_key_was_heard(cast: Cast) -> None:
    adapter, vault = cast.adapter(), Vault.from_settings()
    issue_adapter_keys(STAGE, adapter)
    first = hand_over(cast.custodian, adapter, vault, "installation")
    assert hand_over(cast.custodian, adapter, vault, "file lost").content == first.content
    heard_under(list(DeviceKey.objects.values_list("pk", flat=True)))
    with pytest.raises(Conflict, match="issue one first"):
        hand_over(cast.custodian, adapter, vault, "again")
    issue_inner_key(STAGE, adapter)
    content = json.loads(hand_over(cast.custodian, adapter, vault, "new board").content)
    assert [item["slot"] for item in content["inner_keys"]] == [1]
    assert content["root_key"] == json.loads(first.content)["root_key"]


def test_nothing_is_handed_over_without_keys_or_for_a_foreign_device(cast: Cast) -> None:
    adapter, vault = cast.adapter(), Vault.from_settings()
    with pytest.raises(Conflict, match="root key"):
        hand_over(cast.custodian, adapter, vault, "installation")
    activate(STAGE, issue_root_key(STAGE, adapter))
    with pytest.raises(Conflict, match="inner key"):
        hand_over(cast.custodian, adapter, vault, "installation")
    foreign = register_foreign_device(STAGE, cast.organisation, dev_eui="a840410000000001", app_key="11" * 16)
    with pytest.raises(Invalid, match="foreign"):
        hand_over(cast.custodian, foreign, vault, "installation")
    with pytest.raises(Invalid):
        hand_over(cast.custodian, adapter, vault, "")


def test_the_command_writes_a_file_for_its_owner_only(cast: Cast, vacant: Path) -> None:
    adapter = cast.adapter()
    call_command("adapter_keys", adapter.dev_eui.upper(), out=vacant, issue=True)
    assert stat.S_IMODE(vacant.stat().st_mode) == 0o600
    assert json.loads(vacant.read_bytes())["dev_eui"] == adapter.dev_eui
    assert Entry.objects.latest("id").actor_name == "command adapter_keys"


def test_the_command_keeps_an_existing_file_and_then_counts_nothing_as_handed_over(cast: Cast, vacant: Path) -> None:
    adapter = cast.adapter()
    vacant.write_text("precious")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("adapter_keys", adapter.dev_eui, out=vacant, issue=True)
    assert vacant.read_text() == "precious"
    assert not adapter.keys.exists()


def test_the_command_names_what_is_wrong(cast: Cast, vacant: Path, settings: Any) -> None:
    for dev_eui, reason in (("zz", "16 hex digits"), ("0" * 16, "no adapter"), (cast.adapter().dev_eui, "root key")):
        with pytest.raises(CommandError, match=reason):
            call_command("adapter_keys", dev_eui, out=vacant)
    settings.KEK_FILE = ""
    with pytest.raises(CommandError, match="MSPAN_KEK_FILE"):
        call_command("adapter_keys", cast.adapter().dev_eui, out=vacant)
    assert not vacant.exists()


def test_kek_init_makes_a_usable_pair_once(vacant: Path, settings: Any) -> None:
    settings.KEK_FILE = str(vacant)
    call_command("kek_init")
    assert FileKek(vacant).kek_id.startswith("file:")
    assert (vacant.parent / "vacant.pub").exists()
    with pytest.raises(CommandError, match="is kept"):
        call_command("kek_init")
    with pytest.raises(CommandError, match="cannot be created"):
        call_command("kek_init", out=vacant / "below")
    settings.KEK_FILE = ""
    with pytest.raises(CommandError, match="--out"):
        call_command("kek_init")


def test_the_file_holds_transport_keys_by_partner_and_meters_keys_by_input(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter, vault = cast.adapter(site, concentrator), Vault.from_settings()
    issue_adapter_keys(STAGE, adapter)
    import_keys(STAGE, adapter, [NewKey("meter", Key16(bytes(16)), partner="input 2")], activate=False)
    content = json.loads(hand_over(cast.custodian, adapter, vault, "installation").content)
    assert [entry["partner"] for entry in content["transport_keys"]] == [concentrator.eui, "portal"]
    assert len({entry["key"] for entry in content["transport_keys"]}) == 2
    assert content["meter_keys"] == [{"input": 2, "key": "00" * 16}]
    states = adapter.keys.filter(purpose__in=["transport", "meter"]).values_list("state", flat=True)
    assert set(states) == {"active"}
