"""A supplier's file from upload to stock: dry run with every error, import as a whole or by rows, again and again."""

import io
import secrets
from pathlib import Path
from typing import Any

import pytest

from provisioning.audit.models import Entry
from provisioning.audit.queries import verify
from provisioning.batches import services as batches
from provisioning.batches.errors import FileRefused
from provisioning.batches.models import Batch, BatchRow, Supplier
from provisioning.errors import Conflict, Forbidden
from provisioning.fleet.models import Adapter
from provisioning.fleet.services import archive_adapter
from provisioning.keys.device_table import device_table
from provisioning.keys.kek import KeyDamaged, VaultLocked, create
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.services import take_in
from provisioning.keys.vault import Vault
from provisioning.labels import tokens
from provisioning.labels.models import OwnerToken
from provisioning.labels.services import matches
from tests.cast import Cast
from tests.support.supplier_file import MAPPING, TITLES, adapters, csv_file, xlsx_file


@pytest.fixture
def supplier(cast: Cast) -> Supplier:
    return batches.save_supplier(cast.operator, cast.organisation, "Funkwerk", mapping=MAPPING)


def uploaded(cast: Cast, supplier: Supplier, rows: Any, name: str = "delivery.csv", **more: Any) -> Batch:
    file = rows if isinstance(rows, io.BytesIO) else csv_file(rows)
    return batches.upload(cast.operator, cast.organisation, file, name, supplier=supplier, **more)


def imported(cast: Cast, batch: Batch, mode: str = "") -> Batch:
    return batches.run(batches.start(cast.operator, batch, mode))


def errors(batch: Batch) -> list[tuple[int, str, str]]:
    """(line, column, code) of every error."""
    rows = BatchRow.objects.filter(batch=batch).order_by("line")
    return [(row.line, error["column"], error["code"]) for row in rows for error in row.errors]


@pytest.mark.parametrize("make", [csv_file, xlsx_file])
def test_a_file_becomes_adapters_with_active_keys(make: Any, cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(3))
    name = "delivery.xlsx" if make is xlsx_file else "delivery.csv"
    batch = uploaded(cast, supplier, make(rows), name)
    assert (batch.state, batch.total, batch.new, batch.known, batch.bad) == ("checked", 3, 3, 0, 0)
    assert not Adapter.objects.filter(dev_eui=rows[0][0].lower()).exists(), "a dry run registers nothing"
    batch = imported(cast, batch)
    assert (batch.state, batch.imported, batch.failure) == ("done", 3, "")
    adapter = Adapter.objects.get(dev_eui=rows[1][0].lower(), organisation=cast.organisation)
    assert (adapter.serial, adapter.join_eui, adapter.site) == (rows[1][5], rows[1][1].lower(), None)
    keys = {key.purpose: key for key in DeviceKey.objects.filter(adapter=adapter)}
    assert {key.state for key in keys.values()} == {KeyState.ACTIVE}
    assert keys[Purpose.INNER].slot == 0
    vault = Vault.from_settings()
    assert vault.open(keys[Purpose.ROOT]).reveal().hex().upper() == rows[1][2]
    assert vault.open(keys[Purpose.INNER]).reveal().hex().upper() == rows[1][3]


def test_the_vault_takes_imported_keys_in(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(2))
    imported(cast, uploaded(cast, supplier, rows))
    vault = Vault.from_settings()
    assert take_in(vault) == 4
    key = DeviceKey.objects.get(adapter__dev_eui=rows[0][0].lower(), purpose=Purpose.ROOT)
    assert not key.intake
    assert bytes(key.sealed)[0] == 1
    assert vault.open(key).reveal().hex().upper() == rows[0][2]


def test_no_key_and_no_token_is_stored_in_the_clear(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(2))
    rows[1][5] = "x" * 60  # a bad row, too
    batch = uploaded(cast, supplier, rows)
    stored = "".join(
        repr(values) for values in [*BatchRow.objects.values(), *Batch.objects.values(), *Entry.objects.values()]
    ).lower()
    for row in rows:
        for secret in row[2:5]:
            assert secret.lower() not in stored
            assert bytes.fromhex(secret).hex() not in stored if len(secret) == 32 else True
    assert bytes(BatchRow.objects.get(batch=batch, line=3).sealed) == b"", "a bad row keeps no key at all"


def test_every_error_of_every_row_is_told(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(12))
    rows[0][0], rows[0][2] = "70B3D57ED00000", "XYZ"
    rows[1][0] = "7.0B3D57E+15"
    rows[2][2] = "0" * 32
    rows[3][2] = rows[3][0] * 2
    rows[4][0] = rows[5][0]
    rows[6][3] = rows[7][2]
    rows[8][3] = rows[8][2]
    rows[9][4] = "with blank"
    rows[10][6] = "bell\a"
    rows[11][2] = ""
    batch = uploaded(cast, supplier, rows)
    assert errors(batch) == [
        (2, "Device EUI", "length"),
        (2, "AppKey", "not_hex"),
        (3, "Device EUI", "number"),
        (4, "AppKey", "weak_key"),
        (5, "AppKey", "weak_key"),
        (6, "Device EUI", "repeated"),
        (7, "Device EUI", "repeated"),
        (8, "Inner Key", "repeated_key"),
        (9, "AppKey", "repeated_key"),
        (10, "Inner Key", "key_twice"),
        (11, "Claim Token", "token"),
        (12, "Remark", "control_characters"),
        (13, "AppKey", "missing"),
    ]
    assert batch.bad == 12
    assert batch.error_counts["repeated"] == 2
    told = BatchRow.objects.get(batch=batch, line=6).errors[0]["message"]
    assert "Line 7" in told


def test_all_or_nothing_does_not_begin_with_a_bad_row(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(3))
    rows[1][2] = "short"
    batch = uploaded(cast, supplier, rows)
    with pytest.raises(Conflict, match="1 row is bad"):
        batches.start(cast.operator, batch)
    batch = imported(cast, batch, Batch.Mode.SKIP_BAD_ROWS)
    assert (batch.state, batch.imported, batch.bad) == ("done", 2, 1)
    assert BatchRow.objects.get(batch=batch, line=3).state == "skipped"


def test_the_same_file_again_changes_nothing(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(3))
    imported(cast, uploaded(cast, supplier, rows))
    again = uploaded(cast, supplier, [*rows, *adapters(1, first=0x70B3D57ED3000000, seed=2)])
    assert (again.known, again.new, again.bad) == (3, 1, 0)
    imported(cast, again)
    assert Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").count() == 3
    third = uploaded(cast, supplier, rows)
    with pytest.raises(Conflict, match="nothing new"):
        batches.start(cast.operator, third)


def test_a_known_adapter_with_another_key_is_an_error(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(2))
    imported(cast, uploaded(cast, supplier, rows))
    rows[0][2] = "9F" + rows[0][2][2:-2] + "31"
    again = uploaded(cast, supplier, rows)
    assert errors(again) == [(2, "AppKey", "known_other_key")]
    assert again.known == 1


def test_an_adapter_of_somebody_else_is_not_named(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(1))
    theirs = batches.save_supplier(cast.outsider, cast.away.organisation, "Funkwerk", mapping=MAPPING)
    other = batches.upload(cast.outsider, cast.away.organisation, csv_file(rows), "a.csv", supplier=theirs)
    batches.run(batches.start(cast.outsider, other))
    batch = uploaded(cast, supplier, rows)
    assert errors(batch) == [(2, "Device EUI", "not_available")]
    assert "Fremdwerke" not in BatchRow.objects.get(batch=batch).errors[0]["message"]


def test_a_worker_that_died_is_followed_by_one_that_goes_on(
    cast: Cast, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.batches.services.importing.CHUNK", 2)
    batch = batches.start(cast.operator, uploaded(cast, supplier, list(adapters(7))), Batch.Mode.SKIP_BAD_ROWS)

    def die(done: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batches.run(batch, die)
    batch.refresh_from_db()
    assert (batch.state, batch.imported) == ("importing", 4)
    batch = batches.run(batch)
    assert (batch.state, batch.imported) == ("done", 7)
    assert Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").count() == 7
    assert Entry.objects.filter(action="batch.imported").count() == 4
    assert verify(cast.organisation).broken is None


def test_all_or_nothing_leaves_nothing_behind_when_the_worker_dies(
    cast: Cast, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.batches.services.importing.CHUNK", 2)
    batch = batches.start(cast.operator, uploaded(cast, supplier, list(adapters(5))))

    def die(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batches.run(batch, die)
    assert not Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").exists()
    assert batches.run(batch).imported == 5


def test_what_somebody_registers_meanwhile_stops_all_or_nothing_and_is_skipped_otherwise(
    cast: Cast, supplier: Supplier
) -> None:
    rows = list(adapters(4))
    whole = batches.start(cast.operator, uploaded(cast, supplier, rows))
    parts = batches.start(cast.operator, uploaded(cast, supplier, rows), Batch.Mode.SKIP_BAD_ROWS)
    cast.adapter(dev_eui=rows[2][0])
    whole = batches.run(whole)
    assert whole.state == "failed"
    assert "meanwhile" in whole.failure
    assert Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").count() == 1
    parts = batches.run(parts)
    assert (parts.state, parts.imported, parts.bad) == ("done", 3, 1)


def test_a_cancelled_batch_forgets_its_keys(cast: Cast, supplier: Supplier) -> None:
    batch = batches.cancel(cast.operator, uploaded(cast, supplier, list(adapters(3))))
    assert batch.state == "cancelled"
    assert all(bytes(row.sealed) == bytes(row.token_sealed) == b"" for row in batch.rows.all())
    with pytest.raises(Conflict):
        batches.cancel(cast.operator, batch)
    with pytest.raises(Conflict):
        batches.start(cast.operator, batch)


def test_a_batch_can_be_cancelled_while_it_is_imported(
    cast: Cast, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.batches.services.importing.CHUNK", 2)
    batch = batches.start(cast.operator, uploaded(cast, supplier, list(adapters(6))), Batch.Mode.SKIP_BAD_ROWS)
    batch = batches.run(batch, lambda done: batches.cancel(cast.operator, batch))
    assert (batch.state, batch.imported) == ("cancelled", 2)


def test_a_series_made_here_waits_for_its_hand_over(cast: Cast) -> None:
    batch = batches.create_series(
        cast.operator,
        cast.organisation,
        first_dev_eui="70B3D57ED4000010",
        count=3,
        join_eui="70B3D57ED0000001",
        serial_prefix="MS-",
    )
    assert batch.new == 3
    imported(cast, batch)
    adapter = Adapter.objects.get(dev_eui="70b3d57ed4000012")
    assert adapter.serial == "MS-0003"
    assert {key.state for key in adapter.keys.all()} == {KeyState.GENERATED}


@pytest.mark.parametrize("role", ["viewer", "installer", "administrator", "auditor"])
def test_others_may_not_import(role: str, cast: Cast, supplier: Supplier) -> None:
    person = cast.home.people[role]
    batch = uploaded(cast, supplier, list(adapters(1)))
    with pytest.raises(Forbidden):
        batches.upload(person, cast.organisation, csv_file(adapters(1)), "a.csv", supplier=supplier)
    for act in (batches.check, batches.start, batches.cancel):
        with pytest.raises(Forbidden):
            act(person, batch)
    with pytest.raises(Forbidden):
        batches.start(cast.outsider, batch)


def test_who_lost_the_right_meanwhile_does_not_import(cast: Cast, supplier: Supplier) -> None:
    batch = batches.start(cast.operator, uploaded(cast, supplier, list(adapters(1))))
    member = cast.home.member("operator")
    member.role = "viewer"
    member.save()
    batch = batches.run(batch)
    assert batch.state == "failed"
    assert not Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").exists()


def test_the_owner_tokens_of_a_file_open_its_labels(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(3))
    rows[1][4] = ""
    for mode, part in (("skip_bad_rows", rows[:2]), ("all_or_nothing", rows[2:])):
        batch = imported(cast, uploaded(cast, supplier, part), mode)
        assert not batch.rows.exclude(token_digest="").exists(), "what labels hold is not held twice"
    for row in rows:
        adapter = Adapter.objects.get(dev_eui=row[0].lower())
        assert matches(adapter, row[4]) is bool(row[4])
    adapter = Adapter.objects.get(dev_eui=rows[0][0].lower())
    held = OwnerToken.objects.get(adapter=adapter)
    place = tokens.place(cast.organisation.pk, adapter.dev_eui)
    assert Vault.from_settings().open_waiting(bytes(held.sealed), place).decode() == rows[0][4]


def test_a_sealed_key_opens_for_no_other_adapter_and_no_other_organisation(cast: Cast, supplier: Supplier) -> None:
    imported(cast, uploaded(cast, supplier, list(adapters(2))))
    one, other = DeviceKey.objects.filter(purpose=Purpose.ROOT, intake=True).select_related("adapter")
    vault = Vault.from_settings()
    one.sealed = other.sealed
    with pytest.raises(KeyDamaged):
        vault.open(one)
    other.organisation = cast.away.organisation
    with pytest.raises(KeyDamaged):
        vault.open(other)


def test_a_process_that_can_put_no_key_away_takes_no_file(cast: Cast, supplier: Supplier, settings: Any) -> None:
    settings.KEK_FILE = settings.KEK_PUBLIC_FILE = ""
    with pytest.raises(VaultLocked):
        uploaded(cast, supplier, list(adapters(1)))
    assert not Batch.objects.exists()


def test_the_web_server_imports_with_the_public_key_alone(
    cast: Cast, supplier: Supplier, settings: Any, tmp_path: Path
) -> None:
    kek = tmp_path / "kek"
    public = create(kek)
    settings.KEK_FILE, settings.KEK_PUBLIC_FILE = "", str(public)
    rows = list(adapters(1))
    imported(cast, uploaded(cast, supplier, rows))
    settings.KEK_FILE = str(kek)
    key = DeviceKey.objects.get(adapter__dev_eui=rows[0][0].lower(), purpose=Purpose.ROOT)
    assert Vault.from_settings().open(key).reveal().hex().upper() == rows[0][2]


def test_a_value_for_all_rows_fills_what_is_empty(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(2))
    rows[0][1] = ""
    batch = uploaded(cast, supplier, rows, defaults={"join_eui": "70B3D57ED00000FF", "tag_length": "8"})
    assert [row.values["join_eui"] for row in batch.rows.all()] == ["70b3d57ed00000ff", "70b3d57ed0000001"]
    imported(cast, batch)
    assert set(DeviceKey.objects.filter(purpose=Purpose.INNER).values_list("tag_length", flat=True)) == {8}


def test_two_inner_keys_take_two_slots_and_both_open(cast: Cast, supplier: Supplier) -> None:
    rows = [[*row, "8f3c1d0e77a2b95c4410de6f9a3b7e21", "5"] for row in adapters(1)]
    file = csv_file(rows, (*TITLES, "Key B", "Slot B"))
    mapping = {**MAPPING, "inner_key_2": "Key B", "inner_slot_2": "Slot B"}
    imported(cast, uploaded(cast, supplier, file, mapping=mapping))
    keys = DeviceKey.objects.filter(purpose=Purpose.INNER).order_by("version")
    assert [(key.slot, key.state) for key in keys] == [(0, "retiring"), (5, "active")]
    assert Vault.from_settings().open(keys[1]).reveal().hex() == rows[0][-2]


def test_missing_columns_are_told_together_with_what_may_be_meant(cast: Cast, supplier: Supplier) -> None:
    file = csv_file(adapters(1), ("Device EUI", "App EUI", "App-Kee", "Inner Key", "x", "y", "z"))
    with pytest.raises(FileRefused) as caught:
        uploaded(cast, supplier, file)
    assert "no column “AppKey” (Root key (AppKey)). Is “App-Kee” meant?" in str(caught.value)
    assert "no column “Claim Token”" in str(caught.value)


def test_what_was_archived_since_can_be_imported_after_a_second_check(cast: Cast, supplier: Supplier) -> None:
    rows = list(adapters(1))
    adapter = cast.adapter(dev_eui=rows[0][0])
    batch = uploaded(cast, supplier, rows)
    assert batch.error_counts == {"known_other_key": 1}
    archive_adapter(cast.operator, adapter)
    batch = imported(cast, batches.check(cast.operator, batch))
    assert (batch.state, batch.imported) == ("done", 1)


def test_adapters_imported_under_a_concentrator_reach_its_device_table(cast: Cast, supplier: Supplier) -> None:
    site = cast.site()
    concentrator = cast.concentrator(site)
    before = concentrator.desired_revision
    imported(cast, uploaded(cast, supplier, list(adapters(3)), site=site, concentrator=concentrator))
    concentrator.refresh_from_db()
    assert concentrator.desired_revision == before + 2  # registered, and given slots
    assert len(device_table(concentrator, Vault.from_settings(), secrets.token_bytes)) == 3
