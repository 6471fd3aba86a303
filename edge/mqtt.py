"""The MQTT link of both ends: it connects, comes back with jitter after a loss, subscribes and publishes, at QoS 1.

A returned `publish` means that the broker took the message (PUBACK) and no more: whoever must not lose it keeps it
until the other side's receipt.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiomqtt
import msgspec

from edge import tls
from edge.clock import Clock, SystemClock
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)

MAX_QUEUED_INCOMING = 1000  # messages; beyond that they are dropped and the sender sends them again
OPERATION_TIMEOUT_S = 10.0

OnMessage = Callable[[str, bytes], Awaitable[None]]
OnConnect = Callable[[], Awaitable[None]]


class LinkDown(MeterspanError):
    """There is no connection to the broker, or it was lost before the broker took the message."""

    code = "link_down"
    temporary = True


class LinkRefused(MeterspanError):
    """The configuration of the link cannot work: a certificate or key file is missing or unusable."""

    code = "link_refused"


class TlsSource(Protocol):
    """Where each connection takes its TLS context from."""

    def context(self) -> ssl.SSLContext:
        """Raises LinkRefused when there can be none."""


class Tls(msgspec.Struct, frozen=True):
    """TLS towards the broker. `ca_file` None: the system's authorities; certificate and key authenticate the client."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises LinkRefused when a file cannot be used."""
        try:
            context = tls.client_context(self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(file) for file in (self.ca_file, self.cert_file, self.key_file) if file)
            raise LinkRefused(f"TLS towards the broker cannot be set up from {files}: {error}") from None
        return context


class Will(msgspec.Struct, frozen=True):
    """What the broker publishes for us when the connection is lost."""

    topic: str
    payload: bytes
    retain: bool = True


class LinkSettings(msgspec.Struct, frozen=True):
    """Where and as whom to connect; `will` is asked anew for each connection."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    tls: TlsSource | None = None
    keepalive_s: int = 30
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    max_inflight: int = 20
    will: Callable[[], Will] | None = None

    def __repr__(self) -> str:
        return f"LinkSettings({self.client_id} at {self.host}:{self.port})"


class MqttLink:
    """One connection to one broker, kept up by `run`.

    `on_message` is awaited for one message after the other; what it raises is logged, never ends the link.
    `on_connect` is awaited after each successful connection and subscription (birth messages, resending).
    """

    def __init__(
        self,
        settings: LinkSettings,
        subscriptions: Sequence[str] = (),
        on_message: OnMessage | None = None,
        on_connect: OnConnect | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message
        self._on_connect = on_connect
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 (spreads reconnections, protects nothing)
        self._client: aiomqtt.Client | None = None
        self._slots = asyncio.Semaphore(settings.max_inflight)
        self._up = asyncio.Event()
        self._lost: asyncio.Future[None] | None = None
        self._stop = asyncio.Event()
        self._again = asyncio.Event()
        self.connections = 0  # successful ones, ever

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def wait_connected(self) -> None:
        await self._up.wait()

    async def run(self) -> None:
        """Keep the link up until `stop` is called or the task is cancelled.

        Raises LinkRefused when TLS cannot be set up at the start; later on it is tried again.
        """
        failures = 0
        while not self._stop.is_set():
            self._again.clear()
            try:
                async with self._new_client() as client:
                    failures = 0
                    await self._serve(client)
            except (aiomqtt.MqttError, OSError, ValueError, LinkRefused) as error:
                if isinstance(error, LinkRefused) and not (failures or self.connections):
                    raise
                if self._stop.is_set():
                    break
                failures += 1
                wait = self._backoff(failures)
                log.warning(
                    "no connection to the broker",
                    extra={
                        "broker": f"{self.settings.host}:{self.settings.port}",
                        "error": str(error),
                        "retry_s": round(wait, 1),
                    },
                )
                await self._pause(wait)

    async def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Returns when the broker has taken it (QoS 1). Raises LinkDown at once when there is or was no connection.

        At most `max_inflight` publishes are under way; further callers wait for their turn.
        """
        async with self._slots:
            client, lost = self._client, self._lost
            if client is None or lost is None:
                raise LinkDown("not connected to the broker; it will be tried again")
            sending = asyncio.ensure_future(client.publish(topic, payload, qos=1, retain=retain))
            try:
                await asyncio.wait((sending, lost), return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    raise LinkDown("the connection was lost before the broker took the message")
                sending.result()
            except (aiomqtt.MqttError, ValueError) as error:
                raise LinkDown(f"the broker did not take the message ({error})") from None
            finally:
                if not sending.done():
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                        await sending

    def stop(self) -> None:
        """Disconnect cleanly (the will is not sent) and let `run` return."""
        self._stop.set()

    def reconnect(self) -> None:
        """Disconnect cleanly and connect again at once, as with a new certificate."""
        self._again.set()

    def _new_client(self) -> aiomqtt.Client:
        settings = self.settings
        will = settings.will() if settings.will else None
        client = _Client(
            settings.host,
            settings.port,
            identifier=settings.client_id,
            username=settings.username,
            password=settings.password,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=settings.keepalive_s,
            tls_context=settings.tls.context() if settings.tls else None,
            timeout=OPERATION_TIMEOUT_S,
            max_queued_incoming_messages=MAX_QUEUED_INCOMING,
            max_inflight_messages=settings.max_inflight,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain) if will else None,
        )
        client.pending_calls_threshold = settings.max_inflight + 10
        return client

    async def _serve(self, client: aiomqtt.Client) -> None:
        """One connection from subscription to its end."""
        if self._subscriptions:
            codes = await client.subscribe([(topic, 1) for topic in self._subscriptions])
            refused = [topic for topic, code in zip(self._subscriptions, codes, strict=False) if _value(code) >= 128]
            if refused:
                raise aiomqtt.MqttError(f"the broker refused the subscription of {', '.join(refused)}")
        self._client, self._lost = client, asyncio.get_running_loop().create_future()
        self.connections += 1
        self._up.set()
        log.info("connected to the broker", extra={"broker": f"{self.settings.host}:{self.settings.port}"})
        tasks = [
            asyncio.ensure_future(self._receive(client)),
            asyncio.ensure_future(self._stop.wait()),
            asyncio.ensure_future(self._again.wait()),
        ]
        if self._on_connect is not None:
            tasks.append(asyncio.ensure_future(self._greet(self._on_connect)))
        try:
            while not any(task.done() for task in tasks[:3]):
                await asyncio.wait(tasks[:3], return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
        finally:
            self._up.clear()
            self._client = None
            self._lost.set_result(None)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greet(self, greet: OnConnect) -> None:
        try:
            await greet()
        except LinkDown:
            pass  # gone again already; the next connection greets anew
        except Exception:
            log.exception("greeting after the connection failed")

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if self._on_message is None:
                continue
            payload = message.payload if isinstance(message.payload, bytes) else bytes(str(message.payload), "utf-8")
            try:
                await self._on_message(message.topic.value, payload)
            except MeterspanError as error:
                log.warning(
                    "message refused", extra={"topic": message.topic.value, "code": error.code, "error": str(error)}
                )
            except Exception:
                log.exception("message could not be handled", extra={"topic": message.topic.value})

    def _backoff(self, failures: int) -> float:
        """Full jitter between the minimum and a doubling ceiling, so that a fleet does not come back in step."""
        ceiling = min(self.settings.reconnect_max_s, self.settings.reconnect_min_s * 2 ** min(failures, 16))
        return self._rng.uniform(self.settings.reconnect_min_s, max(ceiling, self.settings.reconnect_min_s))

    async def _pause(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((sleeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, stopping):
                task.cancel()


class _Client(aiomqtt.Client):
    """Notices at once when the broker hangs up before its CONNACK: with TLS 1.3 it judges the certificate that late."""

    def _on_disconnect(self, *arguments: Any) -> None:
        super()._on_disconnect(*arguments)
        self._loop.call_soon_threadsafe(self._refused)

    def _refused(self) -> None:
        if not self._connected.done():
            self._connected.set_exception(
                aiomqtt.MqttError("the broker hung up: it may not accept the certificate (over, revoked, of others)")
            )


async def take_over(settings: LinkSettings, client_id: str) -> None:
    """End the session of whoever is connected under `client_id`: connect once under it and leave.

    A broker that learns of a revocation only refuses new connections; this ends the present one. Nothing is said when
    nobody was connected. Raises LinkDown.
    """
    settings = msgspec.structs.replace(settings, client_id=client_id, will=None)
    try:
        async with MqttLink(settings)._new_client():
            pass
    except (aiomqtt.MqttError, OSError, ValueError, LinkRefused) as error:
        raise LinkDown(f"the session of {client_id} could not be ended ({error})") from None


def _value(code: object) -> int:
    value = getattr(code, "value", code)
    return value if isinstance(value, int) else 0
