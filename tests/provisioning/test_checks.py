"""Misconfiguration is found at start, by checks with ids."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from provisioning.accounts.checks import token_peppers, token_peppers_of_their_own
from provisioning.audit.checks import audit_key, audit_key_of_its_own
from provisioning.keys.checks import key_encryption_key, key_encryption_key_in_a_file, key_hand_in


def test_a_proper_set_up_has_no_findings() -> None:
    assert not [found for found in run_checks() if str(found.id).startswith(("keys", "audit", "accounts"))]


def test_an_unusable_key_encryption_key_is_an_error(settings: Any, tmp_path: Path) -> None:
    settings.KEK_FILE = str(tmp_path / "missing")
    settings.KEK_PUBLIC_FILE = str(tmp_path / "missing.pub")
    assert [found.id for found in key_encryption_key()] == ["keys.E001", "keys.E002"]


def test_a_key_encryption_key_in_a_file_is_refused_in_production_unless_somebody_decides_so(settings: Any) -> None:
    settings.ALLOW_FILE_KEK = False
    assert [found.id for found in key_encryption_key_in_a_file()] == ["keys.E003"]
    for name, value in (("ALLOW_FILE_KEK", True), ("DEBUG", True), ("KEK_PROVIDER", "pkcs11"), ("KEK_FILE", "")):
        before = getattr(settings, name)
        setattr(settings, name, value)
        assert key_encryption_key_in_a_file() == []
        setattr(settings, name, before)


def test_an_unknown_or_incomplete_provider_is_an_error(settings: Any) -> None:
    settings.KEK_PROVIDER = "cloud"
    (found,) = key_encryption_key()
    assert (found.id, "file or pkcs11" in found.msg) == ("keys.E001", True)
    settings.KEK_PROVIDER, settings.PKCS11 = "pkcs11", {**settings.PKCS11, "pin_file": "pin"}
    (found,) = key_encryption_key()
    assert (found.id, "module" in found.msg) == ("keys.E001", True)


def test_a_process_that_can_take_no_key_is_warned_when_deployed(settings: Any) -> None:
    settings.KEK_FILE = settings.KEK_PUBLIC_FILE = ""
    assert [found.id for found in key_hand_in()] == ["keys.W001"]
    settings.KEK_PUBLIC_FILE = "kek.pub"
    assert key_hand_in() == []


@pytest.mark.parametrize("check, code", [(audit_key, "audit.E001"), (token_peppers, "accounts.E001")])
def test_an_unreadable_secret_file_is_an_error(settings: Any, tmp_path: Path, check: Any, code: str) -> None:
    assert check() == []
    settings.AUDIT_KEY_FILE = settings.TOKEN_PEPPERS_FILE = str(tmp_path / "missing")
    assert [found.id for found in check()] == [code]


@pytest.mark.parametrize(
    "check, code", [(audit_key_of_its_own, "audit.W001"), (token_peppers_of_their_own, "accounts.W001")]
)
def test_a_secret_that_hangs_on_the_secret_key_is_a_warning_when_deployed(settings: Any, check: Any, code: str) -> None:
    assert [found.id for found in check()] == [code]
    settings.AUDIT_KEY_FILE = settings.TOKEN_PEPPERS_FILE = "some file"
    assert check() == []
