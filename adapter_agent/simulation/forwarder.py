"""A packet forwarder: carries what a gateway's radio hears to a network server over UDP, and its answers back.

It behaves like the reference forwarder (separate sockets up and down, no retries, no authentication), so that a real
gateway can stand where this one does.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, cast

from adapter_agent.simulation import gwmp
from adapter_agent.simulation.gateway import Downlink, GatewayRadio, Reception
from adapter_agent.simulation.jit import JitQueue
from adapter_agent.simulation.noise import drift, uniform
from meterwire.errors import FormatError, MeterspanError
from meterwire.ids import GatewayEUI
from meterwire.lorawan.airtime import airtime_s, lora_airtime_s
from meterwire.lorawan.gpstime import unix_seconds
from meterwire.lorawan.plan import FrequencyPlanError
from meterwire.lorawan.region import DataRate

log = logging.getLogger(__name__)

PULL_INTERVAL_S: Final = 5.0
STAT_INTERVAL_S: Final = 30.0
FETCH_INTERVAL_S: Final = 0.01
MAX_BATCH: Final = 16  # frames in one PUSH_DATA
MAX_WAITING: Final = 256  # frames not handed on yet; the oldest go first
MAX_UNACKNOWLEDGED: Final = 256
POWER_STEPS_DBM: Final = (12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27)


class ForwarderError(MeterspanError):
    """The network server's address cannot be used."""

    code = "forwarder"


@dataclass(slots=True)
class Tally:
    """Counted since the forwarder began. `answers` counts TX_ACKs by error, warnings under TX_POWER."""

    received: int = 0
    intact: int = 0
    forwarded: int = 0
    pushed: int = 0
    acknowledged: int = 0
    pulls_acknowledged: int = 0
    downlinks: int = 0
    sent: int = 0
    malformed: int = 0
    answers: Counter[str] = field(default_factory=Counter)


class Forwarder:
    """One gateway's link to `server` (host, port). `gps` adds time fields and allows sending by GPS time.

    `forward_damaged` also hands on frames with a wrong CRC (`stat` -1), which the reference can do but does not.
    """

    def __init__(
        self,
        radio: GatewayRadio,
        server: tuple[str, int],
        *,
        gps: bool = True,
        pull_interval_s: float = PULL_INTERVAL_S,
        stat_interval_s: float = STAT_INTERVAL_S,
        forward_damaged: bool = False,
        place: tuple[float, float, int] | None = None,
    ) -> None:
        self.tally = Tally()
        self._radio = radio
        self._clock = radio.clock
        self._eui = GatewayEUI.parse(radio.eui)
        self._server = server
        self._gps = gps
        self._pull_interval_s = pull_interval_s
        self._stat_interval_s = stat_interval_s
        self._forward_damaged = forward_damaged
        self._place = place
        self._queue = JitQueue()
        self._waiting: list[Reception] = []
        self._arrived = asyncio.Event()
        self._unacknowledged: dict[int, None] = {}
        self._tokens = 0
        self._last = Tally()
        radio.listen(self._heard)

    async def run(self) -> None:
        """Until cancelled. ForwarderError when the server's address cannot be used."""
        with ExitStack() as sockets:
            up = await self._open(self._on_up)
            sockets.callback(up.close)
            down = await self._open(self._on_down)
            sockets.callback(down.close)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._push(up))
                tasks.create_task(self._report(up))
                tasks.create_task(self._pull(down))

    async def _open(self, receive: Callable[[bytes, asyncio.DatagramTransport], None]) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(receive), remote_addr=self._server)
        except OSError as error:
            host, port = self._server
            raise ForwarderError(f"no UDP socket to {host}:{port} ({error}); correct the server's address") from None
        return transport

    def _heard(self, reception: Reception) -> None:
        self.tally.received += 1
        self.tally.intact += reception.intact
        if reception.intact or self._forward_damaged:
            self._waiting.append(reception)
            del self._waiting[:-MAX_WAITING]
            self._arrived.set()

    async def _push(self, up: asyncio.DatagramTransport) -> None:
        while True:
            await self._arrived.wait()
            # It looks at its board at its own beat, so one frame waits longer than another.
            await self._clock.sleep(FETCH_INTERVAL_S - self._clock.monotonic() % FETCH_INTERVAL_S)
            self._arrived.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                self._push_now(up, batch, None)
                self.tally.forwarded += len(batch)

    async def _report(self, up: asyncio.DatagramTransport) -> None:
        while True:
            await self._clock.sleep(self._stat_interval_s)
            self._push_now(up, [], self._statistics())

    async def _pull(self, down: asyncio.DatagramTransport) -> None:
        while True:
            down.sendto(gwmp.pull_data(self._eui, self._token()))
            await self._clock.sleep(self._pull_interval_s)

    def _push_now(
        self, up: asyncio.DatagramTransport, batch: list[Reception], statistics: gwmp.Statistics | None
    ) -> None:
        token = self._token()
        self._unacknowledged[token] = None
        if len(self._unacknowledged) > MAX_UNACKNOWLEDGED:
            del self._unacknowledged[next(iter(self._unacknowledged))]
        up.sendto(gwmp.push_data(self._eui, token, batch, statistics, gps=self._gps))
        self.tally.pushed += 1

    def _statistics(self) -> gwmp.Statistics:
        now, before = self.tally, self._last
        pushed = now.pushed - before.pushed
        self._last = Tally(
            now.received, now.intact, now.forwarded, now.pushed, now.acknowledged, 0, now.downlinks, now.sent
        )
        return gwmp.Statistics(
            unix=self._clock.time(),
            received=now.received - before.received,
            intact=now.intact - before.intact,
            forwarded=now.forwarded - before.forwarded,
            acknowledged_percent=100.0 * (now.acknowledged - before.acknowledged) / pushed if pushed else 0.0,
            downlinks=now.downlinks - before.downlinks,
            sent=now.sent - before.sent,
            temperature=24 + 3 * drift(0, self._clock.time(), 3600.0, "board", self._radio.eui),
            place=self._place if self._gps else None,
        )

    def _on_up(self, datagram: bytes, up: asyncio.DatagramTransport) -> None:
        token = gwmp.acknowledged(datagram, gwmp.PUSH_ACK)
        if token in self._unacknowledged:
            del self._unacknowledged[token]
            self.tally.acknowledged += 1

    def _on_down(self, datagram: bytes, down: asyncio.DatagramTransport) -> None:
        if gwmp.acknowledged(datagram, gwmp.PULL_ACK) is not None:
            self.tally.pulls_acknowledged += 1
            return
        try:
            answer = gwmp.pull_resp(datagram)
            if answer is None:
                return
            token, request = answer
            self.tally.downlinks += 1
            down.sendto(self._take(token, request))
        except (FormatError, FrequencyPlanError) as error:
            # The reference drops what it cannot read without an answer.
            self.tally.malformed += 1
            log.warning("downlink dropped", extra={"gateway": self._radio.eui, "reason": str(error)})

    def _take(self, token: int, request: gwmp.DownlinkRequest) -> bytes:
        """Accept or refuse a downlink: the TX_ACK to send."""
        rate = self._radio.region.data_rate_of(request.datr)
        frame = request.frame
        frequency_hz = round(request.freq * 1e6)
        low, high = self._radio.region.frequency_range_hz
        if request.tmms is not None and not (self._gps or request.imme or request.tmst is not None):
            return self._refuse(token, "GPS_UNLOCKED")
        if not low <= frequency_hz <= high:
            return self._refuse(token, "TX_FREQ")
        power = _power(request.powe, self._radio.antenna_gain_db)
        length = _airtime_s(request, rate)
        now = self._radio.counter()
        at = self._moment(request, now, length)
        refusal = self._queue.enqueue(now, at, round(length * 1e6))
        if refusal is not None:
            return self._refuse(token, refusal.value)
        start = self._radio.instant(at)
        self._radio.send(
            Downlink(
                gateway=self._radio.eui,
                frame=frame,
                frequency_hz=frequency_hz,
                data_rate=rate,
                power_dbm=power + self._radio.antenna_gain_db,
                start=start,
                end=start + length,
                inverted=request.ipol,
            )
        )
        self.tally.sent += 1
        asked = power if request.powe is None else request.powe - self._radio.antenna_gain_db
        self.tally.answers["NONE" if asked == power else "TX_POWER"] += 1
        return gwmp.tx_ack(self._eui, token, warn_power=None if asked == power else power)

    def _moment(self, request: gwmp.DownlinkRequest, now: int, length: float) -> int:
        if request.imme:
            return self._queue.soonest(now, round(length * 1e6))
        if request.tmst is not None:
            return request.tmst
        if request.tmms is None:
            raise FormatError("a txpk that says neither imme nor tmst nor tmms")
        ahead = unix_seconds(request.tmms / 1000) - self._clock.time()
        return self._radio.counter(self._clock.monotonic() + ahead)

    def _refuse(self, token: int, error: str) -> bytes:
        self.tally.answers[error] += 1
        return gwmp.tx_ack(self._eui, token, error=error)

    def _token(self) -> int:
        self._tokens += 1
        return int(65536 * uniform(0, "token", self._radio.eui, self._tokens))


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, asyncio.DatagramTransport], None]) -> None:
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self._transport is not None:
            self._receive(data, self._transport)

    def error_received(self, exc: Exception) -> None:
        # Nobody listens there yet, or any more: UDP goes on.
        log.debug("network server unreachable", extra={"error": str(exc)})


def _power(asked: float | None, antenna_gain_db: float) -> int:
    """What the amplifier gives: the next lower step of its table, or the lowest."""
    if asked is None:
        return POWER_STEPS_DBM[2]
    wanted = asked - antenna_gain_db
    return max((step for step in POWER_STEPS_DBM if step <= wanted), default=POWER_STEPS_DBM[0])


def _airtime_s(request: gwmp.DownlinkRequest, rate: DataRate) -> float:
    if rate.spreading_factor is None:
        return airtime_s(request.size, rate)
    return lora_airtime_s(
        request.size,
        rate.spreading_factor,
        rate.bandwidth_hz,
        crc=not request.ncrc,
        coding_rate=int(request.codr[2]) - 4,
    )
