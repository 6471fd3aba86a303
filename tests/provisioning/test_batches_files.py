"""Whatever is uploaded: tables in every usual form are read, anything else is refused with the reason."""

import contextlib
import io
import resource
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.batches.cells import FORMULA, NUMBER
from provisioning.batches.errors import FileRefused
from provisioning.batches.fields import suggest
from provisioning.batches.files import Hints, archive, open_table, table
from provisioning.batches.files.csvfile import OPEN_QUOTE
from tests.support.supplier_file import TITLES, adapters, csv_file, xlsx_file

NO_HINTS = Hints()
HEAD = "Device EUI;AppKey;Ort\r\n"
LINE = "70B3D57ED2000000;00112233445566778899AABBCCDDEEFF;Müllerstraße\r\n"


def read(file: io.BytesIO, name: str = "a.csv", hints: Hints = NO_HINTS) -> tuple[list[str], list[Any], dict[str, str]]:
    with open_table(file, name, hints) as found:
        return found.titles, list(found.rows), found.facts


def refusal(content: bytes | io.BytesIO, name: str = "a.xlsx") -> str:
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    with pytest.raises(FileRefused) as caught:
        read(file, name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
    ],
)
def test_every_usual_encoding_is_found_out(encoding: str, told: str) -> None:
    titles, rows, facts = read(io.BytesIO((HEAD + LINE).encode(encoding)))
    assert titles == ["Device EUI", "AppKey", "Ort"]
    assert rows[0][1][2].text == "Müllerstraße"
    assert facts["encoding"] == told


@pytest.mark.parametrize(("delimiter", "told"), [(",", ","), (";", ";"), ("\t", "tab"), ("|", "|")])
def test_every_usual_delimiter_is_found_out(delimiter: str, told: str) -> None:
    titles, rows, facts = read(csv_file(adapters(2), delimiter=delimiter))
    assert (titles, len(rows), facts["delimiter"]) == (list(TITLES), 2, told)


def test_a_delimiter_inside_quotation_marks_does_not_count() -> None:
    titles, _rows, facts = read(io.BytesIO(b'"a,b,c,d";"e"\r\n1;2\r\n'))
    assert (titles, facts["delimiter"]) == (["a,b,c,d", "e"], ";")


def test_the_line_that_names_the_delimiter_is_no_title() -> None:
    titles, rows, _facts = read(io.BytesIO(f"sep=;\r\n{HEAD}{LINE}".encode()))
    assert titles[0] == "Device EUI"
    assert rows[0][0] == 3


def test_titles_may_stand_below_a_heading() -> None:
    text = f"Delivery note 4711;;\r\n\r\n{HEAD}{LINE}"
    titles, rows, _facts = read(io.BytesIO(text.encode()))
    assert titles[0] == "Device EUI"
    assert rows[0][0] == 4


def test_lines_keep_their_numbers_across_empty_ones() -> None:
    _titles, rows, _facts = read(io.BytesIO((HEAD + "\r\n;;\r\n" + LINE).encode()))
    assert [line for line, _cells in rows] == [4]


def test_a_quotation_mark_that_stays_open_is_told_with_its_row() -> None:
    _titles, rows, _facts = read(io.BytesIO((HEAD + '"70B3;1;2\r\n' + LINE + LINE).encode()))
    assert rows[0][0] == 2
    assert rows[0][1][0].flaw == OPEN_QUOTE


@pytest.mark.parametrize("content", [b"", b"\r\n\r\n", b"\xef\xbb\xbf", b";;;\r\n"])
def test_an_empty_file_is_called_empty(content: bytes) -> None:
    assert refusal(content, "a.csv") == "The file is empty."


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (bytes(range(256)) * 9, "a.csv", "no text file"),
        (b"DevEUI;x\r\n\x81\x8d\x8f\r\n", "a.csv", "neither UTF-8"),
        (b"\xff\xfeD\x00e", "a.csv", "not written in utf-16"),
        (b"%PDF-1.7", "a.csv", "no CSV and no XLSX"),
        (b"text", "a.ods", "no CSV and no XLSX"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.xlsx", "old or encrypted"),
        (b"PK\x03\x04" + bytes(100), "a.xlsx", "damaged"),
        (b"PK\x05\x06" + bytes(18), "a.xlsx", "no XLSX workbook"),
        (("x" * 30_000 + ";y\r\n1;2").encode(), "a.csv", "Line 1 cannot be read"),
        ((HEAD + "x;" * 300).encode(), "a.csv", "Line 2 has more than 200 columns"),
    ],
)
def test_what_is_no_table_is_refused_by_name(content: bytes, name: str, words: str) -> None:
    assert words in refusal(content, name)


def test_more_rows_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_ROWS", 50)
    read(csv_file(adapters(50)))
    assert "more than 50 rows" in refusal(csv_file(adapters(51)), "a.csv")
    assert "more than 50 rows" in refusal(xlsx_file(adapters(51)))


def test_a_workbook_is_read_like_the_same_text() -> None:
    titles, rows, facts = read(xlsx_file(adapters(3)), "a.xlsx")
    plain = read(csv_file(adapters(3)))
    assert titles == plain[0]
    assert [[cell.text for cell in cells if cell.text] for _line, cells in rows] == [
        [cell.text for cell in cells if cell.text] for _line, cells in plain[1]
    ]
    assert facts["sheet"] == "Delivery"


def test_what_a_spreadsheet_does_to_a_cell_is_told() -> None:
    rows = [["=1+1", 7012345678901234, 1.5, 12]]
    _titles, found, _facts = read(xlsx_file(rows, ["DevEUI", "AppEUI", "AppKey", "Slot"]), "a.xlsx")
    assert [cell.flaw for cell in found[0][1]] == [FORMULA, NUMBER, NUMBER, NUMBER]


def rebuilt(change: dict[str, bytes | None], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    """A workbook with some of its parts exchanged, added or (None) left out."""
    made = io.BytesIO()
    with zipfile.ZipFile(xlsx_file(adapters(2))) as old, zipfile.ZipFile(made, "w", compression) as new:
        for name in old.namelist():
            if change.get(name, b"") == b"":
                new.writestr(name, old.read(name))
        for name, content in change.items():
            if content:
                new.writestr(name, content)
    made.seek(0)
    return made


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"xl/vbaProject.bin": b"Attribute VB_Name"}, "macros"),
        ({SHEET: b"<worksheet>" + bytes(30 * 2**20)}, "far larger"),
        ({"xl/sharedStrings.xml": b" " * (60 * 2**20)}, "far larger"),
        ({"xl/media/image1.png": bytes(9 * 2**20)}, "far larger"),
        ({f"xl/extra/{n}.xml": b"<a/>" for n in range(600)}, "more than 500 parts"),
        ({SHEET: b"<worksheet><sheetData><row"}, "damaged"),
        ({"xl/workbook.xml": b"<a><b></a>"}, "damaged"),
        ({"xl/workbook.xml": None}, "no XLSX workbook"),
        ({"[Content_Types].xml": None}, "damaged"),
    ],
)
def test_a_workbook_that_is_dangerous_or_damaged_is_refused(change: dict[str, bytes | None], words: str) -> None:
    assert words in refusal(rebuilt(change))


def test_entities_are_not_unfolded() -> None:
    laughs = b'<!DOCTYPE w [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + n, (b"&%c;" % (97 + n)) * 10) for n in range(9)
    )
    xml = laughs + b']><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    xml += b'<row r="1"><c r="A1" t="inlineStr"><is><t>&j;</t></is></c></row></sheetData></worksheet>'
    assert "damaged" in refusal(rebuilt({SHEET: xml}))


def test_a_row_far_below_and_a_column_far_right_cost_nothing() -> None:
    xml = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    xml += b'<row r="1"><c r="A1" t="inlineStr"><is><t>DevEUI</t></is></c></row>'
    xml += b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'
    titles, rows, _facts = read(rebuilt({SHEET: xml}), "a.xlsx")
    assert (titles, rows) == (["DevEUI"], [])


@pytest.mark.parametrize("line", [b"1", b"0", b"9999999999"])
def test_rows_out_of_order_are_damage(line: bytes) -> None:
    xml = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    for number in (b"2", line):
        xml += b'<row r="%s"><c r="A%s" t="inlineStr"><is><t>x</t></is></c></row>' % (number, number)
    assert "damaged" in refusal(rebuilt({SHEET: xml + b"</sheetData></worksheet>"}))


def test_a_part_that_lies_about_its_size_is_not_unpacked() -> None:
    content = bytearray(rebuilt({"docProps/core.xml": b"<a>" + bytes(900_000)}).getvalue())
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as found:
        real = found.getinfo("docProps/core.xml").file_size
    lie = content.replace(real.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lie != content
    assert "far larger" in refusal(bytes(lie))


def test_a_million_rows_are_given_up_early() -> None:
    sheet = io.BytesIO()
    sheet.write(b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>')
    for number in range(1, 1_000_001):
        sheet.write(b'<row r="%d"><c r="A%d"><v>%d</v></c></row>' % (number, number, number * 7919 % 99_991))
    sheet.write(b"</sheetData></worksheet>")
    assert sheet.tell() < archive.MAX_UNPACKED
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "more than 100000 rows" in refusal(rebuilt({SHEET: sheet.getvalue()}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


@given(st.binary(max_size=400), st.sampled_from(["a.csv", "a.xlsx", "a.txt"]))
def test_any_octets_are_a_table_or_refused(content: bytes, name: str) -> None:
    with contextlib.suppress(FileRefused):
        read(io.BytesIO(content), name)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 8000))
def test_a_workbook_with_any_damage_is_a_table_or_refused(damage: bytes, at: int) -> None:
    content = bytearray(_WORKBOOK)
    at %= len(content)
    content[at : at + len(damage)] = damage
    with contextlib.suppress(FileRefused):
        read(io.BytesIO(bytes(content)), "a.xlsx")


_WORKBOOK = xlsx_file(adapters(2)).getvalue()


@pytest.mark.parametrize(
    ("titles", "found"),
    [
        (["DevEUI", "AppEUI", "AppKey"], {"dev_eui": "DevEUI", "join_eui": "AppEUI", "root_key": "AppKey"}),
        (["dev eui", "Join-EUI", "APP_KEY"], {"dev_eui": "dev eui", "join_eui": "Join-EUI", "root_key": "APP_KEY"}),
        (["Device EUI (hex)", "Seriennr."], {"dev_eui": "Device EUI (hex)", "serial": "Seriennr."}),
        (["Fabrikat", "Farbe"], {}),
    ],
)
def test_columns_are_recognised_by_their_usual_titles(titles: list[str], found: dict[str, str]) -> None:
    assert suggest(titles, {}) == found


def test_a_saved_mapping_goes_before_the_usual_titles() -> None:
    assert suggest(["AppKey", "Key 2"], {"root_key": "key 2"})["root_key"] == "Key 2"
