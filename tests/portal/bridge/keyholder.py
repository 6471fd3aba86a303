"""An adapter's side of port 34 in a few lines, after docs/formats.md: it shares only the codec with the product."""

import secrets
from dataclasses import dataclass, field

from meterwire.curves import Curve, PrivateKey
from meterwire.errors import AuthenticationError
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import (
    DeliveryAnswer,
    Down,
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    ExchangeResult,
    HeldKey,
    KeyDelivery,
    KeyPurpose,
    KeyReport,
    KeyRevoke,
    Message,
    Place,
    Result,
    RevokeAnswer,
    decode,
    mac_keys,
    unwrap,
    verify,
)
from meterwire.seal import InnerKey, Key16


@dataclass
class Keyholder:
    """`held` by place, the key that seals first."""

    dev_eui: DevEUI
    transport: Key16
    held: dict[Place, InnerKey] = field(default_factory=dict)
    agreed: dict[int, InnerKey] = field(default_factory=dict)
    proved: list[Place] = field(default_factory=list)
    last: int = 0
    coming: Key16 | None = None  # a new transport key, until a request comes under it

    def hears(self, payload: bytes) -> bytes:
        """Its answer."""
        if self.coming is not None and fits(payload, self.coming, self.dev_eui):
            self.transport, self.coming, self.last = self.coming, None, 0
        verify(payload, mac_keys(self.transport).down, self.dev_eui)
        return self.says(self._answer(decode(payload, up=False)))

    def says(self, message: Message) -> bytes:
        return message.encode(mac_keys(self.transport).up, self.dev_eui)

    def report(self) -> bytes:
        return self.says(KeyReport(self.last, tuple(HeldKey(at, key.check_value()) for at, key in self.held.items())))

    def _answer(self, message: Message | Down) -> Message:
        assert isinstance(message, KeyDelivery | ExchangeOffer | ExchangeConfirm | KeyRevoke)
        if message.seq < self.last:
            return DeliveryAnswer(message.seq, message.place, Result.OLD_SEQUENCE, bytes(3))
        self.last = message.seq
        match message:
            case KeyDelivery():
                key = InnerKey(unwrap(self.transport, message.wrapped).reveal(), message.place.tag_length)
                if message.place.purpose is KeyPurpose.TRANSPORT:
                    self.coming = Key16(key.reveal())
                    return DeliveryAnswer(message.seq, message.place, Result.STORED, key.check_value())
                self.held = {message.place: key, **self.held}
                return DeliveryAnswer(message.seq, message.place, Result.STORED, key.check_value())
            case ExchangeOffer():
                private = PrivateKey.generate(Curve(message.public.curve), secrets.token_bytes(48))
                self.agreed[message.seq] = agreed_key(
                    private,
                    message.public,
                    initiator=message.public,
                    responder=private.public,
                    dev_eui=self.dev_eui,
                    place=message.place,
                    seq=message.seq,
                )
                return ExchangeAnswer(message.seq, message.place, private.public)
            case ExchangeConfirm() if message.seq in self.agreed:
                key = self.agreed.pop(message.seq)
                assert key.check_value() == message.check
                self.held = {message.place: key, **self.held}
                return ExchangeResult(message.seq, message.place, Result.STORED, key.check_value())
            case ExchangeConfirm():
                assert self.held[message.place].check_value() == message.check
                self.proved.append(message.place)
                return ExchangeResult(message.seq, message.place, Result.STORED, message.check)
            case KeyRevoke():
                self.held.pop(message.place, None)
                return RevokeAnswer(message.seq, message.place, Result.STORED)


def fits(payload: bytes, transport: Key16, dev_eui: DevEUI) -> bool:
    try:
        verify(payload, mac_keys(transport).down, dev_eui)
    except AuthenticationError:
        return False
    return True
