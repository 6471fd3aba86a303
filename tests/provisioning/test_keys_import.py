"""Files of keys: what is taken, what is refused, and that no value shows anywhere."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from meterwire.seal import Key16
from provisioning.audit.models import Entry
from provisioning.errors import Invalid
from provisioning.keys.key_file import MAX_BYTES, MAX_ROWS, BadRow, read
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import hand_over, heard_under, import_key_file, issue_adapter_keys
from provisioning.keys.services.importing import Report
from provisioning.keys.vault import Vault
from tests.cast import STAGE, Cast

HEAD = "dev_eui,purpose,slot,key,not_before,not_after,partner\n"
ONE, TWO = "0f" * 16, "1e" * 16


def _import(cast: Cast, text: str, **options: Any) -> Report:
    return import_key_file(cast.custodian, cast.organisation, text.encode(), **options)


def test_keys_of_a_csv_file_are_taken_and_told_by_their_check_values(cast: Cast) -> None:
    eui = cast.adapter().dev_eui
    report = _import(
        cast,
        HEAD + f"{eui},inner,3,{ONE},,2099-01-01T00:00:00Z,\n{eui.upper()},transport,,{TWO},,,portal\n"
        f"{eui},meter,,{'2d' * 16},,,input 1\n",
    )
    assert report.bad == []
    assert [(line, key.purpose, key.slot, key.state) for line, key in report.taken] == [
        (2, "inner", 3, "delivering"),
        (3, "transport", None, "active"),
        (4, "meter", None, "imported"),
    ]
    inner = report.taken[0][1]
    assert inner.check_value == Key16.parse(ONE).check_value().hex()
    assert Vault.from_settings().open(inner) == Key16.parse(ONE)
    assert heard_under([inner.pk]) == [inner]


def test_what_was_handed_over_elsewhere_is_taken_from_the_very_same_file(cast: Cast) -> None:
    adapter, vault = cast.adapter(), Vault.from_settings()
    issue_adapter_keys(STAGE, adapter)
    content = hand_over(STAGE, adapter, vault, "test").content.decode()
    twin = cast.adapter()
    report = _import(cast, content.replace(adapter.dev_eui, twin.dev_eui))
    assert [(key.purpose, key.state) for _, key in report.taken] == [
        ("root", "active"),
        ("inner", "delivering"),
        ("transport", "active"),
    ]
    again = _import(cast, content.replace(adapter.dev_eui, twin.dev_eui))
    assert [row.message for row in again.bad] == ["This key is there already."] * 3


@pytest.mark.parametrize(
    "row, field",
    [
        ("nonsense,inner,,{key},,,", "dev_eui"),
        ("{key},inner,,{eui},,,", "dev_eui"),  # columns mixed up
        ("70b3d57ed1999999,inner,,{key},,,", "dev_eui"),  # nobody here
        ("{eui},house,,{key},,,", "purpose"),
        ("{eui},inner,8,{key},,,", "slot"),
        ("{eui},inner,-1,{key},,,", "slot"),
        ("{eui},root,1,{key},,,", "slot"),
        ("{eui},inner,,{key}ff,,,", "key"),
        ("{eui},inner,,secret,,,", "key"),
        ("{eui},inner,,,,,", "key"),
        ("{eui},inner,,{key},yesterday,,", "not_before"),
        ("{eui},inner,,{key},,2020-01-01T00:00:00Z,", "not_after"),
        ("{eui},inner,,{key},2098-01-01,2097-01-01,", "not_after"),
        ("{eui},meter,,{key},,,portal", "partner"),
        ("{eui},inner,,{key},,,,surplus", "surplus"),
    ],
)
def test_a_bad_row_is_named_and_spoils_the_file_or_is_skipped(cast: Cast, row: str, field: str) -> None:
    eui = cast.adapter().dev_eui
    text = HEAD + row.format(eui=eui, key=ONE) + f"\n{eui},inner,,{TWO},,,\n"
    report = _import(cast, text)
    assert [(bad.line, bad.field) for bad in report.bad] == [(2, field)]
    assert ONE not in report.bad[0].message
    assert report.taken == []
    assert not DeviceKey.objects.exists()
    assert not Entry.objects.filter(action__startswith="key.").exists()
    assert len(_import(cast, text, skip_bad=True).taken) == 1


def test_a_key_of_another_organisations_adapter_is_refused_as_if_it_did_not_exist(cast: Cast) -> None:
    theirs = cast.adapter(cast.site(company=cast.away))
    known = _import(cast, HEAD + f"{theirs.dev_eui},inner,,{ONE},,,\n").bad[0]
    unknown = _import(cast, HEAD + f"70b3d57ed1999999,inner,,{ONE},,,\n").bad[0]
    assert known.message == unknown.message


def test_the_same_key_twice_is_refused(cast: Cast) -> None:
    rows = "".join(f"{cast.adapter().dev_eui},inner,,{ONE},,,\n" for _ in range(2))
    assert "line 2" in _import(cast, HEAD + rows).bad[0].message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"dev_eui,purpose\n",
        b"dev_eui,purpose,key,price\n",
        HEAD.encode(),
        b'dev_eui,purpose,key\n"70b3',
        b'{"dev_eui": ',
        b"[[]]",
        b'{"root_key": "00"}',
        b'{"dev_eui": "70b3d57ed1000001", "inner_keys": {}}',
        b"[" * 100_000,
        b"x" * (MAX_BYTES + 1),
        HEAD.encode() + b"a,b,c,d,e,f,g\n" * (MAX_ROWS + 1),
    ],
)
def test_what_is_no_file_of_keys_is_refused_as_a_whole(content: bytes) -> None:
    with pytest.raises(Invalid) as refusal:
        read(content)
    assert refusal.value.field == "file"


@given(st.binary(max_size=300) | st.text(alphabet='{}[]":,;x0123456789abcdef\n', max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        rows = read(content)
    except Invalid:
        return
    assert all(isinstance(row, BadRow) or row.new.key for row in rows)


def test_no_value_shows_in_the_audit_the_report_or_the_database(cast: Cast) -> None:
    report = _import(cast, HEAD + f"{cast.adapter().dev_eui},inner,,{ONE},,,\n")
    shown = str(list(Entry.objects.values())) + repr(report) + repr(list(DeviceKey.objects.values()))
    assert ONE not in shown.lower()
    assert repr(bytes.fromhex(ONE))[2:-1] not in shown


def test_the_command_prints_check_values_and_the_rows_that_are_bad(cast: Cast, vacant: Path) -> None:
    eui, out, err = cast.adapter().dev_eui, StringIO(), StringIO()
    vacant.write_text(HEAD + f"{eui},inner,,{ONE},,,\n{eui},inner,,x,,,\n")
    with pytest.raises(CommandError, match="skip-bad"):
        call_command("import_keys", cast.organisation.slug, str(vacant), stdout=out, stderr=err)
    call_command("import_keys", cast.organisation.slug, str(vacant), skip_bad=True, stdout=out, stderr=err)
    assert Key16.parse(ONE).check_value().hex() in out.getvalue()
    assert "3: key:" in err.getvalue()
    assert ONE not in out.getvalue() + err.getvalue()


@pytest.mark.parametrize("arguments", [("nobody", "x"), ("", "missing.csv")])
def test_the_command_says_what_is_missing(cast: Cast, arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError):
        call_command("import_keys", arguments[0] or cast.organisation.slug, arguments[1])
