"""The live stream: server-sent events for one organisation, fed by Redis, each connection bounded in every direction.

The bridge publishes on `mspan:org:<id>` what it has committed. A connection gathers that for GATHER_S, drops
repetitions, and sends one `changes` event; more than MAX_CHANGES become "many", and the page asks for its parts anew.
`hello` begins a stream, again after Redis was away, and tells when (`last`, s since 1970; 0: long ago) something was
published last: a page that was made before has missed it.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from redis.exceptions import RedisError

from portal.telemetry.live import channel as channel_of
from portal.telemetry.live import last_key
from portal.web.access import Access, access_of
from provisioning.fleet.queries import visible_adapters

logger = logging.getLogger(__name__)

GATHER_S = 0.4
HEARTBEAT_S = 15
LIFETIME_S = 900  # then the browser connects anew, and the permission is looked at again
FIRST_RETRY_S, RETRY_S = 0.25, 3.0  # doubled from the first to the last
ANSWER_S = 10.0
MAX_CHANGES = 200
MAX_MESSAGE = 64 * 1024
MAX_STREAMS = 400  # in this process
MAX_PER_USER = 12
MAX_REACH = 5000  # adapters of a member limited to sites

_open: dict[int, int] = {}


async def live(request: HttpRequest) -> HttpResponseBase:
    """The stream of the organisation that the session works in. 403 for strangers, 429 when there are too many."""
    await request.auser()
    access = await sync_to_async(_access)(request)
    if access is None or not access.may("fleet.view"):
        return HttpResponse(status=403)
    mine = _open.get(access.user.pk, 0)
    if mine >= MAX_PER_USER or sum(_open.values()) >= MAX_STREAMS:
        answer = HttpResponse(status=429)
        answer["Retry-After"] = "30"
        return answer
    reach = None if access.membership.all_sites else await sync_to_async(_reach)(access)
    stream = StreamingHttpResponse(
        _counted(access.user.pk, _events(access.organisation.pk, reach)), content_type="text/event-stream"
    )
    stream["Cache-Control"] = "no-store"
    stream["X-Accel-Buffering"] = "no"
    return stream


def _access(request: HttpRequest) -> Access | None:
    return access_of(request)


def _reach(access: Access) -> frozenset[int]:
    rows = visible_adapters(access.user, access.organisation)
    return frozenset(rows.values_list("pk", flat=True)[:MAX_REACH])


async def _counted(user: int, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    _open[user] = _open.get(user, 0) + 1
    try:
        async for event in events:
            yield event
    finally:
        left = _open[user] - 1
        if left:
            _open[user] = left
        else:
            del _open[user]


async def _events(organisation: int, reach: frozenset[int] | None) -> AsyncIterator[bytes]:
    ends, failures, name = monotonic() + LIFETIME_S, 0, channel_of(organisation)
    while monotonic() < ends:
        client = redis.from_url(settings.REDIS_URL)
        try:
            async with client.pubsub() as channel:
                await channel.subscribe(name)
                if await channel.get_message(timeout=ANSWER_S) is None:  # what is told from here on arrives
                    raise TimeoutError("no answer to the subscription")
                last = _moment(await client.get(last_key(name)))
                failures = 0
                yield _event("hello", {"last": last})
                async for event in _gathered(channel, reach, ends):
                    yield event
        except (RedisError, OSError) as error:
            logger.warning("live stream waits for Redis: %s", error)
            yield _event("paused", {})
            await asyncio.sleep(min(RETRY_S, FIRST_RETRY_S * 2**failures))
            failures += 1
        finally:
            await client.aclose()
    yield _event("bye", {})


def _moment(kept: bytes | str | None) -> float:
    try:
        return float(kept or 0)
    except ValueError:
        return 0.0


async def _gathered(channel: Any, reach: frozenset[int] | None, ends: float) -> AsyncIterator[bytes]:
    quiet_since = monotonic()
    while (left := ends - monotonic()) > 0:
        first = await channel.get_message(ignore_subscribe_messages=True, timeout=min(1.0, left))
        if first is None:
            if monotonic() - quiet_since > HEARTBEAT_S:
                quiet_since = monotonic()
                yield b": still here\n\n"
            continue
        changes: dict[tuple[str, Any, Any], dict[str, Any]] = {}
        _add(changes, first, reach)
        until = monotonic() + GATHER_S
        while (rest := until - monotonic()) > 0 and len(changes) <= MAX_CHANGES:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=rest)
            if message is not None:
                _add(changes, message, reach)
        if changes:
            quiet_since = monotonic()
            rows = list(changes.values())
            yield _event("changes", rows if len(rows) <= MAX_CHANGES else [{"kind": "many"}])


def _add(
    changes: dict[tuple[str, Any, Any], dict[str, Any]], message: dict[str, Any], reach: frozenset[int] | None
) -> None:
    """Take over what the page needs to know of one published message, when the member may see it."""
    body = message.get("data")
    if not isinstance(body, bytes | str) or len(body) > MAX_MESSAGE:
        return
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return
    for row in read if isinstance(read, list) else [read]:
        if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
            continue
        adapter, concentrator = row.get("adapter"), row.get("concentrator")
        if reach is not None and adapter not in reach:
            continue
        change = {key: row[key] for key in ("kind", "adapter", "concentrator", "at") if row.get(key) is not None}
        changes[row["kind"], adapter, None if adapter else concentrator] = change


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
