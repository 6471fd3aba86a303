"""Issuing, importing and the life of keys, with the database's own constraints behind them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterwire.seal import Key16
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.models import Concentrator
from provisioning.fleet.services import archive_adapter
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.queries import expiring_keys, slot_keys, visible_keys
from provisioning.keys.services import (
    NewKey,
    activate,
    destroy,
    heard_under,
    import_keys,
    issue_adapter_keys,
    issue_inner_key,
    issue_key,
    issue_root_key,
    mark_used,
    register_foreign_device,
    retire,
    revoke,
)
from provisioning.keys.services.lifecycle import STEPS
from provisioning.keys.vault import Vault
from tests.cast import STAGE, Cast

KEY = "000102030405060708090a0b0c0d0e0f"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_inner_keys_take_the_lowest_free_slot_and_count_their_versions(cast: Cast) -> None:
    adapter = cast.adapter()
    made = [issue_inner_key(cast.operator, adapter) for _ in range(2)]
    chosen = issue_inner_key(cast.operator, adapter, slot=7, tag_length=8)
    assert [(key.slot, key.version, key.state) for key in made] == [(0, 1, "generated"), (1, 2, "generated")]
    assert (chosen.slot, chosen.version, chosen.tag_length) == (7, 3, 8)
    assert len({key.check_value for key in [*made, chosen]}) == 3


def test_eight_slots_are_all_there_are_until_one_is_destroyed(cast: Cast) -> None:
    adapter = cast.adapter()
    keys = [issue_inner_key(cast.operator, adapter) for _ in range(8)]
    with pytest.raises(Conflict, match="destroy"):
        issue_inner_key(cast.operator, adapter)
    revoke(cast.custodian, keys[3], "lost")
    with pytest.raises(Conflict, match="slot 3"):
        issue_inner_key(cast.operator, adapter, slot=3)
    destroy(cast.custodian, keys[3], "lost")
    assert issue_inner_key(cast.operator, adapter).slot == 3


@pytest.mark.parametrize(
    "field, purpose, wrong",
    [
        ("purpose", "house", {}),
        ("slot", "inner", {"slot": 8}),
        ("slot", "inner", {"slot": -1}),
        ("slot", "root", {"slot": 1}),
        ("tag_length", "inner", {"tag_length": 5}),
        ("partner", "inner", {"partner": ""}),
        ("not_after", "inner", {"not_before": NOW, "not_after": NOW}),
        ("not_before", "inner", {"not_before": NOW.replace(tzinfo=None)}),
    ],
)
def test_a_wrong_key_is_refused_with_its_field(cast: Cast, field: str, purpose: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        issue_key(cast.operator, cast.adapter(), purpose, **wrong)
    assert refusal.value.field == field


def test_an_adapter_gets_what_it_lacks_and_nothing_twice(cast: Cast) -> None:
    adapter = cast.adapter()
    assert [key.purpose for key in issue_adapter_keys(cast.operator, adapter)] == ["root", "inner", "transport"]
    assert issue_adapter_keys(cast.operator, adapter) == []


def test_no_key_value_is_in_the_audit(cast: Cast) -> None:
    import_keys(cast.custodian, cast.adapter(), [NewKey("inner", Key16.parse(KEY))])
    assert KEY not in str(list(Entry.objects.values())).lower()
    assert (
        Entry.objects.filter(action="key.imported").latest("id").data["check_value"]
        == Key16.parse(KEY).check_value().hex()
    )


def test_activating_a_key_retires_the_one_before(cast: Cast) -> None:
    adapter = cast.adapter()
    old, new = issue_inner_key(STAGE, adapter), issue_inner_key(STAGE, adapter)
    other_partner = activate(cast.custodian, issue_inner_key(STAGE, adapter, partner="concentrator"))
    activate(cast.custodian, old)
    activate(cast.custodian, new, "rotation")
    states = {key.slot: key.state for key in DeviceKey.objects.filter(adapter=adapter)}
    assert states == {old.slot: "retiring", new.slot: "active", other_partner.slot: "active"}


def test_what_opens_and_what_not(cast: Cast) -> None:
    assert {state for state in KeyState.values if DeviceKey(state=state).opens} == {"delivering", "active", "retiring"}


@pytest.mark.parametrize("to", [step for step in STEPS if step != KeyState.DELIVERING])
@pytest.mark.parametrize("state", KeyState.values)
def test_only_the_steps_of_the_table_are_possible(cast: Cast, state: str, to: KeyState) -> None:
    key = issue_inner_key(STAGE, cast.adapter())
    DeviceKey.objects.filter(pk=key.pk).update(state=state, sealed=b"" if state == "destroyed" else b"x")
    take: dict[str, Any] = {
        "active": lambda: activate(STAGE, key),
        "retiring": lambda: retire(STAGE, key),
        "revoked": lambda: revoke(STAGE, key, "r"),
        "destroyed": lambda: destroy(STAGE, key, "r"),
    }
    if state in STEPS[to]:
        take[to]()
        assert DeviceKey.objects.get(pk=key.pk).state == to
    else:
        with pytest.raises(Conflict):
            take[to]()
        assert DeviceKey.objects.get(pk=key.pk).state == state


def test_a_destroyed_key_is_gone_for_good(cast: Cast) -> None:
    key = destroy(cast.custodian, revoke(cast.custodian, issue_inner_key(STAGE, cast.adapter()), "lost"), "lost")
    row = DeviceKey.objects.get(pk=key.pk)
    assert bytes(row.sealed) == b""
    assert row.check_value


def test_revoking_needs_a_reason(cast: Cast) -> None:
    key = issue_inner_key(STAGE, cast.adapter())
    with pytest.raises(Invalid) as refusal:
        revoke(cast.custodian, key, " ")
    assert refusal.value.field == "reason"


def test_the_first_telegram_under_a_delivered_key_activates_it(cast: Cast) -> None:
    adapter = cast.keyed_adapter()
    old = cast.inner_key(adapter)
    new = issue_inner_key(STAGE, adapter)
    assert heard_under([old.pk, new.pk]) == []
    DeviceKey.objects.filter(pk=new.pk).update(state="delivering")
    assert heard_under([old.pk, new.pk]) == [new]
    assert cast.inner_key(adapter) == new
    old.refresh_from_db()
    assert old.state == "retiring"
    assert Entry.objects.latest("id").actor_name == "bridge"
    mark_used([new.pk], NOW)
    assert DeviceKey.objects.get(pk=new.pk).last_used_at == NOW


def test_a_key_that_was_never_heard_does_not_come_back_after_its_successor(cast: Cast) -> None:
    adapter = cast.adapter()
    old, new, later = (issue_inner_key(STAGE, adapter) for _ in range(3))
    DeviceKey.objects.filter(adapter=adapter).update(state="delivering")
    assert heard_under([new.pk]) == [new]
    states = dict(DeviceKey.objects.filter(adapter=adapter).values_list("slot", "state"))
    assert states == {old.slot: "retiring", new.slot: "active", later.slot: "delivering"}
    assert heard_under([old.pk]) == []  # a telegram that was under way, which opens
    old.refresh_from_db()
    assert (old.state, old.opens, old.grace_until is not None) == ("retiring", True, True)
    assert cast.inner_key(adapter) == new


def test_keys_are_found_by_slot_in_one_query(cast: Cast, django_assert_num_queries: Any) -> None:
    adapters = [cast.keyed_adapter() for _ in range(3)]
    revoked = revoke(STAGE, issue_inner_key(STAGE, adapters[0], slot=5), "lost")
    destroy(STAGE, revoke(STAGE, issue_inner_key(STAGE, adapters[0], slot=6), "lost"), "lost")
    with django_assert_num_queries(1):
        found = slot_keys([adapter.pk for adapter in adapters])
    assert set(found) == {(adapter.pk, 0) for adapter in adapters} | {(adapters[0].pk, 5)}
    assert found[adapters[0].pk, 5] == revoked
    assert not found[adapters[0].pk, 5].opens
    assert Vault.from_settings().open_inner(found[adapters[1].pk, 0])


def test_a_list_of_keys_does_not_load_their_sealed_values(cast: Cast) -> None:
    cast.keyed_adapter()
    row = visible_keys(cast.custodian, cast.organisation)[0]
    assert "sealed" in row.get_deferred_fields()


def test_keys_that_expire_come_nearest_first(cast: Cast) -> None:
    adapter = cast.adapter()
    now = timezone.now()
    late = issue_inner_key(STAGE, adapter, not_after=now + timedelta(days=20))
    soon = issue_inner_key(STAGE, adapter, not_after=now + timedelta(days=2))
    issue_inner_key(STAGE, adapter, not_after=now + timedelta(days=200))
    assert list(expiring_keys(cast.custodian, cast.organisation, now + timedelta(days=30))) == [soon, late]


def test_a_changed_root_key_is_told_to_the_concentrator_and_an_inner_key_is_not(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)

    def revision() -> int:
        return Concentrator.objects.get(pk=concentrator.pk).desired_revision

    inner, root = issue_inner_key(STAGE, adapter), issue_root_key(STAGE, adapter)
    before = revision()
    activate(STAGE, inner)
    assert revision() == before
    activate(STAGE, root)
    assert revision() == before + 1
    revoke(STAGE, root, "stolen")
    assert revision() == before + 2


def test_a_transport_key_is_told_to_the_concentrator_that_is_its_partner_and_the_portals_is_not(cast: Cast) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    adapter = cast.adapter(site, concentrator)
    theirs = issue_key(STAGE, adapter, "transport", partner=concentrator.eui)
    revisions = [Concentrator.objects.get(pk=concentrator.pk).desired_revision]
    for key in (issue_key(STAGE, adapter, "transport"), theirs):
        activate(STAGE, key)
        revisions.append(Concentrator.objects.get(pk=concentrator.pk).desired_revision)
    assert [revision - revisions[0] for revision in revisions] == [0, 0, 1]


def test_a_foreign_device_that_joins_is_registered_by_its_app_key(cast: Cast) -> None:
    device = {"dev_eui": "A8-40-41-00-00-00-00-01", "join_eui": "A840410000000100", "app_key": KEY.upper()}
    adapter = register_foreign_device(cast.operator, cast.organisation, **device)
    key = DeviceKey.objects.get(adapter=adapter)
    assert (adapter.kind, adapter.activation, key.purpose, key.state) == ("foreign", "otaa", "root", "active")
    assert Vault.from_settings().open(key) == Key16.parse(KEY)
    with pytest.raises(Invalid, match="LoRaWAN keys only"):
        issue_inner_key(cast.operator, adapter)


def test_a_foreign_device_that_does_not_join_brings_address_and_session_keys(cast: Cast) -> None:
    adapter = register_foreign_device(
        cast.operator,
        cast.organisation,
        dev_eui="a840410000000002",
        dev_addr="01:AB:CD:EF",
        nwk_s_key=KEY,
        app_s_key="ff" * 16,
    )
    assert (adapter.activation, adapter.dev_addr, adapter.join_eui) == ("abp", "01abcdef", "0" * 16)
    assert set(DeviceKey.objects.filter(adapter=adapter).values_list("purpose", "state")) == {
        ("nwk", "active"),
        ("app", "active"),
    }


@pytest.mark.parametrize(
    "field, keys",
    [
        ("app_key", {}),
        ("app_key", {"app_key": KEY, "dev_addr": "01abcdef"}),
        ("app_key", {"app_key": KEY[:-1]}),
        ("app_key", {"app_key": "zz" * 16}),
        ("app_s_key", {"dev_addr": "01abcdef", "nwk_s_key": KEY}),
        ("dev_addr", {"nwk_s_key": KEY, "app_s_key": KEY}),
        ("dev_addr", {"dev_addr": "01ab", "nwk_s_key": KEY, "app_s_key": KEY}),
        ("lorawan", {"app_key": KEY, "lorawan": "1.1"}),
    ],
)
def test_incomplete_foreign_keys_are_refused_without_being_shown(cast: Cast, field: str, keys: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refusal:
        register_foreign_device(cast.operator, cast.organisation, dev_eui="a840410000000003", **keys)
    assert refusal.value.field == field
    assert KEY[:-1] not in str(refusal.value)
    assert not DeviceKey.objects.exists()


def test_an_archived_adapter_gets_no_keys(cast: Cast) -> None:
    adapter = cast.adapter()
    archive_adapter(STAGE, adapter)
    with pytest.raises(Conflict, match="archived"):
        issue_root_key(cast.operator, adapter)


def test_the_database_holds_the_constraints(cast: Cast) -> None:
    adapter = cast.adapter()
    first = activate(STAGE, issue_inner_key(STAGE, adapter))
    second = issue_inner_key(STAGE, adapter)
    rows = DeviceKey.objects.filter(pk=second.pk)
    for change in (
        {"state": "active"},  # one ACTIVE per purpose and partner
        {"slot": first.slot},
        {"version": first.version},
        {"state": "asleep"},
        {"purpose": "house"},
        {"slot": 8},
        {"tag_length": 5},
        {"sealed": b""},
        {"state": "destroyed"},
        {"not_before": NOW, "not_after": NOW},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**change)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["activate", "retire", "revoke", "destroy", "issue"])), max_size=12
    )
)
def test_any_sequence_of_steps_keeps_one_active_key(cast: Cast, steps: list[tuple[int, str]]) -> None:
    with transaction.atomic():
        adapter = cast.adapter()
        keys = [issue_inner_key(STAGE, adapter) for _ in range(3)]
        for which, name in steps:
            try:
                with transaction.atomic():
                    _take(adapter, keys[which], name)
            except Conflict:
                pass
            active = DeviceKey.objects.filter(adapter=adapter, state="active").count()
            assert active <= 1
        transaction.set_rollback(True)


def _take(adapter: Any, key: DeviceKey, name: str) -> None:
    if name == "issue":
        issue_inner_key(STAGE, adapter)
    elif name in ("revoke", "destroy"):
        {"revoke": revoke, "destroy": destroy}[name](STAGE, key, "because")
    else:
        {"activate": activate, "retire": retire}[name](STAGE, key)
