"""What there is to say on port 34: answers first, then reports, one at a time and not for ever."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapter_agent.keys.holding import Holding, Partner
from adapter_agent.keys.ring import KeyRing
from adapter_agent.pace import Pace
from edge.clock import Clock
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.key_messages import HeldKey, KeyPurpose, KeyReport, Place
from meterwire.key_messages.up import MAX_KEYS

log = logging.getLogger(__name__)

AGAIN_S: Final = (5.0, 900.0)
TRIES: Final = 12
MAX_ANSWERS: Final = 8


class KeyUplinks:
    """`date` gives the trusted date in Unix seconds, or None: which key comes first depends on it."""

    def __init__(self, ring: KeyRing, dev_eui: DevEUI, clock: Clock, date: Callable[[], float | None]) -> None:
        self._ring, self._dev_eui, self._clock, self._date = ring, dev_eui, clock, date
        self._answers = [partner.answer for partner in ring.holding.partners if not partner.told]
        self._reports: list[int] = []  # slots of the transport keys
        self._epoch = 0
        self._pace = Pace(*AGAIN_S)

    @property
    def due(self) -> float | None:
        """When to send the next one (monotonic seconds); None when there is nothing to say."""
        return self._pace.due if self._answers or self._reports else None

    def look(self, epoch: int) -> None:
        """In a new session every partner gets a report."""
        if epoch != self._epoch:
            self._epoch = epoch
            for partner in self._ring.holding.partners:
                self.report(partner.slot)

    def answer(self, payload: bytes) -> None:
        """Say this; of too many answers the oldest is left out, and its request will come again."""
        if payload not in self._answers:
            self._answers = [*self._answers, payload][-MAX_ANSWERS:]
        self._pace.restart(self._clock.monotonic())

    def report(self, slot: int) -> None:
        """Tell the partner whose transport key has this slot what is held."""
        if slot not in self._reports:
            self._reports.append(slot)
        self._pace.restart(self._clock.monotonic())

    def next(self) -> bytes | None:
        """The payload to send."""
        if self._answers:
            return self._answers[0]
        partners = self._ring.holding.partners
        while self._reports:
            partner = next((one for one in partners if one.slot == self._reports[0]), None)
            if partner is not None:
                report = report_of(self._ring.holding, partner, self._date())
                return report.encode(partner.macs.up, self._dev_eui)
            self._reports.pop(0)  # revoked meanwhile
        return None

    def arrived(self, payload: bytes) -> None:
        """The network has acknowledged it."""
        self._drop(payload)
        self._pace.restart(self._clock.monotonic() + AGAIN_S[0])
        for partner in self._ring.holding.partners:
            if partner.answer == payload and not partner.told:
                self._remember(partner)

    def failed(self, payload: bytes) -> None:
        """It may not have arrived: later again, but not for ever, since the partner repeats what it asks."""
        self._pace.later(self._clock.monotonic())
        if self._pace.count >= TRIES:
            log.warning("a message on port 34 was never acknowledged", extra={"tries": TRIES})
            self._drop(payload)
            self._pace.restart(self._clock.monotonic() + AGAIN_S[1])

    def _drop(self, payload: bytes) -> None:
        if payload[0] == KeyReport.type:
            self._reports = self._reports[1:]
        else:
            self._answers = [answer for answer in self._answers if answer != payload]

    def _remember(self, partner: Partner) -> None:
        try:
            self._ring.change(self._ring.holding.with_partner(partner, replace(partner, told=True)))
        except MeterspanError as error:  # it will be said once more after a restart, and no harm is done
            log.warning("what was answered cannot be kept: %s", error)


def report_of(holding: Holding, partner: Partner, now: float | None) -> KeyReport:
    """What is held for `partner`, to the portal everything, the key that would seal first in front."""
    keys = [
        HeldKey(Place(KeyPurpose[entry.purpose.upper()], entry.slot, entry.key.tag_length), entry.key.check_value())
        for entry in holding.memory().ranked(now)
        if (partner.is_portal or entry.partner == partner.name) and entry.purpose.upper() in KeyPurpose.__members__
    ]
    if partner.is_portal:
        keys += [HeldKey(Place(KeyPurpose.METER, slot), key.check_value()) for slot, key in holding.meters.items()]
    return KeyReport(partner.seq, tuple(keys[:MAX_KEYS]))
