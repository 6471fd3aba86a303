"""Labels as they are printed: a foreign reader finds in each picture what was meant, and nobody prints too much."""

import json
import re
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from meterwire import label as tr005
from meterwire import ndef
from meterwire.errors import LabelError
from provisioning.audit.models import Entry
from provisioning.audit.services import audited
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.models import Adapter
from provisioning.labels.checks import label_profile
from provisioning.labels.render import SHEETS, label_pdf, label_svg, label_text, label_zpl, qr_svg, sheet_pdf
from provisioning.labels.render.pdf import PADDING, TEXT_SHARE
from provisioning.labels.render.qr import QUIET, matrix
from provisioning.labels.render.text import lines
from provisioning.labels.services import PrintLabel, consume, issue_token, matches, open_label, print_labels, printing
from provisioning.labels.services.printing import _label, _row, ask
from tests.cast import Cast
from tests.support.pictures import of_pdf, of_svg


@pytest.fixture
def adapter(cast: Cast) -> Adapter:
    return cast.adapter()


@pytest.fixture
def printed(cast: Cast, adapter: Adapter) -> PrintLabel:
    return print_labels(cast.owner, adapter.organisation, [adapter])[0]


def test_a_label_proves_that_one_holds_its_adapter(adapter: Adapter, printed: PrintLabel) -> None:
    read = tr005.parse(printed.text)

    assert (str(read.dev_eui), str(read.join_eui)) == (adapter.dev_eui, adapter.join_eui)
    assert read.owner_token is not None
    assert matches(adapter, read.owner_token)
    assert read.owner_token not in repr(printed)


def test_printing_again_gives_the_same_label_and_a_used_one_needs_a_new_token(
    cast: Cast, adapter: Adapter, printed: PrintLabel
) -> None:
    assert open_label(cast.owner, adapter) == printed.text
    with audited(adapter.organisation):
        consume(cast.owner, adapter)
    with pytest.raises(Conflict, match="make a new label"):
        open_label(cast.owner, adapter)

    fresh = print_labels(cast.owner, adapter.organisation, [adapter], reissue=True)[0]

    assert fresh.text != printed.text


def test_every_printing_is_audited_without_the_token(cast: Cast, adapter: Adapter, printed: PrintLabel) -> None:
    entries = Entry.objects.filter(organisation=adapter.organisation)
    token = tr005.parse(printed.text).owner_token

    assert entries.filter(action="label.printed").count() == 1
    assert all(str(token) not in str(entry.data) for entry in entries)


def test_installers_and_outsiders_print_no_labels(cast: Cast, adapter: Adapter) -> None:
    for actor in (cast.installer, cast.viewer, cast.outsider):
        with pytest.raises(Forbidden):
            print_labels(actor, adapter.organisation, [adapter])


def test_the_svg_is_read_by_a_foreign_reader(printed: PrintLabel) -> None:
    assert _read(of_svg(label_svg(printed), 20)) == [printed.text]
    assert _read(of_svg(qr_svg(printed.text), 6)) == [printed.text]


def test_the_single_pdf_label_is_read_by_a_foreign_reader(printed: PrintLabel) -> None:
    assert _read(of_pdf(label_pdf(printed), 0, (50, 30), 20)) == [printed.text]


@pytest.mark.parametrize("stock", SHEETS)
def test_every_label_of_a_full_sheet_and_the_next_page_is_read(stock: str) -> None:
    count = SHEETS[stock].count
    labels = [_made(number) for number in range(count + 1)]

    pdf = sheet_pdf(labels, stock, first=2)

    found = _read(of_pdf(pdf, 0, (210, 297), 14)) + _read(of_pdf(pdf, 1, (210, 297), 14))
    assert sorted(found) == sorted(label.text for label in labels)


@given(entropy=st.binary(min_size=16, max_size=16), serial=st.text(max_size=40), number=st.integers(0, 2**64 - 1))
def test_every_label_reads_back_and_stays_within_the_compact_code(entropy: bytes, serial: str, number: int) -> None:
    adapter = Adapter(dev_eui=f"{number:016x}", join_eui="70b3d57ed0000001", serial=serial)
    token = tr005.owner_token(entropy)

    text = _label(adapter, token).text

    read = tr005.parse(text)
    assert (str(read.dev_eui), read.owner_token) == (adapter.dev_eui, token)
    assert re.fullmatch(r"[0-9A-Z:]{1,120}", text, re.ASCII), "alphanumeric mode, and short enough for level Q"
    with pytest.raises(LabelError):
        tr005.parse(text.replace(token, ("7" if token[0] != "7" else "A") + token[1:]))


@pytest.mark.parametrize("stock", SHEETS)
def test_label_stock_fits_on_a4_and_its_codes_are_coarse_enough_for_a_phone(stock: str) -> None:
    sheet = SHEETS[stock]
    assert sheet.left + sheet.columns * sheet.width <= 210.0
    assert sheet.top + sheet.rows * sheet.height <= 297.0
    smallest = min(sheet.height, sheet.width * TEXT_SHARE) - 2 * PADDING
    assert smallest / (len(matrix(_made(1).text)) + 2 * QUIET) >= 0.33, "mm per module"


def test_a_long_serial_number_stays_on_its_label() -> None:
    shown = lines(PrintLabel("70b3d57ed0061234", "SERIAL-NUMBER-OF-FORTY-CHARACTERS-0000042", ""))
    assert shown[1] == "SERIAL…0000042"


def test_a_sheet_that_is_not_there_and_a_position_beyond_it_are_refused() -> None:
    with pytest.raises(Invalid, match="3x8-70x37"):
        sheet_pdf([_made(1)], "A0")
    with pytest.raises(Invalid, match="1 to 24"):
        sheet_pdf([_made(1)], "3x8-70x37", first=25)


def test_no_text_can_leave_its_field_in_zpl() -> None:
    zpl = label_zpl(PrintLabel("70b3d57ed0061234", "A^XZ~JA_41", "LW:D0:X"))

    assert zpl.count("^XZ") == 1
    assert "~JA" not in zpl
    assert "A_5EXZ_7EJA_5F41" in zpl


def test_the_text_can_be_typed_and_the_tag_be_read(printed: PrintLabel) -> None:
    assert printed.text in label_text(printed)
    assert ndef.decode(ndef.encode(printed.text)) == printed.text


@pytest.mark.parametrize("form", ["text", "svg", "pdf", "zpl", "ndef"])
def test_the_command_prints_each_form(adapter: Adapter, form: str) -> None:
    out = _command(adapter.dev_eui.upper(), format=form)

    assert out.startswith({"text": b"", "svg": b"<svg", "pdf": b"%PDF", "zpl": b"^XA", "ndef": b"\xd1"}[form])
    assert len(out) > 60


def test_the_command_tells_programs_in_json(adapter: Adapter) -> None:
    told = json.loads(_command(adapter.dev_eui, format="ndef", json=True))

    assert told["dev_eui"] == adapter.dev_eui
    assert tr005.parse(ndef.decode(bytes.fromhex(told["content"]))).owner_token


def test_the_command_names_a_file_that_it_cannot_write(adapter: Adapter, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written: No such file") as caught:
        _command(adapter.dev_eui, out=tmp_path / "missing" / "label.pdf")
    assert caught.value.returncode == 2


def test_two_who_print_at_once_do_not_end_each_others_labels(cast: Cast, adapter: Adapter) -> None:
    """The other one's label was made while we waited for the vault."""
    with audited(adapter.organisation):
        issue_token(cast.owner, adapter)
        with pytest.raises(Conflict, match="print again"):
            _row(cast.owner, adapter, None, False)


def test_a_label_used_meanwhile_is_not_printed(
    cast: Cast, adapter: Adapter, printed: PrintLabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any) -> Any:
        answer = ask(*arguments)
        with audited(adapter.organisation):
            consume(cast.owner, adapter)
        return answer

    monkeypatch.setattr(printing, "ask", slow)
    with pytest.raises(Conflict, match="print again"):
        open_label(cast.owner, adapter)


def test_the_command_says_what_to_do_when_it_cannot(cast: Cast, adapter: Adapter, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No adapter 0000000000000001 is registered"):
        _command("0000000000000001")
    with pytest.raises(CommandError, match="16 hex"):
        _command("nonsense")
    open_label(cast.owner, adapter)
    with audited(adapter.organisation):
        consume(cast.owner, adapter)
    with pytest.raises(CommandError, match="--reissue"):
        _command(adapter.dev_eui)

    target = tmp_path / "label.svg"
    call_command("label", adapter.dev_eui, format="svg", out=target, reissue=True)

    assert target.stat().st_mode & 0o777 == 0o600
    assert _read(of_svg(target.read_text(), 20))


def _command(dev_eui: str, **options: Any) -> bytes:
    stream = BytesIO()
    text = TextIOWrapper(stream, write_through=True)
    call_command("label", dev_eui, stdout=text, **options)
    return stream.getvalue()


def _made(number: int) -> PrintLabel:
    dev_eui = f"70b3d57ed006{number:04x}"
    text = f"LW:D0:70B3D57ED0000001:{dev_eui.upper()}:FFFF0001:O{number:026d}:SMS{number}"
    return PrintLabel(dev_eui, f"MS-{number}", f"{text}:C{tr005.crc16_modbus(text.encode()):04X}")


def _read(picture: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode)]


@pytest.mark.parametrize(("profile", "found"), [("FFFF0001", []), ("000a00", ["labels.E001"]), ("", ["labels.E001"])])
def test_a_profile_that_no_label_can_carry_is_found_at_start(settings: Any, profile: str, found: list[str]) -> None:
    settings.LABEL_PROFILE = profile
    assert [one.id for one in label_profile()] == found
