"""The MQTT link against a real Mosquitto: comes up, publishes, survives the broker's death, stops cleanly."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from edge.mqtt import LinkDown, LinkRefused, LinkSettings, MqttLink, Tls, Will, take_over
from tests.support.mosquitto import Broker, mosquitto

CONCENTRATOR = "0011223344556677"
USERS = {CONCENTRATOR: "c-secret", "portal": "p-secret"}


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = mosquitto(USERS, {"portal": ["topic readwrite mspan/#"]})
    yield broker
    broker.stop()


class End:
    """One end of the link with what it has received."""

    def __init__(
        self, broker_port: int, user: str, *topics: str, will: Will | None = None, password: str | None = None
    ) -> None:
        self.received: list[tuple[str, bytes]] = []
        settings = LinkSettings(
            "127.0.0.1",
            broker_port,
            client_id=user,
            username=user,
            password=password or USERS[user],
            reconnect_min_s=0.05,
            reconnect_max_s=0.2,
            will=(lambda: will) if will else None,
        )
        self.link = MqttLink(settings, topics, self._take)
        self.task = asyncio.ensure_future(self.link.run())

    async def _take(self, topic: str, payload: bytes) -> None:
        self.received.append((topic, payload))
        if payload == b"raise":
            raise RuntimeError("the handler failed")

    async def try_publish(self, topic: str, payload: bytes) -> None:
        while True:
            with contextlib.suppress(LinkDown):
                return await self.link.publish(topic, payload)
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.link.stop()
        await asyncio.wait_for(self.task, 20)


@contextlib.asynccontextmanager
async def end(*args: object, **kwargs: object) -> AsyncIterator[End]:
    it = End(*args, **kwargs)  # type: ignore[arg-type]
    try:
        yield it
    finally:
        it.link.stop()
        it.task.cancel()
        await asyncio.gather(it.task, return_exceptions=True)


async def eventually(
    condition: Callable[[], bool], seconds: float = 30, doing: Coroutine[Any, Any, None] | None = None
) -> None:
    async with asyncio.timeout(seconds):
        if doing is not None:
            await doing
        while not condition():
            await asyncio.sleep(0.01)


async def test_both_ends_talk_within_their_rules(broker: Broker) -> None:
    topic = f"mspan/1/{CONCENTRATOR}/up/event"
    async with (
        end(broker.port, CONCENTRATOR) as concentrator,
        end(broker.port, "portal", "mspan/1/+/up/event") as portal,
    ):
        await portal.link.wait_connected()
        await concentrator.link.wait_connected()
        await asyncio.gather(*(concentrator.link.publish(topic, b"%d" % number) for number in range(100)))
        await eventually(lambda: len(portal.received) == 100)
        with contextlib.suppress(LinkDown):  # Mosquitto 2.0.11 also ends the connection of one who oversteps
            await concentrator.link.publish("mspan/1/8899aabbccddeeff/up/event", b"not mine")
        await eventually(lambda: (topic, b"mine") in portal.received, doing=concentrator.try_publish(topic, b"mine"))
        assert not any(payload == b"not mine" for _, payload in portal.received)


async def test_a_handler_that_fails_does_not_end_the_link(broker: Broker) -> None:
    async with end(broker.port, "portal", "mspan/x") as portal:
        await portal.link.wait_connected()
        await portal.link.publish("mspan/x", b"raise")
        await portal.link.publish("mspan/x", b"after")
        await eventually(lambda: len(portal.received) == 2)
        assert portal.link.connections == 1


async def test_without_a_broker_publishing_fails_at_once_and_works_when_it_comes(broker: Broker) -> None:
    async with end(broker.port, "portal", "mspan/x") as portal:
        await portal.link.wait_connected()
        broker.kill()
        await eventually(lambda: not portal.link.connected)
        with pytest.raises(LinkDown) as caught:
            await portal.link.publish("mspan/x", b"1")
        assert caught.value.temporary
        broker.start()
        await portal.link.wait_connected()
        await portal.link.publish("mspan/x", b"2")
        await eventually(lambda: portal.received == [("mspan/x", b"2")])
        assert portal.link.connections == 2


async def test_publishes_under_way_fail_when_the_broker_dies(broker: Broker) -> None:
    async with end(broker.port, "portal") as portal:
        await portal.link.wait_connected()
        assert broker.process is not None
        broker.process.send_signal(19)  # SIGSTOP: it takes bytes and answers nothing
        publishes = [asyncio.ensure_future(portal.link.publish("mspan/x", b"1")) for _ in range(30)]
        await asyncio.sleep(0.05)
        broker.kill()
        results = await asyncio.wait_for(asyncio.gather(*publishes, return_exceptions=True), 5)
        assert all(isinstance(result, LinkDown) for result in results)


async def test_the_will_speaks_after_a_death_and_not_after_a_clean_stop(broker: Broker) -> None:
    topic = f"mspan/1/{CONCENTRATOR}/state"
    async with end(broker.port, "portal", topic) as portal:
        await portal.link.wait_connected()
        clean = End(broker.port, CONCENTRATOR, will=Will(topic, b"gone 1"))
        await clean.link.wait_connected()
        await clean.close()
        dying = End(broker.port, CONCENTRATOR, will=Will(topic, b"gone 2"))
        await dying.link.wait_connected()
        dying.link._client._client._sock.shutdown(2)  # type: ignore[union-attr]
        await eventually(lambda: portal.received == [(topic, b"gone 2")])
        dying.task.cancel()
        await asyncio.gather(dying.task, return_exceptions=True)


async def test_a_wrong_password_is_tried_again_and_never_shown(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with end(broker.port, "portal", password="wrong-one") as portal:
        await eventually(lambda: "authori" in caplog.text or any("authori" in str(vars(r)) for r in caplog.records))
        assert not portal.link.connected
    assert "wrong-one" not in caplog.text
    assert "wrong-one" not in repr(portal.link.settings)


async def test_it_stops_while_it_waits_for_a_broker_that_never_comes() -> None:
    with socket.socket() as silent:  # held, so that nobody else listens there and the link cannot meet itself
        silent.bind(("127.0.0.1", 0))
        portal = End(silent.getsockname()[1], "portal")
        await asyncio.sleep(0.1)
        await portal.close()


async def test_missing_certificates_are_named() -> None:
    from pathlib import Path

    link = MqttLink(LinkSettings("127.0.0.1", 1, "x", tls=Tls(ca_file=Path("/nowhere/ca.pem"))))
    with pytest.raises(LinkRefused, match=r"/nowhere/ca\.pem"):
        await link.run()


async def test_it_connects_anew_when_asked_to_and_says_no_will(broker: Broker) -> None:
    topic = f"mspan/1/{CONCENTRATOR}/state"
    async with (
        end(broker.port, "portal", topic) as portal,
        end(broker.port, CONCENTRATOR, will=Will(topic, b"gone")) as concentrator,
    ):
        await portal.link.wait_connected()
        await concentrator.link.wait_connected()
        concentrator.link.reconnect()
        await eventually(lambda: concentrator.link.connections == 2 and concentrator.link.connected)
        await concentrator.link.publish(topic, b"here")
        await eventually(lambda: portal.received == [(topic, b"here")])


async def test_tls_that_cannot_be_set_up_later_on_is_tried_again(broker: Broker) -> None:
    class Moody:
        """Works, then fails twice, then works again; without TLS, since nothing else is looked at here."""

        asked = 0

        def context(self) -> ssl.SSLContext:
            self.asked += 1
            if self.asked in (2, 3):
                raise LinkRefused("the certificate is being replaced")
            return None  # type: ignore[return-value]

    settings = LinkSettings(
        "127.0.0.1",
        broker.port,
        "portal",
        "portal",
        USERS["portal"],
        tls=Moody(),
        reconnect_min_s=0.02,
        reconnect_max_s=0.05,
    )
    link = MqttLink(settings)
    task = asyncio.ensure_future(link.run())
    await link.wait_connected()
    link.reconnect()
    await eventually(lambda: link.connections == 2)
    link.stop()
    await asyncio.wait_for(task, 5)


async def test_taking_over_ends_that_session_and_no_other(broker: Broker) -> None:
    settings = LinkSettings("127.0.0.1", broker.port, "portal-bridge", "portal", USERS["portal"])
    async with (
        end(broker.port, "portal") as portal,
        end(broker.port, CONCENTRATOR) as concentrator,
    ):
        await portal.link.wait_connected()
        await concentrator.link.wait_connected()
        await take_over(settings, CONCENTRATOR)
        await eventually(lambda: concentrator.link.connections == 2)
        assert portal.link.connections == 1


async def test_taking_over_without_a_broker_says_so() -> None:
    with pytest.raises(LinkDown, match="could not be ended"):
        await take_over(LinkSettings("127.0.0.1", 1, "portal-bridge"), CONCENTRATOR)


async def test_taking_over_without_the_files_for_tls_can_be_tried_again() -> None:
    from pathlib import Path

    settings = LinkSettings("127.0.0.1", 1, "portal-bridge", tls=Tls(ca_file=Path("/nowhere/ca.pem")))
    with pytest.raises(LinkDown, match=r"/nowhere/ca\.pem"):
        await take_over(settings, CONCENTRATOR)
