"""A daybook in a folder, a clock that moves when told, and the portal's half of the conversation."""

from collections.abc import Iterable
from pathlib import Path

from adapter_agent.dates import Dates
from adapter_agent.daybook import Daybook, DayFolder, SigningKeyFile, Uplink
from adapter_agent.daybook.memory import Memory
from edge.clock import ManualClock
from meterwire import key_messages, signed_day
from meterwire.curves import Curve
from meterwire.seal import Key16
from meterwire.signed_day import DayRequest, LeafRuns, Message, SignatureHalf, Statement, Wanted, leaf
from tests.adapter_agent import cast
from tests.adapter_agent.radio.network import Memory as File

DAY_S = 86_400.0
TRANSPORT = Key16(bytes(range(32, 48)))
BEGIN_DAY = signed_day.day_number(cast.BEGIN)


class Cellar:
    """Everything a restart keeps is in `folder` and the files; `book` is the running daybook."""

    def __init__(self, folder: Path, curve: Curve = Curve.P256) -> None:
        self.clock, self.folder, self.curve = ManualClock(), folder, curve
        self.date, self.memory, self.signing = File(), File(), File()
        self.transport: Key16 | None = TRANSPORT
        self.trusted = True
        self.sent: dict[int, bytes] = {}
        self.counter = 1000
        self.start()

    def start(self) -> None:
        """Power comes back."""
        memory = Memory(self.memory, cast.DEV_EUI)
        signer = SigningKeyFile(self.signing, bytes_of(7)).load(self.curve, memory.now.seq)
        self.public = signer.key.public
        self.book = Daybook(
            cast.DEV_EUI,
            DayFolder(self.folder, cast.DEV_EUI),
            memory,
            signer,
            transport=lambda: self.transport,
            dates=Dates(self.clock, self.date, trusted=self.trusted),
            clock=self.clock,
        )

    def restart(self, skip: int = 0) -> None:
        """Power fails, and the reserved counters are skipped."""
        self.book.close()
        self.counter += skip
        self.start()

    def send(self, count: int = 1) -> None:
        """So many telegrams, as the sender does: noted first."""
        for _ in range(count):
            payload = b"\x11" + (self.counter & 0xFFFF).to_bytes(2) + bytes([self.counter % 251]) * 13
            self.book.note(self.counter, 16, payload)
            self.sent[self.counter] = payload
            self.counter += 1

    async def pass_days(self, days: float) -> None:
        await self.clock.advance(days * DAY_S)

    async def uplinks(self, acknowledged: bool = True, most: int = 100) -> list[Uplink]:
        """What the daybook sends from now on, until it rests."""
        found: list[Uplink] = []
        while len(found) < most and (due := self.book.due()) is not None:
            if due > self.clock.monotonic() + DAY_S / 2:
                break
            await self.clock.advance(max(0.0, due - self.clock.monotonic()))
            uplink = self.book.take()
            if uplink is None:
                if self.book.due() == due:
                    break
                continue
            found.append(uplink)
            self.book.done(uplink, acknowledged, 0.1)
        return found

    async def frames(self) -> list[Message]:
        return [signed_day.decode(one.payload, up=True) for one in await self.uplinks() if one.port == 34]

    def ask(self, day: int, wanted: Wanted, first: int = 0, count: int = 0, key: Key16 = TRANSPORT) -> None:
        """A request arrives."""
        request = DayRequest(day, wanted, first, count)
        self.book.request(signed_day.encode(request, key_messages.mac_keys(key).down, cast.DEV_EUI))

    def verify(self, frames: Iterable[Message], without: Iterable[int] = ()) -> Statement:
        """The statement that the frames sign, made anew from what arrived; AuthenticationError when it does not fit."""
        halves = {one.half: one for one in frames if isinstance(one, SignatureHalf)}
        runs = [run for one in frames if isinstance(one, LeafRuns) for run in one.runs]
        head = halves[0]
        counters = [c for c in sorted(self.sent) if head.first <= c <= head.last and c not in set(without)]
        if runs:
            counters = [counter for counter in counters if any(counter in run for run in runs)]
        leaves = [(counter, leaf(cast.DEV_EUI, counter, 16, self.sent[counter])) for counter in counters]
        statement = Statement.of(cast.DEV_EUI, head.day, leaves)
        assert (statement.leaves, statement.first, statement.last) == (head.leaves, head.first, head.last)
        self.public.verify(halves[0].octets + halves[1].octets, statement.message)
        return statement


def bytes_of(octet: int):
    return lambda count: bytes([octet]) * count
