"""The live stream: who may follow it, what it tells, and what bounds it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from time import time
from typing import Any

import pytest
import redis as sync_redis
import redis.asyncio as redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient
from django.urls import reverse

from portal.telemetry.live import Changes, channel, last_key, tell
from portal.web import live
from provisioning.accounts.models import Role, User
from tests.portal_web.world import World

DEADLINE_S = 60

Publish = Callable[..., Awaitable[None]]
Event = tuple[str, Any]
Scenario = Callable[[AsyncIterator[Event], Publish], Awaitable[None]]


def follow(
    user: User | None, organisation: int, scenario: Callable[[AsyncIterator[Event], Publish], Awaitable[None]]
) -> None:
    """Log in, open the stream, and run the scenario with its events and a way to publish."""
    client = AsyncClient()
    if user is not None:
        client.force_login(user)

    async def run() -> None:
        answer = await client.get(reverse("live"))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        link = redis.from_url(settings.REDIS_URL)
        content = answer.streaming_content

        async def publish(body: Any, to: int = organisation) -> None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            await link.publish(f"mspan:org:{to}", raw)

        try:
            await asyncio.wait_for(scenario(_events(content), publish), DEADLINE_S)
        finally:
            await content.aclose()
            await link.aclose()

    async_to_sync(run)()
    assert not live._open, "a closed stream is no longer counted"


async def _events(content: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    async for raw in content:
        lines = raw.decode().splitlines()
        if lines and lines[0].startswith("event: "):
            yield lines[0][7:], json.loads(lines[1][6:])


async def expect(events: AsyncIterator[Event], name: str) -> Any:
    found, data = await anext(events)
    assert found == name
    return data


def test_what_was_published_arrives_in_one_event(world: World) -> None:
    async def scenario(events: AsyncIterator[Event], publish: Publish) -> None:
        await expect(events, "hello")
        await publish([{"kind": "reading", "adapter": 1, "at": "2026-01-01T00:00:00Z"}])
        await publish(
            [
                {"kind": "reading", "adapter": 1, "at": "2026-01-01T00:15:00Z"},
                {"kind": "concentrator", "concentrator": 3},
            ]
        )
        assert await expect(events, "changes") == [
            {"kind": "reading", "adapter": 1, "at": "2026-01-01T00:15:00Z"},
            {"kind": "concentrator", "concentrator": 3},
        ]

    follow(world.cast.viewer, world.cast.organisation.pk, scenario)


def test_too_many_changes_become_many(world: World) -> None:
    async def scenario(events: AsyncIterator[Event], publish: Publish) -> None:
        await expect(events, "hello")
        await publish([{"kind": "reading", "adapter": number} for number in range(live.MAX_CHANGES + 1)])
        assert await expect(events, "changes") == [{"kind": "many"}]

    follow(world.cast.viewer, world.cast.organisation.pk, scenario)


JUNK = [b"", b"{", b"\xff\xfe", b"[1, null, []]", b'{"kind": 7}', b"[" * 5000, b'"x"', b" " * (live.MAX_MESSAGE + 1)]


def test_what_is_no_change_is_passed_over(world: World) -> None:
    async def scenario(events: AsyncIterator[Event], publish: Publish) -> None:
        await expect(events, "hello")
        for body in JUNK:
            await publish(body)
        await publish([{"kind": "event", "adapter": 5}])
        assert await expect(events, "changes") == [{"kind": "event", "adapter": 5}]

    follow(world.cast.viewer, world.cast.organisation.pk, scenario)


def test_another_organisation_hears_nothing(world: World) -> None:
    async def scenario(events: AsyncIterator[Event], publish: Publish) -> None:
        await expect(events, "hello")
        await publish([{"kind": "reading", "adapter": 1}])
        own = [{"kind": "reading", "adapter": 2}]
        await publish(own, to=world.cast.away.organisation.pk)
        assert await expect(events, "changes") == own
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.05)

    follow(world.cast.outsider, world.cast.organisation.pk, scenario)


def test_a_member_limited_to_sites_hears_of_their_adapters_only(world: World) -> None:
    elsewhere, _pairing = world.paired_adapter(world.cast.site("Elsewhere 1"))
    member = world.cast.home.member(Role.VIEWER)
    member.all_sites = False
    member.save()
    member.site_access.create(site=world.site)

    async def scenario(events: AsyncIterator[Event], publish: Publish) -> None:
        await expect(events, "hello")
        await publish([{"kind": "reading", "adapter": elsewhere.pk}, {"kind": "reading", "adapter": world.adapter.pk}])
        assert await expect(events, "changes") == [{"kind": "reading", "adapter": world.adapter.pk}]

    follow(world.cast.viewer, world.cast.organisation.pk, scenario)


def test_a_stream_begins_with_when_something_was_told_last(world: World) -> None:
    mine, other = Changes(), Changes()
    mine.add(world.cast.organisation.pk, "reading", 1, None, None)
    other.add(world.cast.away.organisation.pk, "reading", 2, None, None)

    found: list[float] = []

    async def scenario(events: AsyncIterator[Event], _publish: Publish) -> None:
        found.append((await expect(events, "hello"))["last"])

    before = time()
    tell(mine)
    between = time()
    tell(other)
    follow(world.cast.viewer, world.cast.organisation.pk, scenario)
    assert before <= found[0] <= between


def test_a_moment_that_is_none_stops_no_stream(world: World) -> None:
    with sync_redis.from_url(settings.REDIS_URL) as link:
        link.set(last_key(channel(world.cast.organisation.pk)), "yesterday", ex=60)

    async def scenario(events: AsyncIterator[Event], _publish: Publish) -> None:
        assert await expect(events, "hello") == {"last": 0}

    follow(world.cast.viewer, world.cast.organisation.pk, scenario)


def test_without_redis_the_page_is_told_to_wait(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(live, "RETRY_S", 0)
    client = AsyncClient()
    client.force_login(world.cast.viewer)

    async def run() -> None:
        answer = await client.get(reverse("live"))
        events = _events(answer.streaming_content)
        assert await anext(events) == ("paused", {})
        assert await anext(events) == ("paused", {})
        await answer.streaming_content.aclose()

    async_to_sync(run)()


def test_redis_is_looked_for_again_soon_at_first(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(live, "RETRY_S", 3600)
    client = AsyncClient()
    client.force_login(world.cast.viewer)

    async def run() -> None:
        answer = await client.get(reverse("live"))
        events = _events(answer.streaming_content)
        for _ in range(3):
            assert await asyncio.wait_for(anext(events), 60) == ("paused", {})
        await answer.streaming_content.aclose()

    async_to_sync(run)()


def test_a_stream_ends_so_that_permission_is_looked_at_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LIFETIME_S", 0.1)

    async def scenario(events: AsyncIterator[Event], publish: Publish) -> None:
        await expect(events, "hello")
        await expect(events, "bye")

    follow(world.cast.viewer, world.cast.organisation.pk, scenario)


@pytest.mark.parametrize("bound", ["MAX_STREAMS", "MAX_PER_USER"])
def test_more_streams_than_allowed_are_refused(bound: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, bound, 0)
    client = AsyncClient()
    client.force_login(world.cast.viewer)
    answer = async_to_sync(client.get)(reverse("live"))
    assert answer.status_code == 429
    assert answer.headers["Retry-After"]


def test_a_stranger_gets_no_stream(db: None) -> None:
    assert async_to_sync(AsyncClient().get)(reverse("live")).status_code == 403
