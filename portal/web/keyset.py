"""Pages by key instead of by number: the thousandth page costs what the first one does."""

import base64
import binascii
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

Row = TypeVar("Row", bound=Model)
MAX_CURSOR = 200
SIZE = 40


@dataclass(frozen=True, slots=True)
class Order:
    """Sort fields, the last of them unique; "-" in front: descending. None of them may be null."""

    fields: tuple[str, ...]

    def reversed(self) -> "Order":
        return Order(tuple(f[1:] if f.startswith("-") else f"-{f}" for f in self.fields))


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page: its rows in order, and the query strings of its neighbours (empty: there is none)."""

    rows: list[Row]
    previous: str
    next: str


def paged(rows: QuerySet[Row], order: Order, query: QueryDict, size: int = SIZE) -> Page[Row]:
    """The page that `after` or `before` in the query names; a cursor nobody made is ignored."""
    after, before = _read(query.get("after")), _read(query.get("before"))
    backwards = before is not None
    used = order.reversed() if backwards else order
    start = before if backwards else after
    if start is not None and len(start) == len(order.fields):
        with suppress(ValueError, TypeError, ValidationError):  # values of other kinds than the columns'
            rows = rows.filter(_beyond(used, start))
    found = list(rows.order_by(*used.fields)[: size + 1])
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    has_previous, has_next = (more, True) if backwards else (start is not None, more)
    return Page(
        found,
        _link(query, "before", order, found[0]) if found and has_previous else "",
        _link(query, "after", order, found[-1]) if found and has_next else "",
    )


def _beyond(order: Order, start: Sequence[Any]) -> Q:
    condition = Q()
    for depth in range(len(order.fields)):
        equal = Q(**{_name(f): v for f, v in zip(order.fields[:depth], start, strict=False)})
        side = "lt" if order.fields[depth].startswith("-") else "gt"
        condition |= equal & Q(**{f"{_name(order.fields[depth])}__{side}": start[depth]})
    # Says once more what follows from the rest, in the form that an index serves.
    side = "lte" if order.fields[0].startswith("-") else "gte"
    return condition & Q(**{f"{_name(order.fields[0])}__{side}": start[0]})


def _name(field: str) -> str:
    return field.removeprefix("-")


def _link(query: QueryDict, side: str, order: Order, row: Model) -> str:
    values: list[Any] = []
    for field in order.fields:
        value: Any = row
        for part in _name(field).split("__"):
            value = getattr(value, part)
        values.append({"t": value.isoformat()} if isinstance(value, datetime) else value)
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    copy = query.copy()
    copy.pop("after", None)
    copy.pop("before", None)
    copy[side] = cursor
    return copy.urlencode()


def _read(cursor: str | None) -> list[Any] | None:
    if not cursor or len(cursor) > MAX_CURSOR:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return [_value(value) for value in values] if isinstance(values, list) else None
    except (ValueError, binascii.Error, TypeError):
        return None


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.fromisoformat(value["t"] if isinstance(value.get("t"), str) else "")
    if isinstance(value, str) and "\0" not in value:
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    raise ValueError("no cursor value")
