"""The keyed hash chain: what an entry's `mac` covers and which key makes it."""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from meterwire.errors import LimitExceeded
from provisioning.audit.models import Entry
from provisioning.derivation import derive

MAX_DATA_BYTES = 8192
MIN_KEY_BYTES = 32


def mac(entry: Entry) -> str:
    """HMAC-SHA256 (hex) over all fields of `entry` and its predecessor's mac, with its organisation's key."""
    covered = [
        entry.organisation_id,
        entry.seq,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor_id,
        entry.actor_name,
        entry.action,
        entry.object_type,
        entry.object_id,
        entry.object_name,
        entry.data,
        entry.key,
        entry.prev,
    ]
    return hmac.new(_organisation_key(entry.organisation_id), _canonical(covered), sha256).hexdigest()


def key_name() -> str:
    """Eight hex digits that tell which audit key was used, so that a replaced key is not taken for a forgery."""
    return derive(_master(), "mspan audit key name v1", 4).hex()


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` in the form both databases give back unchanged: texts, whole numbers, booleans, lists, objects.

    Times, decimals and floats become texts. LimitExceeded over MAX_DATA_BYTES.
    """
    read = _plain(data)
    if len(_canonical(read)) > MAX_DATA_BYTES:
        raise LimitExceeded(f"an audit entry holds at most {MAX_DATA_BYTES} bytes of data; record a count instead")
    result: dict[str, Any] = read
    return result


def _organisation_key(organisation_id: int) -> bytes:
    return _derived(_master(), organisation_id)


@lru_cache(maxsize=1024)
def _derived(master: bytes, organisation_id: int) -> bytes:
    return derive(master, f"mspan audit v1|{organisation_id}")


def _master() -> bytes:
    """From AUDIT_KEY_FILE, else derived from the secret key: every writing process has it, no database."""
    return _read(settings.AUDIT_KEY_FILE, settings.SECRET_KEY)


@lru_cache(maxsize=4)
def _read(path: str, secret_key: str) -> bytes:
    if not path:
        return derive(secret_key.encode(), "mspan audit master v1")
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"AUDIT_KEY_FILE {path} cannot be read: {error.strerror}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ImproperlyConfigured(f"AUDIT_KEY_FILE {path} must hold at least {MIN_KEY_BYTES} random bytes")
    return key


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float | Decimal | date):
        return str(value)
    if isinstance(value, str):
        return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in (value if isinstance(value, list | tuple) else sorted(value))]
    raise TypeError(f"{type(value).__name__} does not belong into an audit entry")
