"""An adapter's keys on a clock and a file of the test, and partners that speak port 34 with it."""

from itertools import count

from adapter_agent.keys import stored
from adapter_agent.keys.holding import Holding, Partner
from adapter_agent.keys.requests import KeyRequests
from adapter_agent.keys.ring import KeyRing
from adapter_agent.keys.trial import SECONDS, TELEGRAMS, Trial
from adapter_agent.keys.uplinks import KeyUplinks
from edge.clock import ManualClock
from edge.sealedfile import SealedFileError
from meterwire.curves import Curve, PrivateKey
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import (
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    KeyDelivery,
    KeyPurpose,
    KeyRevoke,
    Place,
    decode,
    mac_keys,
    verify,
    wrap,
)
from meterwire.keymemory import KeyEntry, KeyMemory
from meterwire.seal import InnerKey, Key16
from tests.adapter_agent.cast import BEGIN, DEV_EUI, JOIN_EUI
from tests.adapter_agent.radio.network import Memory

YEAR = 365 * 86_400
PORTAL, CONCENTRATOR = Key16(bytes([0xA0] * 16)), Key16(bytes([0xB0] * 16))
EUI = "00800000a0001234"


def inner(slot: int, tag_length: int = 4) -> Place:
    return Place(KeyPurpose.INNER, slot, tag_length)


def key(fill: int) -> Key16:
    return Key16(bytes([fill] * 16))


def factory() -> Holding:
    """What the hand-over brings: one inner key in slot 1, a transport key of each partner."""
    first = KeyEntry(1, InnerKey(key(1).reveal()), "inner", "portal", BEGIN - 3600, BEGIN + YEAR)
    partners = (Partner("portal", 0, PORTAL), Partner(EUI, 1, CONCENTRATOR))
    return Holding(key(9), (first,), partners)


class File(Memory):
    """`full`: refuses to be written."""

    full = False

    def write(self, content: bytes) -> None:
        if self.full:
            raise SealedFileError("no space left")
        super().write(content)


class Adapter:
    """`date` is what it believes; `restart` is a power failure."""

    def __init__(self, holding: Holding | None = None, curves: frozenset[Curve] = frozenset(Curve)) -> None:
        self.clock, self.file, self.date, self.curves = ManualClock(), File(), BEGIN, curves
        self._random = count(1)
        self.file.write(stored.encode(holding or factory(), DEV_EUI, JOIN_EUI))
        self.restart()

    def load(self) -> KeyRing:
        holding, *_ = stored.decode(self.file.content, "the test")
        return KeyRing(self.file, lambda changed: stored.encode(changed, DEV_EUI, JOIN_EUI), holding)

    def restart(self) -> None:
        self.ring = self.load()
        self.uplinks = KeyUplinks(self.ring, DEV_EUI, self.clock, lambda: self.date)
        self.requests = KeyRequests(
            self.ring, self.uplinks, DEV_EUI, date=lambda: self.date, entropy=self._entropy, curves=self.curves
        )
        self.trial = Trial(self.ring, self.uplinks)

    @property
    def memory(self) -> KeyMemory:
        return self.ring.memory

    def seal(self, telegrams: int = 1) -> int:
        """The slot that sealed the last one."""
        for _ in range(telegrams):
            entry = self.memory.choose("inner", self.date)
            self.trial.sealed(entry, self.date)
        return entry.slot

    def seal_unheard(self) -> None:
        """As many telegrams, and as long, as end a trial."""
        self.seal()
        self.date += SECONDS
        self.seal(TELEGRAMS)

    def said(self) -> list[bytes]:
        """Everything there is to say, each acknowledged at once."""
        payloads = []
        while (payload := self.uplinks.next()) is not None:
            payloads.append(payload)
            self.uplinks.arrived(payload)
        return payloads

    def _entropy(self, size: int) -> bytes:
        return bytes([next(self._random)] * size)


class Far:
    """A partner; `seq` is the last one it used."""

    def __init__(self, adapter: Adapter, transport: Key16 = PORTAL) -> None:
        self.adapter, self.transport, self.seq = adapter, transport, 0
        self.macs = mac_keys(transport)
        self.own: PrivateKey | None = None

    def send(self, message) -> list:
        """What the adapter says to it, decoded, each authentic."""
        self.adapter.requests.take(message.encode(self.macs.down, DEV_EUI))
        return self.hear()

    def hear(self) -> list:
        answers = []
        for payload in self.adapter.said():
            verify(payload, self.macs.up, DEV_EUI)
            answers.append(decode(payload, up=True))
        return answers

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def delivery(self, place: Place, new: Key16, *, begin=None, end=int(BEGIN) + YEAR, check=None) -> KeyDelivery:
        wrapped = wrap(self.transport, new)
        return KeyDelivery(self.next(), place, begin, end, wrapped, check or new.check_value())

    def deliver(self, place: Place, new: Key16, **changes):
        [answer] = self.send(self.delivery(place, new, **changes))
        return answer

    def offer(self, place: Place, curve: Curve = Curve.X25519) -> list:
        self.own = PrivateKey.generate(curve, bytes([0x40 + self.seq] * 48))
        return self.send(ExchangeOffer(self.next(), place, self.own.public))

    def agreed(self, answer: ExchangeAnswer) -> InnerKey:
        return agreed_key(
            self.own,
            answer.public,
            initiator=self.own.public,
            responder=answer.public,
            dev_eui=DEV_EUI,
            place=answer.place,
            seq=answer.seq,
        )

    def confirm(self, answer: ExchangeAnswer, *, begin=None, end=int(BEGIN) + YEAR, check=None) -> list:
        check = check or self.agreed(answer).check_value()
        return self.send(ExchangeConfirm(answer.seq, answer.place, begin, end, check))

    def prove(self, place: Place, proven: Key16):
        [answer] = self.send(ExchangeConfirm(self.next(), place, None, None, proven.check_value()))
        return answer

    def revoke(self, place: Place):
        [answer] = self.send(KeyRevoke(self.next(), place))
        return answer
