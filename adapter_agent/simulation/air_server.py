"""Gives adapters that run as processes of their own a place in the air: lines of JSON over TCP.

An adapter says `hello` with its DevEUI, then `tx` with a frame and its receive windows. The server answers `end` when
the transmission ends, then exactly one of `rx` and `none`. `listen` opens a window without a frame before it, and is
answered with `rx` or `none` alone. What it cannot read it answers with `error` and hangs up.
"""

import asyncio
from base64 import b64encode
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from adapter_agent.radio.phy import Window
from adapter_agent.simulation.air import Air
from meterwire.errors import FormatError, MeterspanError
from meterwire.ids import DevEUI
from meterwire.lorawan.frame import MAX_PHY

T = TypeVar("T")

MAX_LINE: Final = 4096
MAX_CONNECTIONS: Final = 2048
MAX_WINDOWS: Final = 2
MAX_WINDOW_US: Final = 16_000_000
HELLO_TIMEOUT_S: Final = 10.0
SEND_TIMEOUT_S: Final = 5.0

_Data = Annotated[int, Meta(ge=0, le=15)]
_Frequency = Annotated[int, Meta(ge=0, le=2_000_000_000)]


class _Window(Struct, frozen=True):
    after_us: Annotated[int, Meta(ge=0, le=MAX_WINDOW_US)]
    freq: _Frequency
    dr: _Data


class _Hello(Struct, frozen=True, tag_field="t", tag="hello"):
    dev_eui: Annotated[str, Meta(max_length=64)]


class _Transmit(Struct, frozen=True, tag_field="t", tag="tx"):
    id: Annotated[int, Meta(ge=0, le=1 << 52)]
    freq: _Frequency
    dr: _Data
    power: Annotated[int, Meta(ge=-20, le=30)]
    frame: Annotated[bytes, Meta(min_length=1, max_length=MAX_PHY)]
    rx: Annotated[tuple[_Window, ...], Meta(max_length=MAX_WINDOWS)] = ()


class _Listen(Struct, frozen=True, tag_field="t", tag="listen"):
    id: Annotated[int, Meta(ge=0, le=1 << 52)]
    freq: _Frequency
    dr: _Data
    for_us: Annotated[int, Meta(ge=0, le=MAX_WINDOW_US)]


_hello = msgspec.json.Decoder(_Hello)
_request = msgspec.json.Decoder(_Transmit | _Listen)


class AirServerError(MeterspanError):
    """The air's address cannot be used."""

    code = "air_server"


class AirServer:
    """TCP front of an Air. Port 0 takes a free one; `port` names it once started."""

    def __init__(self, air: Air, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._air = air
        self._server: asyncio.Server | None = None
        self._links: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. AirServerError when the address cannot be used."""
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=MAX_LINE)
        except OSError as error:
            raise AirServerError(
                f"the air cannot listen on {self.host}:{self.port} ({error.strerror}); choose another port"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > MAX_CONNECTIONS:
                raise FormatError(f"more than {MAX_CONNECTIONS} adapters in the air; start another one")
            await self._converse(reader, writer, task)
        except MeterspanError as error:
            await self._say(writer, {"t": "error", "message": str(error)})
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # gone, silent, replaced by a newer connection, or the air is closing
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[Any]
    ) -> None:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            line = await _line(reader)
        if line is None:
            return
        dev_eui = str(DevEUI.parse(_read(_hello, line).dev_eui))
        await self._replace(dev_eui, task)
        try:
            while (line := await _line(reader)) is not None:
                request = _read(_request, line)
                if isinstance(request, _Listen):
                    await self._listen(dev_eui, request, writer)
                else:
                    await self._exchange(dev_eui, request, writer)
        finally:
            if self._links.get(dev_eui) is task:
                del self._links[dev_eui]

    async def _replace(self, dev_eui: str, task: asyncio.Task[Any]) -> None:
        # An adapter that was killed and started again is the same radio: its old link is dead.
        old, self._links[dev_eui] = self._links.get(dev_eui), task
        if old is not None:
            old.cancel()
            await asyncio.wait([old])

    async def _exchange(self, dev_eui: str, request: _Transmit, writer: asyncio.StreamWriter) -> None:
        air = self._air
        windows = [Window(window.after_us / 1e6, window.freq, window.dr) for window in request.rx]
        air.occupy(dev_eui)
        try:
            flight = await air.transmit(
                dev_eui, request.frame, freq_hz=request.freq, dr=request.dr, power_dbm=request.power
            )
            end = {"t": "end", "id": request.id, "start": flight.unix_start, "end": flight.unix_end}
            await self._say(writer, end)
            heard = await air.hear(flight, windows)
        finally:
            air.release(dev_eui)
        if heard is None:
            await self._say(writer, {"t": "none", "id": request.id})
            return
        frame = b64encode(heard.frame).decode()
        answer = {"window": heard.window, "rssi": heard.rssi, "snr": heard.snr, "frame": frame}
        await self._say(writer, {"t": "rx", "id": request.id, **answer})

    async def _listen(self, dev_eui: str, request: _Listen, writer: asyncio.StreamWriter) -> None:
        heard = await self._air.listen(dev_eui, freq_hz=request.freq, dr=request.dr, seconds=request.for_us / 1e6)
        if heard is None:
            await self._say(writer, {"t": "none", "id": request.id})
            return
        frame = b64encode(heard.frame).decode()
        answer = {"after_us": round(heard.after_s * 1e6), "rssi": heard.rssi, "snr": heard.snr, "frame": frame}
        await self._say(writer, {"t": "rx", "id": request.id, **answer})

    async def _say(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        writer.write(msgspec.json.encode(message) + b"\n")
        with suppress(OSError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await writer.drain()


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, None at the end. FormatError when it is over-long."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise FormatError(f"a line of over {MAX_LINE} bytes; an exchange takes less than 1000") from None
    return line


def _read(decoder: "msgspec.json.Decoder[T]", line: bytes) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"no valid message: {error}") from None
