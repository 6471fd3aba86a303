"""Radio `virtual`: our own MAC over a simulated air, which is reached by TCP, one connection per adapter."""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from adapter_agent.radio.base import RadioParts
from adapter_agent.radio.mac import EndDevice
from adapter_agent.radio.phy import Exchange, Heard, Overheard, PhyError, Window
from adapter_agent.radio.settings import MacSettings
from adapter_agent.radio.state import RadioStore
from edge.clock import Clock
from meterwire.ids import DevEUI
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import by_name

log = logging.getLogger(__name__)

MAX_LINE: Final = 4096
ANSWER_S: Final = 60.0  # the air answers within an airtime, or the longest receive delay and an airtime
RECONNECT_S: Final = (0.5, 30.0)
MAX_LATENCY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class VirtualConfig:
    """[radio] of type `virtual`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 17_100
    region: Literal["EU868"] = "EU868"
    data_rate: Annotated[int, Meta(ge=0, le=5)] = 5
    power_dbm: Annotated[int, Meta(ge=-20, le=16)] = 14
    confirm_tries: Annotated[int, Meta(ge=1, le=15)] = 4
    rejoin_after: Annotated[int, Meta(ge=1, le=1000)] = 3


class VirtualRadio(EndDevice):
    """The radio; with `parts.phy`, on an air inside this process instead of the one at host and port."""

    def __init__(self, config: VirtualConfig, parts: RadioParts) -> None:
        self._link: AirLink | None = None
        phy = parts.phy
        if phy is None:
            phy = self._link = AirLink(config.host, config.port, parts.identity.dev_eui, parts.clock, parts.random)
        region = by_name(config.region)
        super().__init__(
            parts.identity,
            MacSettings(region, config.data_rate, config.power_dbm, config.confirm_tries, config.rejoin_after),
            phy,
            store=RadioStore(parts.file, region),
            clock=parts.clock,
            events=parts.events,
            random=parts.random,
            available=None if self._link is None else self._link.connected,
        )

    def close(self) -> None:
        super().close()
        if self._link is not None:
            self._link.close()


class AirLink:
    """A Phy at the other end of a TCP connection (newline-delimited JSON). It reconnects; a broken exchange fails."""

    def __init__(self, host: str, port: int, dev_eui: DevEUI, clock: Clock, random: Random) -> None:
        self._host, self._port, self._dev_eui = host, port, dev_eui
        self._clock, self._random = clock, random
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connecting = asyncio.Lock()  # several may wait for the air, and one connection is enough for all
        self._failures = 0
        self._number = 0

    async def connected(self) -> None:
        """Wait until there is a connection, trying again less and less often."""
        async with self._connecting:
            while self._writer is None or self._broken:
                try:
                    await self._connect()
                except OSError as error:
                    first, longest = RECONNECT_S
                    pause = min(longest, first * 2 ** min(self._failures, 16)) * self._random.uniform(0.5, 1.0)
                    if not self._failures:
                        log.warning("no air at %s:%s (%s); trying again", self._host, self._port, error)
                    self._failures += 1
                    await self._clock.sleep(pause)
            self._failures = 0

    async def exchange(
        self, frame: bytes, *, freq_hz: int, dr: int, power_dbm: int, windows: Sequence[Window]
    ) -> Exchange:
        rx = [{"after_us": round(w.after_s * 1e6), "freq": w.freq_hz, "dr": w.dr} for w in windows]
        sending = {"freq": freq_hz, "dr": dr, "power": power_dbm, "frame": b64encode(frame).decode(), "rx": rx}
        async with self._asking("tx", sending) as begun:
            ended = await self._answer("end")
            start, end = float(ended["start"]), float(ended["end"])
            there_and_back = self._clock.monotonic() - begun - (end - start)
            result = await self._answer("rx", "none")
            heard = _heard(result) if result["t"] == "rx" else None
            if heard is not None and heard.window > len(windows):
                raise PhyError("the air answered in a window that was not open")
            return Exchange(start, end, heard, _latency_s(there_and_back))

    async def listen(self, *, freq_hz: int, dr: int, seconds: float) -> Overheard | None:
        window, called = {"freq": freq_hz, "dr": dr, "for_us": round(seconds * 1e6)}, self._clock.monotonic()
        async with self._asking("listen", window) as begun:
            result = await self._answer("rx", "none")
            if result["t"] == "none":
                return None
            frame, after_s = b64decode(result["frame"], validate=True), float(result["after_us"]) / 1e6
            if not 0.0 <= after_s <= ANSWER_S:
                raise ValueError(after_s)
            over_s = max(seconds, after_s + airtime_s(len(frame), dr, uplink=False))  # the window stays open to its end
            after_s += begun - called + _latency_s(self._clock.monotonic() - begun - over_s)
            return Overheard(frame, after_s, float(result["rssi"]), float(result["snr"]))

    @asynccontextmanager
    async def _asking(self, kind: str, fields: dict[str, Any]) -> AsyncIterator[float]:
        """One request and its answers; yields when it was asked. Whatever goes wrong ends the connection."""
        await self.connected()
        self._number += 1
        begun = self._clock.monotonic()
        try:
            self._write({"t": kind, "id": self._number, **fields})
            yield begun
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self.close()
            raise PhyError(f"the connection to the air broke ({error or type(error).__name__})") from None
        except (KeyError, TypeError, ValueError, msgspec.DecodeError):
            self.close()
            raise PhyError("the air answered something that is no answer; check host and port") from None
        except BaseException:
            self.close()  # an answer may still be on its way: the next exchange must not take it for its own
            raise

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    @property
    def _broken(self) -> bool:
        return self._reader is None or self._reader.at_eof() or self._writer is None or self._writer.is_closing()

    async def _connect(self) -> None:
        self.close()
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=MAX_LINE)
        self._write({"t": "hello", "dev_eui": str(self._dev_eui)})

    def _write(self, message: dict[str, Any]) -> None:
        if self._writer is None:
            raise ConnectionResetError("not connected")
        self._writer.write(msgspec.json.encode(message) + b"\n")

    async def _answer(self, *kinds: str) -> dict[str, Any]:
        if self._reader is None:
            raise ConnectionResetError("not connected")
        async with asyncio.timeout(ANSWER_S):
            line = await self._reader.readuntil(b"\n")
        message: dict[str, Any] = msgspec.json.decode(line)
        if message["t"] == "error":
            raise PhyError(f"the air refused the frame: {str(message['message'])[:200]}")
        if message["t"] not in kinds or message["id"] != self._number:
            raise ValueError(message["t"])
        return message


def _heard(message: dict[str, Any]) -> Heard:
    window = message["window"]
    if window not in (1, 2):
        raise ValueError(window)
    return Heard(b64decode(message["frame"], validate=True), window, float(message["rssi"]), float(message["snr"]))


def _latency_s(there_and_back: float) -> float:
    return min(max(0.0, there_and_back / 2), MAX_LATENCY_S)
