"""Which column of a file fills which field: the mapping of a supplier, held against the titles that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from provisioning.batches.cells import Cell
from provisioning.batches.errors import CellError, FileRefused
from provisioning.batches.fields import BY_NAME, FIELDS, Field, nearest, plain_title
from provisioning.errors import Invalid

MAX_DEFAULT = 120


@dataclass(frozen=True, slots=True)
class Column:
    """A field and the column that fills it."""

    field: Field
    title: str
    index: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The columns in use, and the values that hold where a cell is empty or there is no column."""

    columns: tuple[Column, ...]
    fixed: Mapping[str, Any]
    width: int

    def titles(self) -> dict[str, str]:
        """Our field -> title."""
        return {column.field.name: column.title for column in self.columns}


def clean_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """A mapping without empty entries. Invalid for a field nobody knows, or a column used twice."""
    kept = {name: " ".join(str(title).split())[:MAX_DEFAULT] for name, title in mapping.items() if str(title).strip()}
    for name in kept:
        if name not in BY_NAME:
            known = ", ".join(BY_NAME)
            raise Invalid(
                "mapping", _("There is no field “{name}”; the fields are: {known}.").format(name=name[:40], known=known)
            )
    plain = [plain_title(title) or title for title in kept.values()]
    twice = next((title for title, short in zip(kept.values(), plain, strict=True) if plain.count(short) > 1), None)
    if twice is not None:
        raise Invalid("mapping", _("The column “{title}” is chosen for two fields.").format(title=twice))
    return kept


def clean_defaults(defaults: Mapping[str, str]) -> dict[str, str]:
    """Fixed values as text, each checked like a cell. Invalid names the field."""
    kept = {name: str(value).strip()[:MAX_DEFAULT] for name, value in defaults.items() if str(value).strip()}
    for name, value in kept.items():
        field = BY_NAME.get(name)
        if field is None or not field.fixed:
            raise Invalid("defaults", _("“{name}” cannot have one value for all rows.").format(name=name[:40]))
        try:
            field.parse(Cell(value))
        except CellError as error:
            raise Invalid(f"default_{name}", error.message) from None
    return kept


def plan_for(titles: Sequence[str], mapping: Mapping[str, str], defaults: Mapping[str, str]) -> Plan:
    """The plan for a file with these titles. FileRefused lists every column that is missing or there twice."""
    mapping, defaults = clean_mapping(mapping), clean_defaults(defaults)
    places: dict[str, list[int]] = {}
    for index, title in enumerate(titles):
        places.setdefault(plain_title(title) or title, []).append(index)
    columns, faults = [], []
    for field in FIELDS:
        wanted = mapping.get(field.name)
        if wanted is None:
            if field.required and field.name not in defaults:
                faults.append(_("No column is chosen for {field}.").format(field=field.label))
            continue
        found = places.get(plain_title(wanted) or wanted, [])
        if len(found) == 1:
            columns.append(Column(field, titles[found[0]], found[0]))
        else:
            faults.append(_absent(field, wanted, titles) if not found else _twice(wanted))
    if faults:
        raise FileRefused(" ".join(faults), field="mapping")
    fixed = {name: BY_NAME[name].parse(Cell(value)) for name, value in defaults.items()}
    return Plan(tuple(columns), fixed, len(titles))


def _absent(field: Field, title: str, titles: Sequence[str]) -> str:
    text = _("The file has no column “{title}” ({field}).").format(title=title, field=field.label)
    close = nearest(title, titles)
    if close:
        return text + " " + _("Is “{close}” meant?").format(close=close)
    there = ", ".join(f"“{one}”" for one in titles[:12] if one)
    return text + " " + _("It has: {titles}.").format(titles=there)


def _twice(title: str) -> str:
    return _("The file has two columns “{title}”; rename one of them.").format(title=title)
