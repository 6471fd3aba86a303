"""A new key-encryption key, and new data keys: killed after any write or without its hardware, nothing is lost."""

import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from meterwire.seal import Key16
from provisioning.audit.models import Entry
from provisioning.batches.models import Batch, BatchRow, Supplier
from provisioning.errors import Forbidden
from provisioning.keys import holdings, kek
from provisioning.keys.context import waiting_context
from provisioning.keys.holdings import Holding
from provisioning.keys.intake import Intake
from provisioning.keys.kek import FileKek, KekAway, KekMissing, KekProvider, KeyDamaged
from provisioning.keys.models import DataKey, DeviceKey
from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek, create
from provisioning.keys.providers.public import intake_public
from provisioning.keys.services import NewKey, import_keys
from provisioning.keys.services.data_key_rotation import add_data_key, reseal_all
from provisioning.keys.services.kek_rotation import left_under_other_keks, rotate_kek
from provisioning.keys.vault import Vault
from provisioning.keys.waiting import waiting_sealer
from provisioning.labels.models import OwnerToken
from provisioning.labels.services import open_label
from tests.cast import STAGE, Cast
from tests.support.softhsm import SoftToken, soft_token

KEY = Key16(bytes(range(16)))
PLACE = b"a test's secret|row 1"


class PowerCut(BaseException):
    """The process ends here."""


@pytest.fixture
def before(settings: Any) -> KekProvider:
    return FileKek(Path(settings.KEK_FILE))


@pytest.fixture
def present(tmp_path: Path) -> KekProvider:
    kek.create(tmp_path / "new")
    return FileKek(tmp_path / "new")


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = soft_token(tmp_path / "hsm", f"token of {tmp_path.name}"[:32])
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    create(KekPlace.of(made.settings))
    return made


@pytest.fixture
def hardware(token: SoftToken) -> KekProvider:
    return Pkcs11Kek(KekPlace.of(token.settings))


@pytest.fixture
def house(cast: Cast) -> Callable[[Vault], None]:
    """Keys in every form in two organisations; what comes back checks that a vault opens them all."""
    away = cast.adapter(cast.site(company=cast.away))
    keys = [imported(cast), imported(cast), import_keys(STAGE, away, [NewKey("inner", KEY)])[0]]
    handed_in = imported(cast)
    public = intake_public(kek.current())
    handed_in.sealed, handed_in.intake = Intake(public).seal(handed_in, KEY), True
    handed_in.save()
    adapter = cast.adapter()
    label = open_label(STAGE, adapter)

    def check(vault: Vault) -> None:
        for key in (*keys, handed_in):
            assert vault.open(DeviceKey.objects.select_related("adapter").get(pk=key.pk)) == KEY
        (row,) = OwnerToken.objects.select_related("adapter").filter(adapter=adapter)
        place = next(h for h in holdings.holdings() if h.name == "owner tokens").place(row)
        assert isinstance(place, bytes)
        assert vault.open_waiting(bytes(row.sealed), place).decode() in label

    return check


def imported(cast: Cast) -> DeviceKey:
    row = import_keys(STAGE, cast.adapter(), [NewKey("inner", KEY)])[0]
    return DeviceKey.objects.select_related("adapter").get(pk=row.pk)


def rotated(present: KekProvider, before: KekProvider | None) -> None:
    for _step in rotate_kek(STAGE, present, before):
        pass


def test_afterwards_the_new_key_alone_opens_everything(
    house: Callable[[Vault], None], before: KekProvider, present: KekProvider
) -> None:
    rotated(present, before)

    house(Vault(present))
    assert left_under_other_keks(present) == {}
    with pytest.raises(KekMissing, match=present.kek_id):
        house(Vault(before))


def test_during_it_a_process_that_knows_both_opens_everything(
    house: Callable[[Vault], None], before: KekProvider, present: KekProvider
) -> None:
    vault = Vault(present, before)
    for _step in rotate_kek(STAGE, present, before):
        house(vault)


@pytest.mark.parametrize("way", ["file to token", "token to file", "file to file"])
def test_it_goes_from_each_provider_to_each(
    cast: Cast, before: KekProvider, present: KekProvider, hardware: KekProvider, way: str
) -> None:
    source, target = {
        "file to token": (before, hardware),
        "token to file": (hardware, present),
        "file to file": (before, present),
    }[way]
    key, vault = imported(cast), Vault(source)
    DataKey.objects.all().delete()
    key.sealed = vault.seal(key, KEY)

    rotated(target, source)
    assert Vault(target).open(key) == KEY
    with pytest.raises(KekMissing):
        Vault(source).open(key)


def test_a_kill_after_any_write_loses_nothing(
    house: Callable[[Vault], None], before: KekProvider, present: KekProvider
) -> None:
    for writes in itertools.count():
        fresh = transaction.savepoint()
        survived = _until_the_cut(writes, lambda: rotated(present, before))
        house(Vault(present, before))
        rotated(present, before)
        house(Vault(present))
        transaction.savepoint_rollback(fresh)
        if survived:
            break
    assert writes == 4, "two data keys, a key handed in and an owner token"


def test_hardware_that_goes_in_between_stops_it_and_it_goes_on_later(
    house: Callable[[Vault], None], before: KekProvider, hardware: KekProvider, token: SoftToken
) -> None:
    steps = rotate_kek(STAGE, hardware, before)
    next(steps)
    token.pull_out()
    with pytest.raises(KekAway, match="cannot be reached"):
        next(steps)
    assert sum(left_under_other_keks(hardware).values()) == 1

    token.plug_in()
    rotated(hardware, before)
    house(Vault(hardware))


def test_without_the_old_key_it_names_what_it_needs_and_changes_nothing(
    house: Callable[[Vault], None], before: KekProvider, present: KekProvider
) -> None:
    with pytest.raises(KekMissing, match=before.kek_id):
        rotated(present, None)
    house(Vault(before))


def test_running_it_twice_changes_nothing_more(
    house: Callable[[Vault], None], before: KekProvider, present: KekProvider
) -> None:
    rotated(present, before)
    rows = list(DataKey.objects.values_list("wrapped", flat=True)), list(OwnerToken.objects.values_list("sealed"))
    rotated(present, before)
    assert rows == (
        list(DataKey.objects.values_list("wrapped", flat=True)),
        list(OwnerToken.objects.values_list("sealed")),
    )


def test_swapped_data_keys_stop_it_before_one_is_lost(
    house: Callable[[Vault], None], before: KekProvider, present: KekProvider
) -> None:
    first, second = DataKey.objects.order_by("pk")
    DataKey.objects.filter(pk=first.pk).update(wrapped=second.wrapped)
    with pytest.raises(KeyDamaged):
        rotated(present, before)
    DataKey.objects.filter(pk=first.pk).update(wrapped=first.wrapped)
    rotated(present, before)
    house(Vault(present))


def test_a_row_that_opens_with_neither_key_is_counted_and_left_alone(
    cast: Cast, before: KekProvider, present: KekProvider
) -> None:
    for _ in range(2):
        open_label(STAGE, cast.adapter())
    broken = OwnerToken.objects.order_by("pk").first()
    assert broken is not None
    OwnerToken.objects.filter(pk=broken.pk).update(sealed=bytes(broken.sealed)[:-1] + b"\0")

    last = [step for step in rotate_kek(STAGE, present, before) if step.part == "owner tokens"][-1]
    assert (last.done, last.total, last.lost) == (2, 2, 1)
    assert bytes(OwnerToken.objects.get(pk=broken.pk).sealed) == bytes(broken.sealed)[:-1] + b"\0"


def test_keys_that_wait_in_a_batch_follow(cast: Cast, before: KekProvider, present: KekProvider) -> None:
    """One column holds several keys, one behind the other."""
    organisation, sealer = cast.organisation.pk, waiting_sealer()
    keys = [{"purpose": "root", "version": 1}, {"purpose": "inner", "version": 1}]
    row = BatchRow(dev_eui="70b3d57ed1000001", keys=keys)
    row.batch = _batch(cast)
    places = [waiting_context(organisation, row.dev_eui, 1, purpose, "portal") for purpose in ("root", "inner")]
    row.line, row.state = 1, BatchRow.State.NEW
    row.sealed = b"".join(sealer.seal(KEY.reveal(), place) for place in places)
    row.save()

    rotated(present, before)
    sealed = bytes(BatchRow.objects.get(pk=row.pk).sealed)
    half = len(sealed) // 2
    for part, place in zip((sealed[:half], sealed[half:]), places, strict=True):
        assert Vault(present).open_waiting(part, place) == KEY.reveal()


def test_a_secret_of_the_installation_follows(
    cast: Cast, before: KekProvider, present: KekProvider, adopted: OwnerToken
) -> None:
    adopted.sealed = Vault(before).seal_secret(b"a signing key", PLACE)
    adopted.save()
    rotated(present, before)
    adopted.refresh_from_db()
    assert Vault(present).open_secret(bytes(adopted.sealed), PLACE) == b"a signing key"
    with pytest.raises(KekMissing):
        Vault(before).open_secret(bytes(adopted.sealed), PLACE)


def test_each_rewrapping_is_audited(cast: Cast, before: KekProvider, present: KekProvider) -> None:
    imported(cast)
    rotated(present, before)
    (entry,) = Entry.objects.filter(action="datakey.rewrapped")
    assert entry.data == {"version": 1, "from": before.kek_id, "to": present.kek_id}


def test_no_person_replaces_keys_of_the_installation(cast: Cast, present: KekProvider) -> None:
    for attempt in (
        lambda: next(rotate_kek(cast.custodian, present, None)),
        lambda: add_data_key(cast.custodian, cast.organisation, Vault.from_settings()),
        lambda: next(reseal_all(cast.custodian, cast.organisation, Vault.from_settings())),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_the_command_tells_how_far_it_is_and_what_is_left(
    house: Callable[[Vault], None], settings: Any, tmp_path: Path
) -> None:
    settings.OLD_KEK_PROVIDER, settings.OLD_KEK_FILE = "file", settings.KEK_FILE
    kek.create(tmp_path / "new")
    settings.KEK_FILE = str(tmp_path / "new")
    with pytest.raises(CommandError, match="2 data keys still need file:"):
        call_command("kek_rotate", "--check", stdout=io.StringIO())

    out, err = io.StringIO(), io.StringIO()
    call_command("kek_rotate", "--json", stdout=out, stderr=err)
    told = json.loads(out.getvalue())
    assert (told["kek"], told["left"]) == (FileKek(tmp_path / "new").kek_id, {})
    assert {"part": "data keys", "done": 2, "total": 2, "lost": 0} in told["parts"]
    assert "data keys: 2 of 2" in err.getvalue()
    settings.OLD_KEK_PROVIDER = ""
    out = io.StringIO()
    call_command("kek_rotate", "--check", stdout=out)
    assert "old key is needed for old backups only" in out.getvalue()
    house(Vault.from_settings())


def test_a_terminal_sees_a_bar(house: Callable[[Vault], None], settings: Any, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    settings.OLD_KEK_PROVIDER, settings.OLD_KEK_FILE = "file", settings.KEK_FILE
    kek.create(tmp_path / "new")
    settings.KEK_FILE = str(tmp_path / "new")
    terminal = Terminal()
    call_command("kek_rotate", stdout=io.StringIO(), stderr=terminal)
    assert "[" + "#" * 15 + "." * 15 + "] 1/2" in terminal.getvalue()


def test_a_new_data_key_takes_over_all_device_keys_of_its_organisation(cast: Cast) -> None:
    keys = [imported(cast) for _ in range(3)]
    foreign = import_keys(STAGE, cast.adapter(cast.site(company=cast.away)), [NewKey("inner", KEY)])[0]
    vault = Vault.from_settings()

    assert add_data_key(STAGE, cast.organisation, vault).version == 2
    list(reseal_all(STAGE, cast.organisation, vault))
    rows = [DeviceKey.objects.get(pk=key.pk) for key in keys]
    assert [bytes(row.sealed)[1:5] for row in rows] == [b"\0\0\0\2"] * 3
    assert bytes(DeviceKey.objects.get(pk=foreign.pk).sealed)[1:5] == b"\0\0\0\1"
    assert all(Vault.from_settings().open(row) == KEY for row in rows)


def test_a_running_vault_seals_with_the_new_data_key_at_once(cast: Cast) -> None:
    running, key = Vault.from_settings(), imported(cast)
    assert running.open(key) == KEY
    add_data_key(STAGE, cast.organisation, Vault.from_settings())
    assert running.seal(key, KEY)[1:5] == b"\0\0\0\2"


def test_a_kill_while_keys_are_sealed_anew_loses_nothing(cast: Cast, adopted: OwnerToken) -> None:
    keys, organisation = [imported(cast) for _ in range(3)], cast.organisation
    adopted.sealed = Vault.from_settings().seal_secret(b"an ephemeral key", PLACE, organisation.pk)
    adopted.save()
    add_data_key(STAGE, organisation, Vault.from_settings())
    for writes in itertools.count():
        fresh = transaction.savepoint()
        survived = _until_the_cut(writes, lambda: list(reseal_all(STAGE, organisation, Vault.from_settings())))
        for goes_on in (False, True):
            if goes_on:
                list(reseal_all(STAGE, organisation, Vault.from_settings()))
            vault = Vault.from_settings()
            assert all(vault.open(DeviceKey.objects.get(pk=key.pk)) == KEY for key in keys)
            adopted.refresh_from_db()
            assert vault.open_secret(bytes(adopted.sealed), PLACE, organisation.pk) == b"an ephemeral key"
        assert bytes(adopted.sealed)[1:5] == b"\0\0\0\2"
        transaction.savepoint_rollback(fresh)
        if survived:
            break
    assert writes == 4, "three device keys and a secret"


def test_the_command_makes_one_data_key_and_goes_on_without_another(cast: Cast) -> None:
    imported(cast)
    for arguments, version in (([], 2), (["--continue"], 2), ([], 3)):
        out = io.StringIO()
        call_command("data_key_rotate", cast.organisation.slug, "--json", *arguments, stdout=out, stderr=io.StringIO())
        assert json.loads(out.getvalue())["version"] == version
    with pytest.raises(CommandError, match="no organisation"):
        call_command("data_key_rotate", "nobody")


@pytest.fixture
def adopted(cast: Cast) -> Iterator[OwnerToken]:
    """A row whose sealed column some app has registered."""
    open_label(STAGE, cast.adapter())
    row = OwnerToken.objects.get()
    holding = Holding(
        "test",
        rows=lambda: OwnerToken.objects.filter(pk=row.pk),
        column="sealed",
        place=lambda _row: PLACE,
        organisation=lambda one: one.organisation_id,
    )
    original = dict(holdings._HOLDINGS)
    holdings._HOLDINGS.clear()
    holdings.register(holding)
    yield row
    holdings._HOLDINGS.clear()
    holdings._HOLDINGS.update(original)


def _until_the_cut(writes: int, work: Callable[[], object]) -> bool:
    """Whether `work` ended before the power went: right after one more than `writes` changes reached the database."""
    left = writes

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal left
        found = run(sql, params, many, context)
        if sql.startswith("UPDATE") and ('"sealed"' in sql or '"wrapped"' in sql):
            left -= 1
            if left < 0:
                raise PowerCut
        return found

    with connection.execute_wrapper(execute):
        try:
            work()
        except PowerCut:
            return False
    return True


def _batch(cast: Cast) -> Batch:
    supplier = Supplier.objects.create(organisation=cast.organisation, name="Maker")
    return Batch.objects.create(organisation=cast.organisation, supplier=supplier)
