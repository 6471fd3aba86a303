"""Pages by cursor: stable while rows arrive, and as quick at the end of a long list as at its beginning."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000
MAX_CURSOR = 500


class CursorPagination(BasePagination):
    """Goes by the view's `ordering`: fields that together are unique, all rising or (with a minus) all falling."""

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        ordering: Sequence[str] = getattr(view, "ordering", ("pk",))
        size = self._size(request)
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(_beyond(queryset.model, ordering, cursor))
        rows = list(queryset.order_by(*ordering)[: size + 1])
        self._url = request.build_absolute_uri()
        self._next = _cursor(rows[size - 1], ordering) if len(rows) > size else None
        return rows[:size]

    def get_paginated_response(self, data: Any) -> Response:
        following = replace_query_param(self._url, "cursor", self._next) if self._next else None
        return Response({"next": following, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {"type": "string", "nullable": True, "format": "uri"},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}
        return [
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "From the `next` of a page.",
            },
            {"name": "page_size", "in": "query", "schema": size},
        ]

    def _size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(PAGE_SIZE))
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE_SIZE):
            raise ParseError(_("page_size is a number from 1 to {limit}.").format(limit=MAX_PAGE_SIZE))
        return int(text)


def _cursor(row: Model, ordering: Sequence[str]) -> str:
    values = [getattr(row, name.lstrip("-")) for name in ordering]
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def _beyond(model: type[Model], ordering: Sequence[str], cursor: str) -> Q:
    """Rows after the one that the cursor names: greater in the first field, or equal there and greater in the next."""
    names = [name.lstrip("-") for name in ordering]
    comparison = "lt" if ordering[0].startswith("-") else "gt"
    values = _values(model, names, cursor)
    beyond = Q()
    for place in range(len(names)):
        same = dict(zip(names[:place], values, strict=False))
        beyond |= Q(**same, **{f"{names[place]}__{comparison}": values[place]})
    # Implied by the rest, but an index can use it.
    return Q(**{f"{names[0]}__{comparison}e": values[0]}) & beyond


def _values(model: type[Model], names: list[str], cursor: str) -> list[Any]:
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError
        plain = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(plain, list) or len(plain) != len(names) or any(isinstance(v, (list, dict)) for v in plain):
            raise ValueError
        values = [_field(model, name).to_python(value) for name, value in zip(names, plain, strict=True)]
        if any(value is None or (isinstance(value, str) and "\0" in value) for value in values):
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, ValidationError):
        raise ParseError(_("This cursor is none of ours; begin with the first page.")) from None
    return values


def _field(model: type[Model], name: str) -> Any:
    if name == "pk":
        return model._meta.pk
    field = model._meta.get_field(name.removesuffix("_id") if name.endswith("_id") else name)
    return getattr(field, "target_field", field)
