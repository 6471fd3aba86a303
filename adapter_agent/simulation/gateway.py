"""The radio side of a simulated gateway: its channels, its microsecond counter, what it hears and sends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adapter_agent.simulation.physics import GATEWAY_NOISE_FIGURE_DB, REJECTION_DB, Signal, reported
from adapter_agent.simulation.reception import DEMODULATORS, Fate, ReceiveChannel, Receiver
from edge.clock import Clock
from meterwire.lorawan.region import EU868, DataRate, Region

COUNTER_RANGE: Final = 1 << 32
_STANDARD_CHANNEL_HZ = 868_300_000  # the single-SF modem beside the eight channels, as in the usual EU868 settings
_STANDARD_DR = 6


@dataclass(frozen=True, slots=True)
class Reception:
    """A frame as the gateway hands it on. `tmst` is the counter at its end, `unix` the same instant (GPS)."""

    frame: bytes
    frequency_hz: int
    data_rate: DataRate
    channel: int
    rssi: float
    snr: float
    tmst: int
    unix: float
    intact: bool = True


@dataclass(frozen=True, slots=True)
class Downlink:
    """A frame that a gateway sends; `start` and `end` on the air's clock, power as EIRP in dBm."""

    gateway: str
    frame: bytes
    frequency_hz: int
    data_rate: DataRate
    power_dbm: float
    start: float
    end: float
    inverted: bool = True


class GatewayRadio:
    """A concentrator board: eight channels, a pool of demodulators, half duplex, a 32-bit counter in microseconds.

    `counter` is where its counter stands when the board comes up (it wraps after 71.6 minutes).
    """

    def __init__(
        self,
        eui: str,
        clock: Clock,
        *,
        region: Region = EU868,
        demodulators: int = DEMODULATORS,
        noise_figure_db: float = GATEWAY_NOISE_FIGURE_DB,
        antenna_gain_db: float = 0.0,
        counter: int = 0,
        rejection: Mapping[int, Mapping[int, float]] = REJECTION_DB,
    ) -> None:
        self.eui = eui
        self.region = region
        self.clock = clock
        self.antenna_gain_db = antenna_gain_db
        self.receiver = Receiver(
            receive_channels(region),
            demodulators=demodulators,
            noise_figure_db=noise_figure_db,
            rejection=rejection,
        )
        self._offset = counter - _microseconds(clock.monotonic())
        self._listener: Callable[[Reception], None] | None = None
        self._send: Callable[[Downlink], None] | None = None

    def listen(self, listener: Callable[[Reception], None]) -> None:
        """Hand every frame heard to `listener`, damaged ones too (`intact` false)."""
        self._listener = listener

    def connect(self, send: Callable[[Downlink], None]) -> None:
        """What the air takes downlinks with."""
        self._send = send

    def counter(self, at: float | None = None) -> int:
        """The counter now, or at an instant of the air's clock."""
        instant = self.clock.monotonic() if at is None else at
        return (_microseconds(instant) + self._offset) % COUNTER_RANGE

    def instant(self, tmst: int) -> float:
        """The instant of the air's clock nearest to now at which the counter stands at `tmst`."""
        now = _microseconds(self.clock.monotonic())
        ahead = (tmst - now - self._offset) % COUNTER_RANGE
        if ahead >= COUNTER_RANGE // 2:
            ahead -= COUNTER_RANGE
        return (now + ahead) / 1e6

    def unix(self, instant: float) -> float:
        """Unix time of an instant of the air's clock."""
        return self.clock.time() - self.clock.monotonic() + instant

    def send(self, downlink: Downlink) -> None:
        """Put a downlink on the air at its start, which lies ahead; the receiver is deaf meanwhile."""
        self.receiver.sending(downlink.start, downlink.end)
        if self._send is not None:
            self._send(downlink)

    def hear(self, frame: bytes, data_rate: DataRate, signal: Signal) -> Fate:
        """`signal`, which carries `frame`, has ended: hand it on if it was heard. Returns what became of it."""
        fate = self.receiver.finish(signal)
        channel = self.receiver.channel(signal)
        if fate in (Fate.RECEIVED, Fate.COLLIDED) and channel is not None and self._listener is not None:
            rssi, snr = reported(signal.power_dbm, signal.bandwidth_hz, self.receiver.noise_figure_db)
            self._listener(
                Reception(
                    frame=frame if fate is Fate.RECEIVED else _damaged(frame),
                    frequency_hz=signal.frequency_hz,
                    data_rate=data_rate,
                    channel=channel,
                    rssi=rssi,
                    snr=snr,
                    tmst=self.counter(signal.end),
                    unix=self.unix(signal.end),
                    intact=fate is Fate.RECEIVED,
                )
            )
        return fate


def receive_channels(region: Region = EU868) -> tuple[ReceiveChannel, ...]:
    """Eight multi-SF channels (the three default ones first, as gateways number them) and the SF7/250 kHz one."""
    plan = (*region.default_channels, *region.extra_channels)[:8]
    fast = region.data_rate(_STANDARD_DR)
    return (
        *(ReceiveChannel(channel.frequency_hz) for channel in plan),
        ReceiveChannel(_STANDARD_CHANNEL_HZ, fast.bandwidth_hz, fast.spreading_factor),
    )


def _damaged(frame: bytes) -> bytes:
    middle = len(frame) // 2
    return frame[:middle] + bytes((frame[middle] ^ 0x5A,)) + frame[middle + 1 :]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
