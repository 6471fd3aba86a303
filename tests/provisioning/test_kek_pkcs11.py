"""The key-encryption key in a PKCS#11 token: SoftHSM2 is the judge of what leaves it and of what opens."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import CommandError, call_command
from pkcs11 import Attribute, KeyType, ObjectClass

from meterwire.seal import Key16
from provisioning.keys.intake import Intake
from provisioning.keys.kek import KekAway, KeyDamaged, VaultLocked
from provisioning.keys.models import DeviceKey
from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek, create
from provisioning.keys.providers.token import Token
from provisioning.keys.services import NewKey, import_keys, take_in
from provisioning.keys.vault import Vault
from tests.cast import STAGE, Cast
from tests.support.softhsm import PIN, SoftToken, add_token, module, soft_token

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
KEY = Key16(bytes(range(16)))
DATA_KEY, CONTEXT = bytes(range(32)), b"mspan data key v1|for this test"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = soft_token(tmp_path / "hsm", f"token of {tmp_path.name}"[:32])
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    return made


@pytest.fixture
def place(token: SoftToken) -> KekPlace:
    return KekPlace.of(token.settings)


@pytest.fixture
def kek(place: KekPlace) -> Pkcs11Kek:
    create(place)
    return Pkcs11Kek(place)


@pytest.fixture
def hardware(settings: Any, token: SoftToken, kek: Pkcs11Kek) -> Pkcs11Kek:
    """This process has its key-encryption key in the token."""
    settings.KEK_PROVIDER, settings.PKCS11, settings.KEK_FILE = "pkcs11", token.settings, ""
    return kek


def test_what_is_wrapped_opens_for_its_context_alone(kek: Pkcs11Kek) -> None:
    wrapped = kek.wrap(DATA_KEY, CONTEXT)

    assert kek.unwrap(wrapped, CONTEXT) == DATA_KEY
    assert len(wrapped) == 12 + 32 + 16
    assert wrapped != kek.wrap(DATA_KEY, CONTEXT)
    with pytest.raises(KeyDamaged):
        kek.unwrap(wrapped, CONTEXT + b"!")


def test_truncated_lengthened_and_changed_wrapped_keys_look_alike(kek: Pkcs11Kek) -> None:
    wrapped = kek.wrap(DATA_KEY, CONTEXT)
    flipped = [wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :] for at in (0, 11, 12, 43, 44, 59)]
    said = set()
    for bad in (b"", wrapped[:12], wrapped[:28], wrapped[:-1], wrapped + b"\0", bytes(5000), *flipped):
        with pytest.raises(KeyDamaged) as refused:
            kek.unwrap(bad, CONTEXT)
        said.add(str(refused.value))
    assert len(said) == 1
    assert kek.unwrap(wrapped, CONTEXT) == DATA_KEY, "the session survives all of that"


def test_the_token_gives_its_key_to_nobody(kek: Pkcs11Kek, place: KekPlace) -> None:
    def read(session: pkcs11.Session) -> bytes:
        key = session.get_key(object_class=ObjectClass.SECRET_KEY, label=place.label)
        assert key[Attribute.NEVER_EXTRACTABLE]
        assert key[Attribute.ALWAYS_SENSITIVE]
        return bytes(key[Attribute.VALUE])

    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        Token.at(place.token).run(read)


def test_the_intake_key_lies_wrapped_and_owner_only(kek: Pkcs11Kek, place: KekPlace) -> None:
    stored = Path(place.intake_file)
    assert kek.intake_private() not in stored.read_bytes()
    assert stored.stat().st_mode & 0o777 == 0o600
    assert kek.intake_private().hex() not in repr(kek)
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(KeyDamaged):
        Pkcs11Kek(place).intake_private()
    stored.unlink()
    with pytest.raises(VaultLocked, match="every backup"):
        Pkcs11Kek(place).intake_private()


def test_a_second_key_is_never_made_over_the_first(kek: Pkcs11Kek, place: KekPlace) -> None:
    with pytest.raises(FileExistsError):
        create(place)
    assert Pkcs11Kek(place).kek_id == kek.kek_id


def test_making_goes_on_where_it_was_interrupted(kek: Pkcs11Kek, place: KekPlace) -> None:
    for name in ("", ".pub"):
        Path(place.intake_file + name).unlink()
    create(place)
    assert Pkcs11Kek(place).kek_id == kek.kek_id, "the key in the token was not made twice"
    assert len(Pkcs11Kek(place).intake_private()) == 32


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the binding's own clean-up
def test_a_lost_session_is_opened_again(kek: Pkcs11Kek) -> None:
    wrapped = kek.wrap(DATA_KEY, CONTEXT)
    library = pkcs11.lib(module())
    for lose in (library.reinitialize, library.finalize):
        lose()
        assert kek.unwrap(wrapped, CONTEXT) == DATA_KEY


def test_a_token_that_is_pulled_out_is_named_and_serves_again_when_it_is_back(
    kek: Pkcs11Kek, token: SoftToken, place: KekPlace
) -> None:
    wrapped = kek.wrap(DATA_KEY, CONTEXT)
    token.pull_out()
    for use in (lambda: kek.unwrap(wrapped, CONTEXT), lambda: kek.wrap(DATA_KEY, CONTEXT), lambda: Pkcs11Kek(place)):
        with pytest.raises(KekAway, match="cannot be reached"):
            use()
    token.plug_in()
    assert kek.unwrap(wrapped, CONTEXT) == DATA_KEY


def test_a_wrong_pin_is_tried_once(token: SoftToken, kek: Pkcs11Kek) -> None:
    """A token counts wrong PINs and locks itself."""
    wrong = token.folder / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("0000")
    place = KekPlace.of({**token.settings, "pin_file": str(wrong)})
    pkcs11.lib(module()).reinitialize()  # nobody is logged in any more
    with pytest.raises(VaultLocked, match="does not take the PIN"):
        Pkcs11Kek(place)
    wrong.write_text(PIN)
    with pytest.raises(VaultLocked, match="start this process again"):
        Pkcs11Kek(place)


@pytest.mark.parametrize("name", ["module", "token", "label", "pin_file", "intake_file"])
def test_a_setting_that_is_missing_is_named(token: SoftToken, name: str) -> None:
    with pytest.raises(VaultLocked, match=name):
        KekPlace.of({**token.settings, name: ""})


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"token": "no such token"}, "cannot be reached"),
        ({"module": "/nowhere/module.so"}, "MSPAN_PKCS11_MODULE"),
        ({"pin_file": "/nowhere/pin"}, "MSPAN_PKCS11_PIN_FILE"),
        ({"label": "no such key"}, "kek_init"),
    ],
)
def test_what_is_not_there_is_named(token: SoftToken, kek: Pkcs11Kek, changed: dict[str, str], words: str) -> None:
    with pytest.raises(VaultLocked, match=words):
        Pkcs11Kek(KekPlace.of({**token.settings, **changed}))


def test_a_pin_file_open_to_others_is_refused(token: SoftToken, place: KekPlace) -> None:
    Path(place.token.pin_file).chmod(0o640)
    pkcs11.lib(module()).reinitialize()
    with pytest.raises(VaultLocked, match="0600"):
        create(place)


def test_a_key_that_could_leave_its_token_is_refused(place: KekPlace) -> None:
    with Token.at(place.token).writing() as session:
        template = {Attribute.EXTRACTABLE: True, Attribute.ENCRYPT: True}
        session.generate_key(KeyType.AES, 256, id=b"loose", label=place.label, store=True, template=template)
    with pytest.raises(VaultLocked, match="could leave"):
        Pkcs11Kek(place)


def test_two_keys_of_one_label_are_refused(kek: Pkcs11Kek, place: KekPlace) -> None:
    with Token.at(place.token).writing() as session:
        session.generate_key(KeyType.AES, 256, id=b"twin", label=place.label, store=True)
    with pytest.raises(VaultLocked, match="several keys"):
        Pkcs11Kek(place)


def test_two_tokens_of_one_module_serve_side_by_side(token: SoftToken, kek: Pkcs11Kek) -> None:
    add_token(token.folder / "softhsm2.conf", "the other")
    other = {**token.settings, "token": "the other", "intake_file": str(token.folder / "other intake")}
    create(KekPlace.of(other))
    second = Pkcs11Kek(KekPlace.of(other))
    ours, theirs = kek.wrap(DATA_KEY, CONTEXT), second.wrap(DATA_KEY, CONTEXT)
    assert (kek.unwrap(ours, CONTEXT), second.unwrap(theirs, CONTEXT)) == (DATA_KEY, DATA_KEY)
    for _ in range(2):
        with pytest.raises(KeyDamaged):
            kek.unwrap(theirs, CONTEXT)
        assert second.unwrap(theirs, CONTEXT) == DATA_KEY


def test_many_threads_share_the_one_session(kek: Pkcs11Kek) -> None:
    wrapped = [kek.wrap(bytes([n]) * 32, CONTEXT) for n in range(8)]
    start = threading.Barrier(8)

    def unwrap(n: int) -> list[bytes]:
        start.wait(20)
        return [kek.unwrap(wrapped[n], CONTEXT) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(unwrap, range(8)))
    assert found == [[bytes([n]) * 32] * 20 for n in range(8)]


def known(place: KekPlace, value: bytes) -> Pkcs11Kek:
    """A key whose value we know, imported into the token."""
    with Token.at(place.token).writing() as session:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.TOKEN: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
                Attribute.ENCRYPT: True,
                Attribute.DECRYPT: True,
                Attribute.LABEL: "known",
                Attribute.ID: b"known",
                Attribute.VALUE: value,
            }
        )
    return Pkcs11Kek(KekPlace(place.token, "known", place.intake_file))


def test_cryptography_opens_what_the_token_wrapped(place: KekPlace) -> None:
    wrapped = known(place, bytes(range(32))).wrap(DATA_KEY, CONTEXT)
    assert AESGCM(bytes(range(32))).decrypt(wrapped[:12], wrapped[12:], CONTEXT) == DATA_KEY


def test_the_token_opens_the_published_vector_of_aes_gcm(place: KekPlace) -> None:
    """Test case 16 of the GCM specification that NIST SP 800-38D adopted: 256-bit key, 96-bit nonce, with context."""
    vector = json.loads((VECTORS / "aes_gcm_case_16.json").read_text())
    octets = {name: bytes.fromhex(value) for name, value in vector.items() if name != "source"}
    wrapped = octets["nonce"] + octets["ciphertext"] + octets["tag"]
    assert known(place, octets["key"]).unwrap(wrapped, octets["context"]) == octets["plaintext"]


def test_the_check_value_is_the_customary_one(place: KekPlace) -> None:
    """FIPS 197: AES-256 with a key of zeros makes dc95c078… of a block of zeros."""
    assert known(place, bytes(32)).check_value == "dc95c0"


def test_kek_init_makes_it_where_the_settings_say(token: SoftToken, settings: Any) -> None:
    settings.KEK_PROVIDER, settings.PKCS11 = "pkcs11", token.settings
    out = io.StringIO()
    call_command("kek_init", stdout=out)
    made = Pkcs11Kek(KekPlace.of(token.settings))
    assert made.kek_id in out.getvalue()
    assert made.check_value in out.getvalue()
    with pytest.raises(CommandError, match="exists and is kept"):
        call_command("kek_init", stdout=out)


def test_device_keys_open_without_asking_the_token_again(
    cast: Cast, hardware: Pkcs11Kek, token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault.from_settings()
    rows = [imported(cast) for _ in range(3)]
    assert vault.open(rows[0]) == KEY
    token.pull_out()
    for row in rows:
        assert vault.open(row) == KEY
    assert vault.seal(rows[0], KEY), "nor does sealing"
    with pytest.raises(KekAway):
        Vault(hardware).open(rows[0])


def test_a_key_of_another_organisation_copied_over_does_not_open(cast: Cast, hardware: Pkcs11Kek) -> None:
    row = imported(cast)
    foreign = import_keys(STAGE, cast.adapter(cast.site(company=cast.away)), [NewKey("inner", KEY)])[0]
    DeviceKey.objects.filter(pk=row.pk).update(sealed=DeviceKey.objects.get(pk=foreign.pk).sealed)
    with pytest.raises(KeyDamaged):
        Vault.from_settings().open(DeviceKey.objects.get(pk=row.pk))


def test_keys_handed_in_by_web_workers_open_with_the_token(cast: Cast, hardware: Pkcs11Kek, settings: Any) -> None:
    settings.KEK_PROVIDER, settings.KEK_PUBLIC_FILE = "file", settings.PKCS11["intake_file"] + ".pub"
    assert isinstance(Intake.from_file(Path(settings.KEK_PUBLIC_FILE)), Intake)
    row = imported(cast)
    assert row.intake
    assert take_in(Vault(hardware)) == 1
    assert Vault(hardware).open(DeviceKey.objects.get(pk=row.pk)) == KEY


def imported(cast: Cast) -> DeviceKey:
    row = import_keys(STAGE, cast.adapter(), [NewKey("inner", KEY)])[0]
    return DeviceKey.objects.get(pk=row.pk)
