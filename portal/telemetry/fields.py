"""The ULID of a message as a column: text for people and messages, 16 bytes in the database."""

import re
import uuid
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_BASE32 = str.maketrans(_CROCKFORD, "0123456789ABCDEFGHIJKLMNOPQRSTUV")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def ulid_bytes(text: str) -> bytes:
    """The 16 bytes of a ULID's 26 characters, which the caller has checked."""
    return int(text.translate(_TO_BASE32), 32).to_bytes(16, "big")


def ulid_text(raw: bytes) -> str:
    """The 26 characters of a ULID's 16 bytes."""
    number = int.from_bytes(raw, "big")
    return "".join([_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5)])


if TYPE_CHECKING:
    _UUIDField = models.UUIDField[str, str]
else:
    _UUIDField = models.UUIDField


class UlidField(_UUIDField):
    """A ULID. A `uuid` column sorts as the text does, takes 16 bytes and needs no index for patterns."""

    description = "ULID"

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> str | None:
        if value is None:
            return None
        return ulid_text(value.bytes if isinstance(value, uuid.UUID) else bytes.fromhex(value))

    def to_python(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, uuid.UUID):
            return ulid_text(value.bytes)
        text = str(value)
        if not _ULID.fullmatch(text):
            raise ValidationError("'%(value)s' is no ULID.", code="invalid", params={"value": text[:40]})
        return text

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        if value is None:
            return None
        raw = value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=ulid_bytes(self.to_python(value)))
        return raw if connection.features.has_native_uuid_field else raw.hex
