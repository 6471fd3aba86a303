"""Tells open pages about commits over Redis, which may be away: then pages notice later, and nothing waits."""

import asyncio
import contextlib
import logging
from time import time

import redis.asyncio as redis
from redis.exceptions import RedisError

from portal.telemetry.live import KEPT_S, last_key

log = logging.getLogger(__name__)

MAX_WAITING = 1_000
TIMEOUT_S = 2.0
PAUSE_S = 2.0


class Pages:
    """Publishes in its own task; what finds no room is dropped, for a page can always ask anew."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self.dropped = 0

    def tell(self, messages: list[tuple[str, bytes]]) -> None:
        """Pass on (channel, body) as soon as possible. Never blocks."""
        for message in messages:
            try:
                self._waiting.put_nowait(message)
            except asyncio.QueueFull:
                self.dropped += 1

    async def run(self) -> None:
        """Until cancelled."""
        client = redis.Redis.from_url(self._url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        away = False
        try:
            while True:
                channel, body = await self._waiting.get()
                try:
                    async with client.pipeline(transaction=False) as both:
                        both.set(last_key(channel), time(), ex=KEPT_S)  # first: who subscribes in between looks at it
                        both.publish(channel, body)
                        await both.execute()
                    away = False
                except (RedisError, OSError, TimeoutError) as error:
                    self.dropped += 1
                    if not away:
                        log.warning("Redis is away; pages are not told of news", extra={"error": str(error)})
                    away = True
                    await asyncio.sleep(PAUSE_S)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()
