"""A simulated meter on a wired M-Bus that encrypts by itself (security mode 5 or 7) and answers as a slave."""

import asyncio
import os
import tty
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from adapter_agent.simulation.measurement import Mains
from edge.clock import Clock
from meterwire.errors import FormatError
from meterwire.ids import MeterId
from meterwire.seal import Key16
from meterwire.wmbus import Address, LongFrame, decode_long, seal_5, seal_7
from meterwire.wmbus.transport import encode_header
from meterwire.wmbus.wired import (
    ACKNOWLEDGED,
    FRAME_COUNT_BIT,
    LONG_START,
    REQ_UD2,
    RSP_UD,
    SELECT,
    SELECTED,
    SHORT_LENGTH,
    SHORT_START,
    SND_NKE,
    TEST,
    decode_short,
)

MAX_REQUEST: Final = 64

_ROWS: Final = (("0603", "import", 6), ("06833C", "export", 6), ("042B", "power", 4))  # DIF and VIF, octets of data


class MbusMeter:
    """Answers SND_NKE, selection by its whole secondary address, and REQ_UD2. Without a `key` it does not encrypt."""

    def __init__(
        self, identity: MeterId, mains: Mains, key: Key16 | None, *, mode: Literal[5, 7] = 7, primary: int = 1
    ) -> None:
        self.address = Address.of_meter(identity)
        self.counter = self.access = 0
        self._mains, self._key, self._mode, self._primary = mains, key, mode, primary
        self._selected = False

    def answer(self, request: bytes, unix: float) -> bytes:
        """What the meter says to a whole frame; nothing to one that is not for it, or damaged."""
        try:
            if request[:1] == bytes((LONG_START,)):
                return self._select(decode_long(request))
            control, address = decode_short(request)
        except FormatError:
            return b""
        if address not in (self._primary, TEST) and not (address == SELECTED and self._selected):
            return b""
        if control == SND_NKE:
            return bytes((ACKNOWLEDGED,))
        if control & ~FRAME_COUNT_BIT == REQ_UD2 & ~FRAME_COUNT_BIT:
            return LongFrame(RSP_UD, self._primary, self.telegram(unix)).encode()
        return b""

    def telegram(self, unix: float) -> bytes:
        """The layers from the CI-field on, under the next access number and message counter."""
        self.access = (self.access + 1) % 256
        self.counter += 1
        records = self.records(unix)
        if self._key is None:
            return encode_header(address=self.address, access=self.access, mode=0, blocks=0) + records
        if self._mode == 5:
            return seal_5(records, self.address, self._key, access=self.access, long=True)
        return seal_7(records, self.address, self._key, access=self.access, counter=self.counter, long=True)

    def records(self, unix: float) -> bytes:
        """Import and export in Wh, power in W, rounded towards zero."""
        return b"".join(
            bytes.fromhex(head) + self.value(quantity, unix).to_bytes(size, "little", signed=True)
            for head, quantity, size in _ROWS
        )

    def value(self, quantity: str, unix: float) -> int:
        """What the meter shows of `import`, `export` (Wh) or `power` (W)."""
        thousandths = self._mains.number(quantity, unix)
        return thousandths // 1000 if thousandths >= 0 else -(-thousandths // 1000)

    def _select(self, frame: LongFrame) -> bytes:
        if frame.address != SELECTED or frame.upper[:1] != bytes((SELECT,)):
            return b""
        self._selected = _covers(frame.upper[1:], self.address.header)
        return bytes((ACKNOWLEDGED,)) if self._selected else b""


class Bus:
    """A pseudo-terminal at `path` with one meter behind it, which answers until the block ends.

    `heard` and `said` count the octets of the meter's side.
    """

    def __init__(self, meter: MbusMeter, path: Path, clock: Clock) -> None:
        self.requests: list[bytes] = []
        self.connected = True
        self.heard = self.said = 0
        self._meter, self._path, self._clock = meter, path, clock
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self._path.symlink_to(os.ttyname(self._theirs))
        asyncio.get_running_loop().add_reader(self._ours, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        self._path.unlink(missing_ok=True)
        os.close(self._ours)
        os.close(self._theirs)

    def _hear(self) -> None:
        data = os.read(self._ours, 4096)
        self.heard += len(data)
        self._buffer += data
        while (request := self._request()) is not None:
            self.requests.append(request)
            answer = self._meter.answer(request, self._clock.time()) if self.connected else b""
            if answer:
                self.said += len(answer)
                os.write(self._ours, answer)
        del self._buffer[:-MAX_REQUEST]

    def _request(self) -> bytes | None:
        while self._buffer and self._buffer[0] not in (SHORT_START, LONG_START):
            del self._buffer[0]
        if len(self._buffer) < SHORT_LENGTH:
            return None
        size = SHORT_LENGTH if self._buffer[0] == SHORT_START else self._buffer[1] + 6
        if len(self._buffer) < size:
            return None
        request = bytes(self._buffer[:size])
        del self._buffer[:size]
        return request


def _covers(mask: bytes, address: bytes) -> bool:
    """Whether a selection fits: F for any digit of the number, FF for any maker, version or type."""
    if len(mask) != len(address):
        return False
    number = zip(mask[:4].hex(), address[:4].hex(), strict=True)
    rest = zip(mask[4:], address[4:], strict=True)
    return all(one in ("f", other) for one, other in number) and all(one in (0xFF, other) for one, other in rest)
