"""The device table that a concentrator is sent: whole, as a delta, in parts; root keys only ever wrapped."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from meterwire.curves import Curve, PrivateKey
from meterwire.ids import DevEUI, GatewayEUI
from meterwire.messages import MAX_DEVICES, DevicesCommand, WrappedKey, decode_command, encode, ulid
from meterwire.seal import Key16
from meterwire.time_entries import OpenTimeEntry, PlanEntry
from meterwire.transport_key import unwrap
from provisioning.fleet import desired
from provisioning.fleet.models import Concentrator, DeviceChange
from provisioning.fleet.queries import broker_accounts, concentrators_behind
from provisioning.fleet.services import archive_adapter, create_adapters, move_adapter
from provisioning.fleet.services.adapters import NewAdapter
from provisioning.keys.device_table import Change, KeyNotApproved, commands, device_change, device_table
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import activate, issue_root_key, register_foreign_device, revoke
from provisioning.keys.vault import Vault
from tests.cast import JOIN_EUI, STAGE, Cast

PRIVATE = b"\x11" * 32
TIME = "2026-11-24T12:00:00.000Z"


@pytest.fixture
def concentrator(cast: Cast) -> Concentrator:
    return cast.concentrator(private_key=PRIVATE)


def ids() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: ulid(1.0, next(numbers).to_bytes(10, "big"))


def opened(concentrator: Concentrator, dev_eui: str, wrapped: WrappedKey | None, purpose: str) -> str:
    assert wrapped is not None
    eui, device = GatewayEUI.parse(concentrator.eui), DevEUI.parse(dev_eui)
    return unwrap(PRIVATE, wrapped, concentrator=eui, dev_eui=device, purpose=purpose).hex()


def revision(concentrator: Concentrator) -> int:
    return Concentrator.objects.get(pk=concentrator.pk).desired_revision


def test_the_concentrator_can_unwrap_each_root_key(cast: Cast, concentrator: Concentrator) -> None:
    adapters = [cast.keyed_adapter(concentrator.site, concentrator) for _ in range(3)]
    cast.keyed_adapter(concentrator.site)
    vault = Vault.from_settings()
    table = device_table(concentrator, vault)
    assert [entry.dev_eui for entry in table] == [adapter.dev_eui for adapter in adapters]
    for entry in table:
        key = DeviceKey.objects.get(adapter__dev_eui=entry.dev_eui, purpose="root")
        assert opened(concentrator, entry.dev_eui, entry.root_key, "root") == vault.open(key).reveal().hex()
    assert (table[0].join_eui, table[0].lorawan, table[0].foreign, table[0].abp) == (JOIN_EUI, "1.0.4", False, None)


def test_a_device_activated_by_personalisation_comes_with_its_session_keys(
    cast: Cast, concentrator: Concentrator
) -> None:
    register_foreign_device(
        STAGE,
        cast.organisation,
        dev_eui="a840410000000002",
        dev_addr="01abcdef",
        nwk_s_key="11" * 16,
        app_s_key="22" * 16,
        site=concentrator.site,
        concentrator=concentrator,
    )
    (entry,) = device_table(concentrator, Vault.from_settings())
    assert entry.abp is not None
    assert entry.root_key is None
    assert (entry.foreign, entry.lorawan, entry.abp.dev_addr) == (True, "1.0.3", "01abcdef")
    assert opened(concentrator, entry.dev_eui, entry.abp.nwk_s_key, "nwk") == "11" * 16
    assert opened(concentrator, entry.dev_eui, entry.abp.app_s_key, "app") == "22" * 16


def test_a_device_without_an_active_root_key_or_with_a_damaged_one_is_left_out(
    cast: Cast, concentrator: Concentrator
) -> None:
    good, damaged = (cast.keyed_adapter(concentrator.site, concentrator) for _ in range(2))
    issue_root_key(STAGE, cast.adapter(concentrator.site, concentrator))
    DeviceKey.objects.filter(adapter=damaged, purpose="root").update(sealed=b"damaged")
    assert [entry.dev_eui for entry in device_table(concentrator, Vault.from_settings())] == [good.dev_eui]


def test_nothing_is_wrapped_for_a_key_that_nobody_approved(cast: Cast, concentrator: Concentrator) -> None:
    cast.keyed_adapter(concentrator.site, concentrator)
    concentrator.key_approved_at = None
    concentrator.save()
    with pytest.raises(KeyNotApproved, match="fingerprint"):
        device_table(concentrator, Vault.from_settings())


def test_a_delta_tells_what_was_added_rekeyed_moved_and_archived(cast: Cast, concentrator: Concentrator) -> None:
    vault, site = Vault.from_settings(), concentrator.site
    still, rekeyed, moved, archived, revoked = (cast.keyed_adapter(site, concentrator) for _ in range(5))
    base = revision(concentrator)
    assert device_change(concentrator, base, vault) == Change(base, base, ())
    added = cast.keyed_adapter(site, concentrator)
    activate(STAGE, issue_root_key(STAGE, rekeyed))
    move_adapter(STAGE, moved, site=site, concentrator=None)
    archive_adapter(STAGE, archived)
    revoke(STAGE, DeviceKey.objects.get(adapter=revoked, purpose="root"), "stolen")
    change = device_change(concentrator, base, vault)
    assert (change.base, change.revision) == (base, revision(concentrator))
    assert {entry.dev_eui for entry in change.upsert} == {added.dev_eui, rekeyed.dev_eui}
    assert set(change.remove) == {moved.dev_eui, archived.dev_eui, revoked.dev_eui}
    assert still.dev_eui in {entry.dev_eui for entry in device_table(concentrator, vault)}


@pytest.mark.parametrize("base", [None, 0, 10_000])
def test_a_concentrator_with_an_unknown_revision_gets_the_whole(
    cast: Cast, concentrator: Concentrator, base: int | None
) -> None:
    adapter = cast.keyed_adapter(concentrator.site, concentrator)
    change = device_change(concentrator, base, Vault.from_settings())
    assert change.base is None
    assert [entry.dev_eui for entry in change.upsert] == [adapter.dev_eui]


def test_after_a_new_key_was_approved_nothing_old_is_a_base(cast: Cast, concentrator: Concentrator) -> None:
    cast.keyed_adapter(concentrator.site, concentrator)
    before = revision(concentrator)
    desired.everything_changed(concentrator.pk)
    assert device_change(concentrator, before, Vault.from_settings()).base is None
    assert device_change(concentrator, before + 1, Vault.from_settings()).base == before + 1


def test_old_changes_are_dropped_and_then_the_whole_is_sent(
    cast: Cast, concentrator: Concentrator, monkeypatch: Any
) -> None:
    monkeypatch.setattr(desired, "KEPT_REVISIONS", 50)
    for number in range(120):
        desired.devices_changed(concentrator.pk, [f"{number:016x}"])
    assert DeviceChange.objects.filter(concentrator=concentrator).count() == 71
    vault = Vault.from_settings()
    assert device_change(concentrator, 49, vault).base is None
    assert device_change(concentrator, 50, vault).base == 50
    assert len(device_change(concentrator, 50, vault).remove) == 71


def test_a_table_goes_out_in_parts_that_the_decoder_accepts(cast: Cast, concentrator: Concentrator) -> None:
    new = [NewAdapter(f"70b3d57ed4{n:06x}", JOIN_EUI) for n in range(MAX_DEVICES + 1)]
    rows = create_adapters(STAGE, cast.organisation, new, site=concentrator.site, concentrator=concentrator)
    vault = Vault.from_settings()
    keys = [DeviceKey(organisation=cast.organisation, adapter=row, purpose="root", state="active") for row in rows]
    from meterwire.seal import Key16

    for key in keys:
        key.sealed = vault.seal(key, Key16(bytes(16)))
    DeviceKey.objects.bulk_create(keys)
    change = device_change(concentrator, None, vault)
    parts = [decode_command(encode(part)) for part in commands(change, ids(), TIME)]
    assert all(isinstance(part, DevicesCommand) for part in parts)
    found = [part for part in parts if isinstance(part, DevicesCommand)]
    assert [(part.part, part.parts, len(part.upsert)) for part in found] == [(1, 2, MAX_DEVICES), (2, 2, 1)]
    assert {part.revision for part in found} == {revision(concentrator)}


def test_an_empty_table_is_one_message_too() -> None:
    (only,) = commands(Change(7, None, ()), ids(), TIME)
    assert (only.part, only.parts, only.upsert, only.remove) == (1, 1, (), ())
    removes = commands(Change(7, 6, (), tuple(f"{n:016x}" for n in range(MAX_DEVICES * 2 + 1))), ids(), TIME)
    assert [len(part.remove) for part in removes] == [MAX_DEVICES, MAX_DEVICES, 1]


def test_no_clear_key_is_in_what_the_broker_sees(cast: Cast, concentrator: Concentrator) -> None:
    adapter = cast.keyed_adapter(concentrator.site, concentrator)
    vault = Vault.from_settings()
    root = vault.open(DeviceKey.objects.get(adapter=adapter, purpose="root")).reveal()
    from base64 import b64encode

    for part in commands(device_change(concentrator, None, vault), ids(), TIME):
        body = encode(part)
        assert root.hex().encode() not in body
        assert b64encode(root).rstrip(b"=") not in body


def certified(concentrator: Concentrator, curve: Curve = Curve.P256) -> PrivateKey:
    """The concentrator enrolled: keys are wrapped for its certificate's key from now on."""
    key = PrivateKey.generate(curve, b"\x31" * 48)
    concentrator.certificate_key = key.public.octets.hex()
    concentrator.save(update_fields=["certificate_key"])
    return key


@pytest.mark.parametrize("curve", [Curve.P256, Curve.BRAINPOOL])
def test_keys_are_wrapped_for_the_certificate_where_there_is_one(
    cast: Cast, concentrator: Concentrator, curve: Curve
) -> None:
    adapter = cast.keyed_adapter(concentrator.site, concentrator)
    own = certified(concentrator, curve)
    vault = Vault.from_settings()
    (entry,) = device_table(concentrator, vault)
    assert entry.root_key is not None
    assert len(entry.root_key.epk) == 33
    eui, device = GatewayEUI.parse(concentrator.eui), DevEUI.parse(adapter.dev_eui)
    root = DeviceKey.objects.get(adapter=adapter, purpose="root")
    opened_key = unwrap(own, entry.root_key, concentrator=eui, dev_eui=device, purpose="root")
    assert opened_key == vault.open(root).reveal()


def test_a_certificate_needs_no_approved_key_beside_it(cast: Cast, concentrator: Concentrator) -> None:
    concentrator.public_key, concentrator.key_approved_at = "", None
    concentrator.online = True
    concentrator.save()
    assert list(concentrators_behind()) == []
    certified(concentrator)
    assert list(concentrators_behind()) == [concentrator]
    assert device_table(concentrator, Vault.from_settings()) == []


def test_a_revoked_concentrator_gets_no_table_and_has_no_account(cast: Cast, concentrator: Concentrator) -> None:
    certified(concentrator)
    concentrator.online, concentrator.mqtt_password = True, "$7$1$x$y"
    concentrator.save()
    assert [eui for eui, _ in broker_accounts()] == [concentrator.eui]
    Concentrator.objects.update(revoked_at=concentrator.created_at)
    assert list(concentrators_behind()) == []
    assert broker_accounts() == []


def test_the_transport_key_goes_to_the_concentrator_that_is_its_partner_only(
    cast: Cast, concentrator: Concentrator
) -> None:
    ours, portals = (cast.keyed_adapter(concentrator.site, concentrator) for _ in range(2))
    vault = Vault.from_settings()
    for adapter, partner in ((ours, concentrator.eui), (portals, "portal")):
        DeviceKey.objects.filter(adapter=adapter, purpose="transport").update(state="retiring")
        key = DeviceKey(
            organisation=adapter.organisation, adapter=adapter, purpose="transport", partner=partner, state="active",
            version=2,
        )  # fmt: skip
        key.sealed, key.check_value = vault.seal(key, Key16(bytes(range(16)))), "000000"
        key.save()
    entries = {entry.dev_eui: entry for entry in device_table(concentrator, vault)}
    carried = entries[ours.dev_eui].transport_key
    assert opened(concentrator, ours.dev_eui, carried, "transport") == bytes(range(16)).hex()
    assert entries[portals.dev_eui].transport_key is None


def test_every_message_of_a_change_tells_the_plan() -> None:
    plan = PlanEntry(None, OpenTimeEntry(300, 292_500, 7_500))
    change = Change(3, 2, (), tuple(f"{number:016x}" for number in range(MAX_DEVICES + 1)))
    messages = commands(change, lambda: "01M8EMQWZA6964P4Z19WZGTJT3", "2026-11-27T12:00:00.000Z", plan)
    assert len(messages) == 2
    assert {message.plan for message in messages} == {plan}
    assert {message.plan for message in commands(change, lambda: "x", "y")} == {None}
