"""Checks of what people and programs hand to services; each refusal names the field."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.errors import IdentifierError
from provisioning.errors import Conflict, Invalid


class Owned(Protocol):
    """A row that belongs to an organisation."""

    organisation_id: int


class Archivable(Protocol):
    """A row that can be put away."""

    archived_at: datetime | None

    def refresh_from_db(self, *, fields: Iterable[str] | None = None) -> None: ...


def text(field: str, value: str, limit: int, *, required: bool = False) -> str:
    """`value` without surrounding blanks: at most `limit` characters, none of them a control character."""
    if not isinstance(value, str):
        raise Invalid(field, _("This must be a text."))
    value = value.strip()
    if required and not value:
        raise Invalid(field, _("This must not be empty."))
    if len(value) > limit:
        raise Invalid(
            field,
            _("This is {length} characters long; at most {limit} are possible.").format(length=len(value), limit=limit),
        )
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in value):
        raise Invalid(field, _("This contains control characters; type it again without them."))
    return value


def choice(field: str, value: str, choices: Iterable[str]) -> str:
    """`value` when it is one of `choices`."""
    known = list(choices)
    if value not in known:
        raise Invalid(field, _("This must be one of: {choices}.").format(choices=", ".join(known)))
    return value


def identifier(field: str, parse: Callable[[str], object], value: str) -> str:
    """The canonical text of an identifier that `parse` (of meterwire.ids) accepts."""
    if not isinstance(value, str):
        raise Invalid(field, _("This must be a text."))
    try:
        return str(parse(value))
    except IdentifierError as error:
        raise Invalid(field, str(error)) from None


def moment(field: str, value: datetime | None) -> datetime:
    """`value`, which must carry its time zone; None means now."""
    if value is None:
        return timezone.now()
    if timezone.is_naive(value):
        raise Invalid(field, _("This time must carry its time zone."))
    return value


def time_zone(field: str, value: str) -> str:
    """The name of a time zone of the tz database."""
    value = text(field, value, 40, required=True)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            field, _("'{value}' is no time zone; use a name such as Europe/Berlin.").format(value=value)
        ) from None
    return value


def hexadecimal(field: str, value: str, digits: int) -> str:
    """Exactly that many hex digits, in lower case; blanks, colons and dashes between them do not matter."""
    if not isinstance(value, str) or len(value) > 4 * digits:
        raise Invalid(field, _("This must be {digits} hex digits.").format(digits=digits))
    value = re.sub(r"[\s:-]", "", value).lower()
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", value, re.ASCII):
        raise Invalid(field, _("This must be {digits} hex digits.").format(digits=digits))
    return value


def country(field: str, value: str) -> str:
    """A country code of two capital letters (ISO 3166-1)."""
    value = text(field, value, 2, required=True).upper()
    if not re.fullmatch("[A-Z]{2}", value, re.ASCII):
        raise Invalid(field, _("This must be a country code of two letters, such as DE."))
    return value


def same_organisation(field: str, row: Owned | None, organisation_id: int) -> None:
    """Refuse a row of another organisation with the words for one that does not exist."""
    if row is not None and row.organisation_id != organisation_id:
        raise Invalid(field, _("There is no such object."))


def present(*rows: Archivable | None) -> None:
    """Refuse to work on what is archived by now. Belongs inside the transaction of the change."""
    for row in rows:
        if row is None:
            continue
        row.refresh_from_db(fields=["archived_at"])
        if row.archived_at is not None:
            raise Conflict(_("{row} was archived and can no longer be used.").format(row=row))


@contextmanager
def unique(message: str) -> Iterator[None]:
    """Turn a violated uniqueness constraint inside the block into Conflict(message), undoing only the block."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise Conflict(message) from error
