"""The radio air of a building: carries uplinks to every gateway and downlinks into open receive windows.

All instants are those of the clock's monotonic time: what is heard follows from computed starts and ends, never from
how promptly a task wakes, so a scaled or manual clock gives the same result.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from adapter_agent.radio.phy import Exchange, Heard, Overheard, Phy, PhyError, Window
from adapter_agent.simulation.gateway import Downlink, GatewayRadio
from adapter_agent.simulation.noise import drift, normal
from adapter_agent.simulation.physics import (
    DEVICE_NOISE_FIGURE_DB,
    Signal,
    reported,
    sensitivity_dbm,
    survives,
    symbol_s,
)
from adapter_agent.simulation.reception import Fate
from edge.clock import Clock
from meterwire.ids import DevEUI
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.frame import MAX_PHY
from meterwire.lorawan.region import EU868, DataRate, FrequencyPlanError, Region

DEFAULT_LOSS_DB: Final = 105.0
FADING_DB: Final = 1.5  # from frame to frame
SHADOW_DB: Final = 1.5  # from half hour to half hour
SHADOW_PERIOD_S: Final = 1800.0
EARLY_SYMBOLS: Final = 3  # of the eight preamble symbols a receiver needs five
LATE_SYMBOLS: Final = 5  # a window without a preamble is closed after that
REMEMBERED_S: Final = 30.0  # downlinks are kept that long: a window opens at most 16 s after an uplink


@dataclass(slots=True)
class Account:
    """What the air saw. `fates` counts each uplink once per gateway; the other figures count frames."""

    uplinks: int = 0
    delivered: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    downlinks: int = 0
    heard: int = 0
    downlinks_weak: int = 0
    downlinks_collided: int = 0


@dataclass(frozen=True, slots=True)
class Flight:
    """One uplink on the air, on the air's clock and in Unix time."""

    dev_eui: str
    start: float
    end: float
    unix_start: float
    unix_end: float


@dataclass(frozen=True, slots=True)
class Landed:
    """An uplink that has ended, and what became of it at each gateway that it could have reached."""

    flight: Flight
    frame: bytes
    freq_hz: int
    dr: int
    fates: tuple[Fate, ...]


class Air:
    """Gateways and adapters within earshot of each other. `seed` makes fading repeatable; 0 dB switches it off."""

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 0,
        region: Region = EU868,
        fading_db: float = FADING_DB,
        shadow_db: float = SHADOW_DB,
        default_loss_db: float = DEFAULT_LOSS_DB,
    ) -> None:
        self.clock = clock
        self.account = Account()
        self._seed = seed
        self._region = region
        self._fading_db = fading_db
        self._shadow_db = shadow_db
        self._default_loss_db = default_loss_db
        self._gateways: dict[str, GatewayRadio] = {}
        self._losses: dict[tuple[str, str], float] = {}
        self._sent: Counter[str] = Counter()
        self._busy: set[str] = set()
        self._downlinks: list[Downlink] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: Callable[[Landed], None] | None = None

    def watch(self, watcher: Callable[[Landed], None]) -> None:
        """Tell `watcher` of every uplink when it has ended."""
        self._watcher = watcher

    def add(self, gateway: GatewayRadio) -> GatewayRadio:
        """Set up a gateway, which must run on the air's clock."""
        self._gateways[gateway.eui] = gateway
        gateway.connect(self._take_downlink)
        return gateway

    def place(self, dev_eui: DevEUI | str, losses_db: Mapping[str, float]) -> None:
        """Path loss in dB from an adapter to gateways by EUI; others get the air's default."""
        for gateway, loss in losses_db.items():
            self._losses[str(dev_eui).lower(), gateway] = loss

    def phy(self, dev_eui: DevEUI | str) -> Phy:
        """The transceiver of an adapter inside this process."""
        return _InProcess(self, str(dev_eui).lower())

    async def transmit(self, dev_eui: str, frame: bytes, *, freq_hz: int, dr: int, power_dbm: int) -> Flight:
        """Send `frame` now and return when it has ended. Raises PhyError for what no radio would send."""
        rate = self._lora(dr)
        if not 0 < len(frame) <= MAX_PHY or not self._region.allows(freq_hz):
            raise PhyError(f"no frame of {len(frame)} bytes on {freq_hz} Hz in {self._region.name}; correct the plan")
        start = self.clock.monotonic()
        length = airtime_s(len(frame), rate)
        unix = self.clock.time()
        flight = Flight(dev_eui, start, start + length, unix, unix + length)
        self._sent[dev_eui] += 1
        ear = _Ear(dev_eui, start, self._sent[dev_eui])
        signals = {
            gateway: Signal(
                start,
                flight.end,
                freq_hz,
                *_chirp(rate),
                power_dbm - self._loss_db(ear, gateway.eui) + gateway.antenna_gain_db,
            )
            for gateway in self._gateways.values()
        }
        self.account.uplinks += 1
        for gateway, signal in signals.items():
            gateway.receiver.begin(signal)
        # What is on the air stays there even if the sender's process dies meanwhile.
        await asyncio.shield(self._spawn(self._land(flight, frame, freq_hz, rate, signals)))
        return flight

    async def hear(self, flight: Flight, windows: Sequence[Window]) -> Heard | None:
        """Listen in `windows` after `flight`, in order; the first frame ends it."""
        for number, window in enumerate(windows, 1):
            rate = self._rate(window.dr)
            if rate.spreading_factor is None:
                continue  # this air carries LoRa only: nothing will be heard
            opens = flight.end + window.after_s
            symbol = symbol_s(*_chirp(rate))
            await self._until(opens + LATE_SYMBOLS * symbol)
            ear = _Ear(flight.dev_eui, flight.start, self._sent[flight.dev_eui])
            found = await self._first(
                ear, window.freq_hz, rate, opens - EARLY_SYMBOLS * symbol, opens + LATE_SYMBOLS * symbol
            )
            if found is not None:
                downlink, rssi, snr = found
                return Heard(downlink.frame, number, rssi, snr)
        return None

    async def listen(self, dev_eui: str, *, freq_hz: int, dr: int, seconds: float) -> Overheard | None:
        """A downlink whose preamble begins within `seconds` from now, without an uplink before it.

        PhyError while the adapter's radio is in use, and for what no radio would hear.
        """
        rate = self._lora(dr)
        self.occupy(dev_eui)
        try:
            begun = self.clock.monotonic()
            await self._until(begun + seconds)
            ear = _Ear(dev_eui, begun, f"listening {round(begun * 1000)}")
            found = await self._first(ear, freq_hz, rate, begun, begun + seconds)
        finally:
            self.release(dev_eui)
        if found is None:
            return None
        downlink, rssi, snr = found
        return Overheard(downlink.frame, downlink.start - begun, rssi, snr)

    async def exchange(
        self, dev_eui: str, frame: bytes, *, freq_hz: int, dr: int, power_dbm: int, windows: Sequence[Window]
    ) -> Exchange:
        """Transmit, then listen. PhyError while the same adapter is still at it."""
        self.occupy(dev_eui)
        try:
            flight = await self.transmit(dev_eui, frame, freq_hz=freq_hz, dr=dr, power_dbm=power_dbm)
            return Exchange(flight.unix_start, flight.unix_end, await self.hear(flight, windows))
        finally:
            self.release(dev_eui)

    def occupy(self, dev_eui: str) -> None:
        """Mark an adapter's half-duplex radio as in use. PhyError when it is already."""
        if dev_eui in self._busy:
            raise PhyError(f"the radio of {dev_eui} is still sending or listening; wait for the exchange to end")
        self._busy.add(dev_eui)

    def release(self, dev_eui: str) -> None:
        self._busy.discard(dev_eui)

    async def close(self) -> None:
        """Let nothing land any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _land(
        self, flight: Flight, frame: bytes, freq_hz: int, rate: DataRate, signals: Mapping[GatewayRadio, Signal]
    ) -> None:
        await self._until(flight.end)
        fates = [gateway.hear(frame, rate, signal) for gateway, signal in signals.items()]
        self.account.fates.update(fates)
        self.account.delivered += Fate.RECEIVED in fates
        if self._watcher is not None:
            self._watcher(Landed(flight, frame, freq_hz, rate.index, tuple(fates)))

    def _take_downlink(self, downlink: Downlink) -> None:
        horizon = self.clock.monotonic() - REMEMBERED_S
        self._downlinks = [known for known in self._downlinks if known.end > horizon]
        self._downlinks.append(downlink)
        self.account.downlinks += 1

    async def _first(
        self, ear: "_Ear", freq_hz: int, rate: DataRate, earliest: float, latest: float
    ) -> tuple[Downlink, float, float] | None:
        """What is heard of the downlinks that begin between two instants: (the downlink, RSSI, SNR)."""
        found = self._strongest(ear, freq_hz, rate, earliest, latest)
        if found is None:
            return None
        downlink, signal = found
        await self._until(downlink.end)
        if not self._demodulated(ear, downlink, signal):
            return None
        self.account.heard += 1
        return downlink, *reported(signal.power_dbm, signal.bandwidth_hz, DEVICE_NOISE_FIGURE_DB)

    def _strongest(
        self, ear: "_Ear", freq_hz: int, rate: DataRate, earliest: float, latest: float
    ) -> tuple[Downlink, Signal] | None:
        """The downlink on whose preamble an adapter locks in a window: an inverted chirp that begins in time."""
        found = [
            (downlink, self._at_adapter(ear, downlink))
            for downlink in self._downlinks
            if downlink.inverted
            and downlink.frequency_hz == freq_hz
            and downlink.data_rate == rate
            and earliest <= downlink.start <= latest
        ]
        return max(found, key=lambda pair: pair[1].power_dbm, default=None)

    def _demodulated(self, ear: "_Ear", downlink: Downlink, signal: Signal) -> bool:
        if signal.power_dbm < sensitivity_dbm(*_chirp(downlink.data_rate), DEVICE_NOISE_FIGURE_DB):
            self.account.downlinks_weak += 1
            return False
        # Uplinks do not disturb: their chirps run the other way.
        others = (self._at_adapter(ear, other) for other in self._downlinks if other is not downlink)
        if not survives(signal, others):
            self.account.downlinks_collided += 1
            return False
        return True

    def _at_adapter(self, ear: "_Ear", downlink: Downlink) -> Signal:
        return Signal(
            downlink.start,
            downlink.end,
            downlink.frequency_hz,
            *_chirp(downlink.data_rate),
            downlink.power_dbm - self._loss_db(ear, downlink.gateway),
        )

    def _loss_db(self, ear: "_Ear", gateway: str) -> float:
        """Path loss of the link, fading included; the same both ways."""
        link = (ear.dev_eui, gateway)
        loss = self._losses.get(link, self._default_loss_db)
        fading = self._fading_db * normal(self._seed, "fading", *link, ear.draw)
        return loss + fading + self._shadow_db * drift(self._seed, ear.since, SHADOW_PERIOD_S, "shadow", *link)

    def _lora(self, dr: int) -> DataRate:
        rate = self._rate(dr)
        if rate.spreading_factor is None:
            raise PhyError(f"DR{dr} is FSK, and this air carries LoRa only; use DR0 to DR6")
        return rate

    def _rate(self, dr: int) -> DataRate:
        try:
            return self._region.data_rate(dr)
        except FrequencyPlanError as error:
            raise PhyError(f"{error}; correct the data rate") from None

    async def _until(self, instant: float) -> None:
        await self.clock.sleep(instant - self.clock.monotonic())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@dataclass(frozen=True, slots=True)
class _Ear:
    """An adapter's end of its links, since when, and which draw of their fading holds."""

    dev_eui: str
    since: float
    draw: int | str


@dataclass(frozen=True, slots=True)
class _InProcess:
    air: Air
    dev_eui: str

    async def exchange(
        self, frame: bytes, *, freq_hz: int, dr: int, power_dbm: int, windows: Sequence[Window]
    ) -> Exchange:
        return await self.air.exchange(
            self.dev_eui, frame, freq_hz=freq_hz, dr=dr, power_dbm=power_dbm, windows=windows
        )

    async def listen(self, *, freq_hz: int, dr: int, seconds: float) -> Overheard | None:
        return await self.air.listen(self.dev_eui, freq_hz=freq_hz, dr=dr, seconds=seconds)


def _chirp(rate: DataRate) -> tuple[int, int]:
    return rate.spreading_factor or 0, rate.bandwidth_hz
