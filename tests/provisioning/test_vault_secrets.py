"""Other secrets in the vault's care: bound to their place and organisation, or to the installation."""

from pathlib import Path

import pytest

from provisioning.keys.kek import FileKek, KekMissing, KeyDamaged, create
from provisioning.keys.vault import Vault
from tests.cast import Cast

SECRET, PLACE = b"an ephemeral private key", b"delivery private|7"


def changed(sealed: bytes) -> list[bytes]:
    flipped = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    return [b"", sealed[:1], sealed[:5], sealed[:-1], sealed + b"\0", *flipped]


def test_a_secret_of_an_organisation_opens_at_its_place_alone(cast: Cast) -> None:
    vault, ours, theirs = Vault.from_settings(), cast.organisation.pk, cast.away.organisation.pk
    sealed = vault.seal_secret(SECRET, PLACE, ours)
    vault.seal_secret(SECRET, PLACE, theirs)

    assert vault.open_secret(sealed, PLACE, ours) == SECRET
    for place, organisation in ((b"delivery private|8", ours), (PLACE, theirs), (PLACE, None)):
        with pytest.raises(KeyDamaged):
            vault.open_secret(sealed, place, organisation)


def test_a_secret_of_the_installation_opens_at_its_place_alone(cast: Cast) -> None:
    vault = Vault.from_settings()
    sealed = vault.seal_secret(SECRET, PLACE)

    assert vault.open_secret(sealed, PLACE) == SECRET
    for place, organisation in ((b"another", None), (PLACE, cast.organisation.pk)):
        with pytest.raises(KeyDamaged):
            vault.open_secret(sealed, place, organisation)


def test_every_changed_byte_and_every_cut_is_noticed(cast: Cast) -> None:
    vault, organisation = Vault.from_settings(), cast.organisation.pk
    for sealed in changed(vault.seal_secret(SECRET, PLACE, organisation)):
        with pytest.raises(KeyDamaged):
            vault.open_secret(sealed, PLACE, organisation)
    for sealed in changed(vault.seal_secret(SECRET, PLACE)):
        with pytest.raises(KeyDamaged):
            vault.open_secret(sealed, PLACE)


def test_it_is_33_bytes_longer_than_the_secret(cast: Cast) -> None:
    assert len(Vault.from_settings().seal_secret(SECRET, PLACE, cast.organisation.pk)) == len(SECRET) + 33


def test_a_secret_under_another_key_encryption_key_names_that_one(vacant: Path, cast: Cast) -> None:
    create(vacant)
    other = Vault(FileKek(vacant))
    with pytest.raises(KekMissing, match=other.kek_id):
        Vault.from_settings().open_secret(other.seal_secret(SECRET, PLACE), PLACE)


def test_the_check_value_of_a_file_is_the_customary_one(vacant: Path) -> None:
    """FIPS 197: AES-256 with a key of zeros makes dc95c078… of a block of zeros."""
    vacant.touch(mode=0o600)
    vacant.write_bytes(bytes(32))
    assert FileKek(vacant).check_value == "dc95c0"


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 27, 28, 59])
def test_a_truncated_wrapped_key_does_not_open(vacant: Path, cut: int) -> None:
    create(vacant)
    kek = FileKek(vacant)
    wrapped = kek.wrap(bytes(32), b"context")
    assert kek.unwrap(wrapped, b"context") == bytes(32)
    with pytest.raises(KeyDamaged):
        kek.unwrap(wrapped[:cut], b"context")
