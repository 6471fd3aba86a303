"""The UDP front end: packet forwarders push uplinks here and pull downlinks from here.

The protocol authenticates nobody. So it binds to loopback unless told otherwise, takes gateways from an allow-list
where one is given, and keeps bounded tables; what a frame is worth is decided by its MIC alone.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable

import msgspec

from concentrator_agent.modes import Gate, Interface, InterfaceClosed
from concentrator_agent.radio import gwmp
from concentrator_agent.radio.base import Reception, Transmission, TransmissionRefused
from concentrator_agent.server.clock import ReceptionClock
from edge.clock import Clock
from meterwire.errors import MeterspanError
from meterwire.lorawan.plan import Region

log = logging.getLogger(__name__)

MAX_GATEWAYS = 32
MAX_PENDING = 256  # downlinks that wait for their TX_ACK
ONLINE_WITHIN_S = 60.0  # forwarders pull every 5 to 30 s
TX_ACK_TIMEOUT_S = 0.5
DATAGRAMS_PER_TURN = 64  # read before the event loop gets its turn again
RECEIVE_BUFFER = 4 * 1024 * 1024

Address = tuple[str, int]


class UdpUnusable(MeterspanError):
    """The UDP port cannot be bound."""

    code = "udp_port"


class Forwarder(msgspec.Struct, eq=False):
    """One gateway: where its last PULL_DATA came from and when (monotonic seconds) it was last heard."""

    eui: str
    pull_address: Address | None = None
    last_seen: float = 0.0
    last_seen_at: float = 0.0
    online: bool = False


class Forwarders:
    """All packet forwarders behind one UDP port. `on_reception` gets each usable copy of each uplink."""

    def __init__(
        self,
        region: Region,
        gate: Gate,
        clock: Clock,
        reception_clock: ReceptionClock,
        *,
        host: str,
        port: int,
        allowed: frozenset[str] = frozenset(),
        on_reception: Callable[[Reception], None],
        on_change: Callable[[Forwarder], None] = lambda forwarder: None,
    ) -> None:
        self._region = region
        self._clock = clock
        self._reception_clock = reception_clock
        self._host, self._wanted_port = host, port
        self._allowed = allowed
        self._on_reception = on_reception
        self._on_change = on_change
        self._pending: dict[tuple[str, bytes], asyncio.Future[str | None]] = {}
        self._token = 0
        self._buffer = memoryview(bytearray(gwmp.MAX_DATAGRAM))
        self._door = gate.door(Interface.RADIO, self._send)
        self.known: dict[str, Forwarder] = {}
        self.counts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The bound port."""
        port: int = self._socket.getsockname()[1]
        return port

    def open(self) -> None:
        """Bind and start to listen. Raises UdpUnusable."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.bind((self._host, self._wanted_port))
        except OSError as error:
            self._socket.close()
            raise UdpUnusable(
                f"UDP {self._host}:{self._wanted_port} cannot be used ({error.strerror}): choose another port or host"
            ) from None
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    async def send(self, transmission: Transmission) -> None:
        """PULL_RESP to the gateway; returns on its TX_ACK, or after TX_ACK_TIMEOUT_S (old forwarders send none).

        Raises TransmissionRefused or InterfaceClosed.
        """
        forwarder = self.known.get(transmission.gateway)
        if forwarder is None or forwarder.pull_address is None:
            raise TransmissionRefused("gateway_unknown")
        if len(self._pending) >= MAX_PENDING:
            raise TransmissionRefused("too_many_pending")
        self._token = (self._token + 1) & 0xFFFF
        token = self._token.to_bytes(2, "big")
        key = (transmission.gateway, token)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._pending[key] = answer
        try:
            self._door(
                gwmp.pull_resp(
                    token,
                    transmission.phy,
                    tmst=transmission.tmst,
                    freq=transmission.freq,
                    datr=self._region.data_rate(transmission.dr).datr,
                    power_dbm=transmission.power_dbm,
                ),
                forwarder.pull_address,
            )
            timeout = asyncio.ensure_future(self._clock.sleep(TX_ACK_TIMEOUT_S))
            await asyncio.wait((answer, timeout), return_when=asyncio.FIRST_COMPLETED)
            timeout.cancel()
        finally:
            self._pending.pop(key, None)
        if answer.done() and (error := answer.result()) is not None:
            self.counts[f"tx_{error.lower()}"] += 1
            raise TransmissionRefused(error.lower())

    def gateways_online(self) -> int:
        return sum(forwarder.online for forwarder in self.known.values())

    def online(self) -> list[str]:
        """The EUIs of the gateways that are heard at present."""
        return [forwarder.eui for forwarder in self.known.values() if forwarder.online]

    def sweep(self) -> None:
        """Notice gateways that fell silent; to be called every few seconds."""
        now = self._clock.monotonic()
        for forwarder in self.known.values():
            if forwarder.online and now - forwarder.last_seen > ONLINE_WITHIN_S:
                forwarder.online = False
                self._on_change(forwarder)

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                size, address = self._socket.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP answer to an earlier datagram of ours
                log.debug("UDP error", extra={"error": str(error)})
                return
            self.take(bytes(self._buffer[:size]), address)

    def take(self, datagram: bytes, address: Address) -> None:
        """Handle one datagram. Never raises for what a peer sends."""
        arrival = self._clock.time()
        try:
            read = gwmp.parse(datagram, self._region)
        except gwmp.GwmpError as error:
            self.counts[error.reason] += 1
            log.debug("datagram refused", extra={"reason": error.reason, "from": address[0]})
            return
        forwarder = self._forwarder(read.eui)
        if forwarder is None:
            self.counts["foreign_gateway"] += 1
            return
        self._heard(forwarder, arrival)
        if read.kind is gwmp.Kind.TX_ACK:
            answer = self._pending.get((read.eui, read.token))
            if answer is not None and not answer.done():
                answer.set_result(read.error)
            return
        if read.kind is gwmp.Kind.PULL_DATA:
            forwarder.pull_address = address
        self._acknowledge(read, address)
        if read.dropped:
            self.counts.update(read.dropped)
        for packet in read.packets:
            received_at, quality = self._reception_clock.stamp(read.eui, packet.tmst, arrival, packet.gateway_time)
            self._on_reception(
                Reception(
                    packet.phy,
                    read.eui,
                    packet.tmst,
                    packet.freq,
                    packet.dr,
                    packet.rssi,
                    packet.snr,
                    received_at,
                    quality,
                )
            )

    def _forwarder(self, eui: str) -> Forwarder | None:
        forwarder = self.known.get(eui)
        if forwarder is not None:
            return forwarder
        if self._allowed and eui not in self._allowed:
            return None
        if len(self.known) >= MAX_GATEWAYS:
            silent = min(self.known.values(), key=lambda one: one.last_seen)
            if silent.online:
                return None
            del self.known[silent.eui]
        forwarder = self.known[eui] = Forwarder(eui)
        return forwarder

    def _heard(self, forwarder: Forwarder, arrival: float) -> None:
        forwarder.last_seen = self._clock.monotonic()
        forwarder.last_seen_at = arrival
        if not forwarder.online:
            forwarder.online = True
            self._on_change(forwarder)

    def _acknowledge(self, read: gwmp.Datagram, address: Address) -> None:
        try:
            self._door(gwmp.acknowledge(read), address)
        except InterfaceClosed:
            pass

    def _send(self, datagram: bytes, address: Address) -> None:
        try:
            self._socket.sendto(datagram, address)
        except OSError as error:
            self.counts["send_error"] += 1
            log.debug("UDP error", extra={"error": str(error)})
