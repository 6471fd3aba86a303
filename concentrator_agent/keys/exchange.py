"""One agreement of a key with an adapter, as the initiator: what is sent next, and what an answer leads to. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from meterwire.curves import PrivateKey
from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import (
    Down,
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    ExchangeResult,
    KeyReport,
    Place,
    Result,
    Up,
)
from meterwire.seal import InnerKey

OK: Final = "ok"
TIMEOUT: Final = "timeout"


class Stage(StrEnum):
    OFFERED = "offered"  # our public key is on its way
    AGREED = "agreed"  # both have the key, the confirmation is on its way
    STORED = "stored"  # the adapter has it; nothing was heard under it yet
    PROVING = "proving"  # it was heard, and the adapter is told so
    OVER = "over"


WAITING: Final = frozenset({Stage.OFFERED, Stage.AGREED, Stage.PROVING})


@dataclass(frozen=True)
class Exchange:
    """`private` is the ephemeral key of the offer, gone once the key is agreed; `check` is then that key's value.

    `shared` is the check value of the transport key it goes under, with which sequence numbers begin anew. `reason`
    is the outcome for the portal, "" before there is one, and `told` whether the outbox has it. Times in Unix seconds.
    """

    seq: int
    place: Place
    not_before: int | None
    not_after: int | None
    shared: bytes
    begun_at: float
    due_at: float
    private: PrivateKey | None
    stage: Stage = Stage.OFFERED
    check: bytes = b""
    attempts: int = 0
    reason: str = ""
    told: bool = True

    def ended(self, reason: str) -> "Exchange":
        """Over, with an outcome that the portal has not heard yet."""
        return replace(self, stage=Stage.OVER, private=None, reason=reason, told=False)

    def moved(self, stage: Stage, now: float) -> "Exchange":
        """On to another stage, whose request is due at once."""
        return replace(self, stage=stage, private=None, attempts=0, due_at=now)

    def stored(self) -> "Exchange":
        """The adapter has the key: that is the outcome."""
        return replace(self, stage=Stage.STORED, reason=OK, told=False)

    def request(self) -> Down | None:
        """What the adapter is to be sent, always the same in one stage; None when nothing."""
        if self.stage is Stage.OFFERED and self.private is not None:
            return ExchangeOffer(self.seq, self.place, self.private.public)
        if self.stage in (Stage.AGREED, Stage.PROVING):
            seq = self.seq + (self.stage is Stage.PROVING)
            return ExchangeConfirm(seq, self.place, self.not_before, self.not_after, self.check)
        return None

    def answered(self, message: Up, dev_eui: DevEUI, now: float) -> tuple["Exchange", InnerKey | None]:
        """After an authentic message of the adapter: itself when that says nothing new, and a key just agreed."""
        match message:
            case ExchangeAnswer(seq, place) if (self.stage, self.seq, self.place) == (Stage.OFFERED, seq, place):
                return self._agree(message, dev_eui, now)
            case ExchangeResult(seq, place) if place == self.place:
                return self._result(seq, message.result, message.check), None
            case KeyReport() if self.stage is Stage.AGREED:
                # Makes good for a result that was lost.
                if any(held.place == self.place and held.check == self.check for held in message.keys):
                    return self.stored(), None
            case KeyReport() if self.stage is Stage.OVER and self.reason == OK and message.seq <= self.seq:
                # The proof never got there, so the adapter will go back to the old key.
                return self.moved(Stage.PROVING, now), None
        return self, None

    def heard(self, now: float) -> "Exchange":
        """A telegram was opened under its key, which also tells that the adapter stored it."""
        if self.stage is Stage.STORED:
            return self.moved(Stage.PROVING, now)
        if self.stage is Stage.AGREED or (self.stage is Stage.OVER and self.reason == TIMEOUT):
            return self.stored().moved(Stage.PROVING, now)
        return self

    def _agree(self, message: ExchangeAnswer, dev_eui: DevEUI, now: float) -> tuple["Exchange", InnerKey | None]:
        assert self.private is not None
        try:
            key = agreed_key(
                self.private,
                message.public,
                initiator=self.private.public,
                responder=message.public,
                dev_eui=dev_eui,
                place=self.place,
                seq=self.seq,
            )
        except ValueOutOfRange:  # another curve, or a point of small order
            return self.ended("curve_unknown"), None
        return replace(self.moved(Stage.AGREED, now), check=key.check_value()), key

    def _result(self, seq: int, result: Result, check: bytes) -> "Exchange":
        if self.stage is Stage.PROVING and seq == self.seq + 1:
            return replace(self, stage=Stage.OVER)
        if seq != self.seq or self.stage not in (Stage.OFFERED, Stage.AGREED):
            return self
        if result is not Result.STORED:
            # A late repetition of the offer is refused as old, though the adapter has taken the confirmation.
            late = self.stage is Stage.AGREED and result is Result.OLD_SEQUENCE
            return self if late else self.ended(result.name.lower())
        if self.stage is Stage.AGREED:
            return self.stored() if check == self.check else self.ended("wrong_check_value")
        return self
