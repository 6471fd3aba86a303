"""Downlinks on port 34: whose they are, whether they are new, what they change, and only then an answer."""

import logging
from collections.abc import Callable
from dataclasses import replace

from adapter_agent.keys.handling import Circumstances, handle, refusal
from adapter_agent.keys.holding import Holding, Partner
from adapter_agent.keys.ring import KeyRing
from adapter_agent.keys.uplinks import KeyUplinks
from meterwire.curves import Curve
from meterwire.errors import AuthenticationError, FormatError, MeterspanError
from meterwire.ids import DevEUI
from meterwire.key_messages import Down, ExchangeConfirm, Result, Up, decode, verify

log = logging.getLogger(__name__)


class KeyRequests:
    """`date` gives the trusted date in Unix seconds, or None; `entropy` that many random octets."""

    def __init__(
        self,
        ring: KeyRing,
        uplinks: KeyUplinks,
        dev_eui: DevEUI,
        *,
        date: Callable[[], float | None],
        entropy: Callable[[int], bytes],
        curves: frozenset[Curve] = frozenset(Curve),
    ) -> None:
        self._ring, self._uplinks, self._dev_eui = ring, uplinks, dev_eui
        self._date, self._entropy, self._curves = date, entropy, curves

    def take(self, payload: bytes) -> None:
        """One downlink, whatever is in it. What is not authentic changes nothing and gets no answer."""
        sender = self._sender(payload)
        if sender is None:
            log.warning("a downlink on port 34 is not authentic under any transport key held here")
            return
        try:
            request = decode(payload, up=False)
        except FormatError as error:
            log.warning("a downlink on port 34 is unreadable: %s", error, extra={"partner": sender.name})
            return
        assert not isinstance(request, Up)  # it went down
        if payload == sender.request:
            self._uplinks.answer(sender.answer)
        elif _is_new(request, sender):
            self._accept(request, payload, sender)
        else:
            log.warning("a request on port 34 is not newer than the last one", extra=_facts(request, sender))
            self._refuse(request, sender, Result.OLD_SEQUENCE)
            self._uplinks.report(sender.slot)

    def heard(self, payload: bytes) -> None:
        """A downlink on port 34 that is not about keys: an authentic one replaces the transport key before its own."""
        sender = self._sender(payload)
        if sender is None:
            return
        holding = _heard(self._ring.holding, sender)
        if holding == self._ring.holding:
            return
        try:
            self._ring.change(holding)
        except MeterspanError as error:  # both stay, and the next one that is heard tries again
            log.warning("a transport key that is replaced cannot be dropped: %s", error, extra={"code": error.code})

    def _sender(self, payload: bytes) -> Partner | None:
        for partner in self._ring.holding.partners:
            try:
                verify(payload, partner.macs.down, self._dev_eui)
            except AuthenticationError:
                continue
            return partner
        return None

    def _accept(self, request: Down, payload: bytes, sender: Partner) -> None:
        given = Circumstances(self._dev_eui, self._date(), self._entropy, self._curves)
        outcome = handle(request, sender, self._ring.holding, given)
        answer = outcome.answer.encode(sender.macs.up, self._dev_eui)
        reached = replace(
            sender, seq=request.seq, request=payload, answer=answer, told=False, candidate=outcome.candidate
        )
        try:
            self._ring.change(_heard(outcome.holding.with_partner(sender, reached), reached))
        except MeterspanError as error:
            log.error("a key cannot be stored: %s", error, extra={**_facts(request, sender), "code": error.code})
            self._refuse(request, sender, Result.CANNOT_BE_STORED)
            return
        result = getattr(outcome.answer, "result", Result.STORED)
        level = logging.INFO if result is Result.STORED else logging.WARNING
        log.log(level, "a request on port 34 is answered", extra={**_facts(request, sender), "result": result.name})
        self._uplinks.answer(answer)

    def _refuse(self, request: Down, sender: Partner, result: Result) -> None:
        self._uplinks.answer(refusal(request, result).encode(sender.macs.up, self._dev_eui))


def _is_new(request: Down, sender: Partner) -> bool:
    if request.seq > sender.seq:
        return True
    awaited = sender.candidate
    return isinstance(request, ExchangeConfirm) and awaited is not None and awaited.seq == request.seq == sender.seq


def _heard(holding: Holding, sender: Partner) -> Holding:
    """Without the transport key that `sender` has replaced: it is used now."""
    before = holding.partners[: holding.partners.index(sender)]
    kept = tuple(one for one in before if one.slot != sender.slot)
    return replace(holding, partners=(*kept, *holding.partners[len(before) :]))


def _facts(request: Down, sender: Partner) -> dict[str, object]:
    return {
        "request": type(request).__name__,
        "partner": sender.name,
        "seq": request.seq,
        "slot": request.place.slot,
        "purpose": int(request.place.purpose),
    }
