"""An adapter that agrees keys with the concentrator on the bench, and the orders of the portal."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from concentrator_agent.keys.exchange import Exchange
from meterwire import messages
from meterwire.config_records import CounterReport, encode
from meterwire.ids import DevEUI
from meterwire.key_messages import Place
from meterwire.messages import RekeyCommand, Result
from meterwire.seal import InnerKey, Key16, Value, ValuesSealer
from tests.concentrator_agent.lab import Lab, Mote, wrapped
from tests.portal.bridge.keyholder import Keyholder

TRANSPORT = Key16(b"T" * 16)
PLACE = Place(1, 2)


class Partner:
    """A joined mote with the keys of an adapter; `lab` may be another one after a restart."""

    def __init__(self, lab: Lab, mote: Mote | None = None) -> None:
        self.lab, self.mote = lab, mote or Mote()
        self.dev_eui = DevEUI.parse(self.mote.dev_eui)
        self.keys = Keyholder(self.dev_eui, TRANSPORT)
        self.counter: Iterator[int] = itertools.count(1000)
        self.spoken: list[bytes] = []
        self.quality: messages.TimeQuality = "ntp"
        self._answers: dict[bytes, bytes] = {}

    @property
    def exchange(self) -> Exchange:
        exchange = self.lab.ring.of(self.mote.dev_eui).exchange
        assert exchange is not None
        return exchange

    async def move_in(self, transport: bool = True) -> "Partner":
        wrap = wrapped(TRANSPORT.reveal(), self.mote.dev_eui, "transport") if transport else None
        await self.lab.devices(self.mote.entry(transport_key=wrap))
        await self.lab.join(self.mote)
        (report,) = encode(0, [CounterReport(next(self.counter))])
        await self.say(report, 33)
        return self

    async def order(self, seq: int = 1, place: Place = PLACE, curve: Any = "x25519", **changes: Any) -> Result:
        now = self.lab.clock.time()
        command = RekeyCommand(
            messages.ulid(now, random.randbytes(10)),
            messages.timestamp(now),
            self.mote.dev_eui,
            seq,
            place.octet,
            curve,
        )
        return await self.lab.partner.order(msgspec.structs.replace(command, **changes))

    async def say(self, payload: bytes = b"\x01", fport: int = 19) -> bytes | None:
        """One uplink; what came down on port 34 in its window."""
        sent = await self.lab.hear(self.mote.frame(payload, fport, confirmed=True, ack=True), quality=self.quality)
        for transmission in sent:
            for fcnt in range(64):
                try:
                    frame = self.mote.read(transmission.phy, fcnt)
                except Exception:
                    continue
                if frame.fport == 34:
                    return frame.payload
        return None

    async def talk(self, payload: bytes | None = None) -> None:
        """The adapter answers whatever comes down, until nothing does."""
        heard = payload or await self.say()
        for _ in range(6):
            if heard is None:
                return
            heard = await self.say(self.answer(heard), 34)

    def answer(self, request: bytes) -> bytes:
        """What the adapter says to it; to a repetition, the same again."""
        if request not in self._answers:
            self._answers[request] = self.keys.hears(request)
        self.spoken.append(self._answers[request])
        return self._answers[request]

    async def values(self, place: Place = PLACE, key: InnerKey | None = None, reading: int = 4711) -> bytes | None:
        """A telegram under the key of that place."""
        sealer = ValuesSealer(key or self.keys.held[place], place.slot, self.dev_eui)
        return await self.say(sealer.seal(next(self.counter), [Value(1, reading), Value(27, 60)]), 16)

    def opened(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(entry.body) for entry in self.lab.target.after(0, 100)]

    def outcomes(self) -> list[tuple[str | None, dict[str, Any]]]:
        return [(event.reason, event.detail) for event in self.lab.reported("rekeyed")]
