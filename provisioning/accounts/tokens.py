"""The text of an API token and its keyed digest: `mspan_<prefix>_<secret>`, HMAC-SHA256 with a numbered pepper."""

import hmac
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from provisioning.derivation import derive

PREFIX_BYTES, SECRET_BYTES = 5, 24
MAX_TEXT = 100
MIN_PEPPER_BYTES = 16
_TOKEN = re.compile(r"mspan_([0-9a-f]{10})_([0-9a-f]{48})", re.ASCII)


class Parts(NamedTuple):
    """The public and the secret half of a token."""

    prefix: str
    secret: str


def compose(prefix: str, secret: str) -> str:
    """The text that is shown once."""
    return f"mspan_{prefix}_{secret}"


def parse(token: str) -> Parts | None:
    """The halves of a token's text; None when it is none."""
    match = _TOKEN.fullmatch(token) if len(token) <= MAX_TEXT else None
    return Parts(match[1], match[2]) if match else None


def digest(parts: Parts, pepper: bytes) -> str:
    """What the database keeps instead of the secret, in hex."""
    return hmac.new(pepper, f"{parts.prefix}_{parts.secret}".encode(), sha256).hexdigest()


def peppers() -> Mapping[int, bytes]:
    """The known peppers by number; the highest number signs new tokens.

    From TOKEN_PEPPERS_FILE (JSON, `{"1": "<hex>", ...}`), else number 0 derived from the secret key.
    ImproperlyConfigured when the file cannot be used.
    """
    return _peppers(settings.TOKEN_PEPPERS_FILE, settings.SECRET_KEY)


@lru_cache(maxsize=4)
def _peppers(path: str, secret_key: str) -> Mapping[int, bytes]:
    if not path:
        return {0: derive(secret_key.encode(), "mspan token pepper v1")}
    try:
        read = {int(number): bytes.fromhex(value) for number, value in json.loads(Path(path).read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ImproperlyConfigured(
            f'TOKEN_PEPPERS_FILE {path} must hold JSON such as {{"1": "<64 hex digits>"}}: {type(error).__name__}'
        ) from None
    if not read or any(not 0 <= number <= 32767 or len(value) < MIN_PEPPER_BYTES for number, value in read.items()):
        raise ImproperlyConfigured(
            f"TOKEN_PEPPERS_FILE {path}: numbers from 0 to 32767, each pepper {MIN_PEPPER_BYTES} bytes or longer"
        )
    return read
