"""The vault: what is sealed opens at its own place only, and only with the right key-encryption key."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from meterwire.seal import InnerKey, Key16
from provisioning.keys import kek
from provisioning.keys.intake import Intake
from provisioning.keys.kek import FileKek, KeyDamaged, VaultLocked
from provisioning.keys.models import DataKey, DeviceKey
from provisioning.keys.services import NewKey, import_keys, issue_inner_key, take_in, takein
from provisioning.keys.vault import Vault, sealer
from tests.cast import STAGE, Cast

KEY = Key16(bytes(range(16)))


def imported(cast: Cast, purpose: str = "inner", key: Key16 = KEY, **rest: Any) -> DeviceKey:
    row = import_keys(STAGE, cast.adapter(), [NewKey(purpose, key, **rest)])[0]
    return DeviceKey.objects.get(pk=row.pk)


@pytest.fixture
def hand_in(settings: Any, tmp_path: Path) -> Vault:
    """This process becomes a web worker that can hand keys in; the vault belongs to another process."""
    path = tmp_path / "kek"
    settings.KEK_PUBLIC_FILE = str(kek.create(path))
    settings.KEK_FILE = ""
    return Vault(FileKek(path))


def test_a_sealed_key_opens_again(cast: Cast) -> None:
    row = imported(cast, tag_length=8)
    assert Vault.from_settings().open(row) == KEY
    assert Vault.from_settings().open_inner(row) == InnerKey(bytes(range(16)), 8)


def test_no_key_is_stored_plain_and_the_same_key_never_looks_the_same(cast: Cast) -> None:
    first, second = imported(cast), imported(cast)
    assert bytes(first.sealed) != bytes(second.sealed)
    assert KEY.reveal() not in bytes(first.sealed) + bytes(second.sealed)
    data_key = DataKey.objects.get(organisation=cast.organisation)
    assert data_key.kek_id.startswith("file:")


def test_the_check_value_is_the_customary_one(cast: Cast) -> None:
    assert imported(cast, key=Key16(bytes(16))).check_value == "66e94b"  # FIPS 197 example: AES-128, key 0, block 0


@pytest.mark.parametrize("field", ["organisation_id", "adapter_id", "purpose", "partner", "version"])
def test_a_key_copied_to_another_place_does_not_open(cast: Cast, field: str) -> None:
    row, other = imported(cast), imported(cast)
    foreign = cast.adapter(cast.site(company=cast.away))
    issue_inner_key(STAGE, foreign)
    moved = {
        "organisation_id": cast.away.organisation.pk,
        "adapter_id": other.adapter_id,
        "purpose": "transport",
        "partner": "concentrator",
        "version": 2,
    }
    setattr(row, field, moved[field])
    with pytest.raises(KeyDamaged):
        Vault.from_settings().open(row)


def test_every_single_changed_byte_is_noticed(cast: Cast) -> None:
    row, vault = imported(cast), Vault.from_settings()
    sealed = bytes(row.sealed)
    for at in range(len(sealed)):
        row.sealed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(KeyDamaged):
            vault.open(row)
    for cut in (b"", sealed[:5], sealed[:-1], sealed + b"\0"):
        row.sealed = cut
        with pytest.raises(KeyDamaged):
            vault.open(row)


def test_another_key_encryption_key_opens_nothing(cast: Cast, vacant: Path) -> None:
    row = imported(cast)
    kek.create(vacant)
    with pytest.raises(KeyDamaged, match="restore the right one"):
        Vault(FileKek(vacant)).open(row)


def test_a_rolled_back_data_key_is_not_used_again(transactional_cast: Cast) -> None:
    vault, adapter = Vault.from_settings(), transactional_cast.adapter()
    row = DeviceKey(organisation=transactional_cast.organisation, adapter=adapter, purpose="inner", partner="portal")
    with suppress(ZeroDivisionError), transaction.atomic():
        row.sealed = vault.seal(row, KEY)
        assert vault.open(row) == KEY
        raise ZeroDivisionError
    assert not DataKey.objects.exists()
    row.sealed = vault.seal(row, KEY)
    assert vault.open(row) == KEY
    assert Vault.from_settings().open(row) == KEY


def test_a_process_without_the_key_encryption_key_says_so(cast: Cast, settings: Any) -> None:
    settings.KEK_FILE = settings.KEK_PUBLIC_FILE = ""
    with pytest.raises(VaultLocked, match="MSPAN_KEK_FILE"):
        Vault.from_settings()
    adapter = cast.adapter()
    with pytest.raises(VaultLocked):
        issue_inner_key(cast.operator, adapter)
    assert not DeviceKey.objects.exists()


@pytest.mark.parametrize("length, mode", [(31, 0o600), (33, 0o600), (0, 0o600), (32, 0o640), (32, 0o604)])
def test_a_key_file_of_wrong_length_or_open_to_others_is_refused(vacant: Path, length: int, mode: int) -> None:
    vacant.write_bytes(os.urandom(length))
    vacant.chmod(mode)
    with pytest.raises(VaultLocked, match=r"0600|32 bytes"):
        FileKek(vacant)


def test_a_missing_key_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(VaultLocked, match=r"kek_init|32 bytes"):
            FileKek(path)


def test_a_key_encryption_key_is_never_overwritten_nor_shown(vacant: Path) -> None:
    public = kek.create(vacant)
    content = vacant.read_bytes()
    with pytest.raises(FileExistsError):
        kek.create(vacant)
    assert vacant.read_bytes() == content
    assert vacant.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert content.hex() not in repr(FileKek(vacant)) + public.read_text()


def test_a_web_worker_hands_keys_in_and_cannot_open_them(cast: Cast, hand_in: Vault) -> None:
    row = imported(cast)
    assert row.intake
    assert hand_in.open(row) == KEY
    assert isinstance(sealer(), Intake)
    assert not hasattr(sealer(), "open")
    with pytest.raises(VaultLocked):
        Vault.from_settings()


def test_handed_in_keys_are_taken_into_the_vault(cast: Cast, hand_in: Vault) -> None:
    row = imported(cast)
    damaged = imported(cast)
    DeviceKey.objects.filter(pk=damaged.pk).update(sealed=bytes(damaged.sealed)[:-1] + bytes((damaged.sealed[-1] ^ 1,)))
    assert take_in(hand_in) == 1
    taken = DeviceKey.objects.get(pk=row.pk)
    assert not taken.intake
    assert bytes(taken.sealed) != bytes(row.sealed)
    assert hand_in.open(taken) == KEY
    assert take_in(hand_in) == 0


def test_many_keys_that_do_not_open_hold_the_next_ones_up_for_nobody(
    cast: Cast, hand_in: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takein, "BATCH", 2)
    damaged = [imported(cast) for _ in range(4)]
    DeviceKey.objects.filter(pk__in=[row.pk for row in damaged]).update(sealed=b"not sealed by anybody")
    sound = imported(cast)
    assert take_in(hand_in) == 1
    assert list(DeviceKey.objects.filter(intake=True)) == damaged
    assert hand_in.open(DeviceKey.objects.get(pk=sound.pk)) == KEY


def test_a_handed_in_key_is_bound_to_its_place_too(cast: Cast, hand_in: Vault) -> None:
    row = imported(cast)
    row.purpose = "root"
    with pytest.raises(KeyDamaged):
        hand_in.open(row)


def test_somebody_who_only_writes_to_the_database_can_plant_no_key(cast: Cast, hand_in: Vault, settings: Any) -> None:
    row = imported(cast)
    secret, settings.SECRET_KEY = settings.SECRET_KEY, "the attacker does not know it"
    row.sealed = Intake.from_file(Path(settings.KEK_PUBLIC_FILE)).seal(row, KEY)
    settings.SECRET_KEY = secret
    with pytest.raises(KeyDamaged, match="hand it in again"):
        hand_in.open(row)


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "\xff"])
def test_an_unusable_public_file_is_refused(vacant: Path, content: str) -> None:
    vacant.write_bytes(content.encode("latin-1"))
    with pytest.raises(VaultLocked, match="kek_init"):
        Intake.from_file(vacant)
