"""What open pages are told after a commit: JSON lists on the Redis channel of the organisation."""

import logging
from dataclasses import dataclass, field
from time import time
from typing import Any

import msgspec
import redis
from django.conf import settings
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

TIMEOUT_S = 2.0
KEPT_S = 3600  # for how long it is known when something was told last; no page takes that long to open
MAX_CHANGES = 200  # per organisation and batch; beyond that a page had better ask anew

_encoder = msgspec.json.Encoder()


def channel(organisation: int) -> str:
    """The Redis channel of an organisation."""
    return f"mspan:org:{organisation}"


def last_key(name: str) -> str:
    """Where the moment is kept (s since 1970) at which something was told last on the channel `name`."""
    return f"{name}:last"


@dataclass
class Changes:
    """Changed things by organisation; the same thing twice counts once."""

    _found: dict[int, dict[tuple[str, int | None, int | None], str | None]] = field(default_factory=dict)

    def add(self, organisation: int, kind: str, adapter: int | None, concentrator: int | None, at: str | None) -> None:
        """`kind` is reading, status, event or concentrator."""
        found = self._found.setdefault(organisation, {})
        if len(found) <= MAX_CHANGES:
            found[kind, adapter, concentrator] = at

    def messages(self) -> list[tuple[str, bytes]]:
        """(channel, body); too many changes become one of kind `many`."""
        return [(channel(organisation), _encoder.encode(_rows(found))) for organisation, found in self._found.items()]


def tell(changes: Changes) -> None:
    """Publish from a worker. Without Redis the pages notice later."""
    messages = changes.messages()
    if not messages:
        return
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        for name, body in messages:
            client.set(last_key(name), time(), ex=KEPT_S)  # first: who subscribes in between looks at it
            client.publish(name, body)
    except RedisError as error:
        log.warning("Redis is away; pages are not told of news", extra={"error": str(error)})
    finally:
        client.close()


def _rows(found: dict[tuple[str, int | None, int | None], str | None]) -> list[dict[str, Any]]:
    if len(found) > MAX_CHANGES:
        return [{"kind": "many"}]
    rows = []
    for (kind, adapter, concentrator), at in found.items():
        row = {"kind": kind, "adapter": adapter, "concentrator": concentrator, "at": at}
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows
