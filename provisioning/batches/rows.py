"""Turns a line of a file into a row of the batch: every error of it found, every key sealed at once."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _

from meterwire.keymemory import SLOTS
from meterwire.seal import Key16
from provisioning.batches import cells
from provisioning.batches.cells import EMPTY, Cell
from provisioning.batches.errors import CellError
from provisioning.batches.files.csvfile import OPEN_QUOTE
from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.plan import Column, Plan
from provisioning.batches.seen import Seen
from provisioning.batches.tokens import seal_token
from provisioning.fleet.models import Adapter
from provisioning.keys.context import waiting_context
from provisioning.keys.models import Purpose
from provisioning.keys.waiting import WaitingSealer

PARTNER, FIRST_VERSION = "portal", 1
_KEYS = (("root_key", Purpose.ROOT), ("inner_key", Purpose.INNER), ("inner_key_2", Purpose.INNER))
_PLAIN = ("join_eui", "serial", "location", "lorawan", "kind", "period_s", "data_rate")
_EUI_PLACE, _TOKEN_PLACE = 14, 15  # beside the numbers of the key fields

Error = dict[str, str]


class RowReader:
    """Reads the lines of one file. Knows which values it has seen, not the values."""

    def __init__(self, batch: Batch, plan: Plan, sealer: WaitingSealer) -> None:
        self._batch, self._plan, self._sealer = batch, plan, sealer
        self._titles = plan.titles()
        self._seen = {"eui": Seen(), "key": Seen(), "token": Seen()}

    def read(self, line: int, line_cells: Sequence[Cell]) -> BatchRow:
        """The row of this line; in state BAD with all its errors, and then without its keys, or NEW."""
        errors: list[Error] = []
        values = dict(self._plan.fixed)
        for column in self._plan.columns:
            self._fill(values, column, line_cells, errors)
        errors += _of_the_line(line_cells, self._plan.width)
        self._judge(values, errors)
        self._remember(values, line)
        row = BatchRow(
            batch=self._batch,
            line=line,
            dev_eui=values.get("dev_eui", ""),
            state=BatchRow.State.NEW,
            values={name: values[name] for name in _PLAIN if values.get(name) not in (None, "")},
        )
        seal_row(row, self._sealer, values, seal=not errors)
        if errors:
            add_errors(row, errors)
        return row

    def repeats(self) -> Iterator[tuple[int, Error]]:
        """(line, error) for what stands on several lines; each names another one."""
        for kind, seen in self._seen.items():
            for place, other in seen.repeated():
                if place >> 4 == other >> 4:
                    continue
                yield place >> 4, self._repeat(kind, place & 15, other >> 4)

    def _fill(self, values: dict[str, Any], column: Column, line_cells: Sequence[Cell], errors: list[Error]) -> None:
        field = column.field
        cell = line_cells[column.index] if column.index < len(line_cells) else EMPTY
        try:
            if cell.text.strip() or cell.flaw not in ("", OPEN_QUOTE):
                values[field.name] = field.parse(cell)
            elif field.required and field.name not in values:
                raise CellError("missing", _("This must not be empty."))
        except CellError as error:
            values.pop(field.name, None)
            errors.append(_error(column.title, error.code, error.message))

    def _judge(self, values: dict[str, Any], errors: list[Error]) -> None:
        """What no cell can tell alone."""
        dev_eui = values.get("dev_eui", "")
        found: dict[str, bytes] = {}
        for name, _purpose in _KEYS:
            octets = values.get(name)
            if octets is None:
                continue
            reason = cells.weakness(octets, dev_eui, values.get("join_eui", ""))
            if reason:
                errors.append(_error(self._titles[name], "weak_key", reason))
            elif octets in found.values():
                errors.append(_error(self._titles[name], "key_twice", _("Two keys of this row are the same.")))
            found[name] = octets
        inner = [name for name in ("inner_key", "inner_key_2") if name in values]
        if inner and values.get("kind") == Adapter.Kind.FOREIGN:
            errors.append(_error(self._titles[inner[0]], "foreign_inner", _("A foreign device has LoRaWAN keys only.")))
        slots = (values.get("inner_slot"), values.get("inner_slot_2"))
        if len(inner) == 2 and None not in slots and slots[0] == slots[1]:
            title = self._titles.get("inner_slot_2", self._titles["inner_key_2"])
            errors.append(_error(title, "slot_twice", _("Both inner keys name slot {slot}.").format(slot=slots[0])))

    def _remember(self, values: dict[str, Any], line: int) -> None:
        place = line << 4
        if values.get("dev_eui"):
            self._seen["eui"].add(bytes.fromhex(values["dev_eui"]), place | _EUI_PLACE)
        for number, (name, _purpose) in enumerate(_KEYS):
            octets = values.get(name)
            if octets is not None and len(set(octets)) > 1:
                self._seen["key"].add(octets, place | number)
        if values.get("owner_token"):
            self._seen["token"].add(values["owner_token"].encode(), place | _TOKEN_PLACE)

    def _repeat(self, kind: str, number: int, other: int) -> Error:
        if kind == "eui":
            text = _("Line {line} has the same DevEUI; keep the right one of them.")
            return _error(self._titles["dev_eui"], "repeated", text.format(line=other))
        if kind == "token":
            text = _("Line {line} has the same owner token; each adapter needs its own.")
            return _error(self._titles["owner_token"], "repeated_token", text.format(line=other))
        text = _("Line {line} has the same key; each key belongs to one adapter alone.")
        return _error(self._titles[_KEYS[number][0]], "repeated_key", text.format(line=other))


def seal_row(row: BatchRow, sealer: WaitingSealer, values: dict[str, Any], *, seal: bool = True) -> None:
    """Put the keys and the owner token among `values` into the row: check values for people, sealed for the vault."""
    organisation_id = row.batch.organisation_id
    wanted = [values.get("inner_slot"), values.get("inner_slot_2")]
    versions: dict[str, int] = {}
    parts = []
    for name, purpose in _KEYS:
        octets = values.get(name)
        if octets is None:
            continue
        version = versions[purpose] = versions.get(purpose, FIRST_VERSION - 1) + 1
        slot = None if purpose == Purpose.ROOT else _slot(wanted, 0 if name == "inner_key" else 1)
        row.keys.append(
            {
                "purpose": str(purpose),
                "slot": slot,
                "version": version,
                "tag_length": values.get("tag_length", 4) if purpose == Purpose.INNER else 4,
                "check_value": Key16(octets).check_value().hex(),
            }
        )
        if seal:
            place = waiting_context(organisation_id, row.dev_eui, version, purpose, PARTNER)
            parts.append(sealer.seal(octets, place))
    row.sealed = b"".join(parts)
    if seal and values.get("owner_token"):
        seal_token(row, sealer, values["owner_token"])


def add_errors(row: BatchRow, errors: list[Error], *, flawed: bool = True) -> None:
    """Make the row a bad one; one that is bad in itself forgets its keys."""
    row.state, row.flawed = BatchRow.State.BAD, flawed
    row.errors = [*row.errors, *errors]
    row.codes = "|" + "|".join(dict.fromkeys(error["code"] for error in row.errors)) + "|"
    if flawed:
        row.sealed = row.token_sealed = b""


def _slot(wanted: list[int | None], which: int) -> int:
    """The named slot, else the lowest one that the other key does not name."""
    own, other = wanted[which], wanted[1 - which]
    if own is not None:
        return own
    if which == 1 and other is None:
        other = 0
    return next(slot for slot in range(SLOTS) if slot != other)


def _of_the_line(line_cells: Sequence[Cell], width: int) -> list[Error]:
    errors = []
    if line_cells and line_cells[0].flaw == OPEN_QUOTE:
        errors.append(
            _error("", OPEN_QUOTE, _("A cell of this row goes over several lines; a quotation mark is not closed."))
        )
    if any(cell.text.strip() for cell in line_cells[width:]):
        text = _(
            "This row has more cells than there are titles; a delimiter stands inside a cell without quotation marks."
        )
        errors.append(_error("", "too_many_cells", text))
    return errors


def _error(column: str, code: str, message: str) -> Error:
    return {"column": column, "code": code, "message": message}
