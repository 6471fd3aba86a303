"""Reads files of keys in memory: CSV with a head line, or JSON as an adapter's hand-over file; values stay hidden."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils.translation import gettext as _

from meterwire.errors import IdentifierError, MeterspanError
from meterwire.ids import DevEUI
from meterwire.seal import Key16
from provisioning.errors import Invalid
from provisioning.keys.models import Purpose
from provisioning.keys.services.issue import NewKey

MAX_BYTES: Final = 2_000_000
MAX_ROWS: Final = 2_000
MAX_CELL: Final = 200
COLUMNS: Final = ("dev_eui", "purpose", "slot", "key", "not_before", "not_after", "partner", "tag_length")
REQUIRED: Final = ("dev_eui", "purpose", "key")


@dataclass(frozen=True)
class Row:
    """One key; `line` is its place in the file: the line of a CSV, the number of the key in a JSON file."""

    line: int
    dev_eui: str
    new: NewKey


@dataclass(frozen=True)
class BadRow:
    """Why a row cannot be taken; the message never shows a key."""

    line: int
    field: str
    message: str


def read(content: bytes) -> list[Row | BadRow]:
    """All rows in their order. Invalid("file") for what is no such file, or exceeds MAX_ROWS or MAX_BYTES."""
    if len(content) > MAX_BYTES:
        raise Invalid("file", _("The file is too large; at most {limit} bytes are possible.").format(limit=MAX_BYTES))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("file", _("The file is no text in UTF-8; save it as such.")) from None
    cells = _json(text) if text.lstrip()[:1] in ("{", "[") else _csv(text)
    rows: list[Row | BadRow] = []
    for line, cell in cells:
        if len(rows) >= MAX_ROWS:
            raise Invalid("file", _("The file has over {limit} keys; divide it.").format(limit=MAX_ROWS))
        rows.append(_row(line, cell))
    if not rows:
        raise Invalid("file", _("There is no key in this file."))
    return rows


def _csv(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        if len(set(head)) != len(head) or not set(REQUIRED) <= set(head) or not set(head) <= set(COLUMNS):
            names = ", ".join(COLUMNS)
            raise Invalid("file", _("The first line names the columns: {names}.").format(names=names))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                named = dict(zip(head, (cell.strip() for cell in cells), strict=False))
                yield reader.line_num, named if len(cells) <= len(head) else {**named, "surplus": "x"}
    except csv.Error:
        raise Invalid("file", _("Line {line} is no CSV; look at its quotes.").format(line=reader.line_num)) from None


def _json(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("file", _("The file is no JSON; it may have been cut off.")) from None
    number = 0
    for item in found if isinstance(found, list) else [found]:
        for cell in _keys_of(item):
            number += 1
            yield number, cell


def _keys_of(item: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(item, dict) or not isinstance(item.get("dev_eui"), str):
        raise Invalid("file", _("This is no hand-over file: it names no adapter."))
    device = {"dev_eui": item["dev_eui"]}
    if "root_key" in item:
        yield {**device, "purpose": Purpose.ROOT, "key": item["root_key"]}
    for name, fixed in (
        ("inner_keys", {}),
        ("transport_keys", {"purpose": Purpose.TRANSPORT}),
        ("meter_keys", {"purpose": Purpose.METER}),
    ):
        listed = item.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(key, dict) for key in listed):
            raise Invalid("file", _("This is no hand-over file: {name} is no list of keys.").format(name=name))
        for key in listed:
            cell = {"purpose": Purpose.INNER, **key, **fixed, **device}
            if "input" in cell:
                cell["partner"] = f"input {cell.pop('input')}"
            yield cell


def _row(line: int, cell: Mapping[str, Any]) -> Row | BadRow:
    field = "dev_eui"
    try:
        for field, value in cell.items():
            if field not in COLUMNS:
                raise ValueError(_("This column or field is not known here."))
            if value is not None and (not isinstance(value, str | int) or len(str(value)) > MAX_CELL):
                raise ValueError(_("This is no value of such a field."))
        field = "dev_eui"
        dev_eui = _dev_eui(str(cell.get("dev_eui") or ""))
        field = "key"
        key = Key16.parse("".join(str(cell.get("key") or "").split()))
        values: dict[str, Any] = {}
        for field in ("slot", "tag_length"):
            if (text := str(cell.get(field) if cell.get(field) is not None else "")) != "":
                if not (text.isascii() and text.isdigit()):
                    raise ValueError(_("This is no number."))
                values[field] = int(text)
        for field in ("not_before", "not_after"):
            values[field] = _moment(str(cell.get(field) or ""))
        if partner := str(cell.get("partner") or ""):
            values["partner"] = partner
        return Row(line, dev_eui, NewKey(str(cell.get("purpose") or ""), key, **values))
    except (MeterspanError, ValueError) as error:
        return BadRow(line, field, str(error))


def _dev_eui(text: str) -> str:
    """In words of its own: where columns are mixed up, what stands here is the key."""
    try:
        return str(DevEUI.parse(text))
    except IdentifierError:
        raise ValueError(_("This must be {digits} hex digits.").format(digits=16)) from None


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_("This is no moment such as 2027-01-01T00:00:00Z.")) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
