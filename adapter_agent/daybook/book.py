"""What was sent each day, its signature when the day is over, and what the portal asks for later."""

import logging
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from adapter_agent.dates import Dates
from adapter_agent.daybook.answers import Answers, Uplink
from adapter_agent.daybook.folder import DayFolder
from adapter_agent.daybook.log import Kept
from adapter_agent.daybook.memory import Memory, SignedDay
from adapter_agent.daybook.signing import Signer
from adapter_agent.pace import Pace
from edge.clock import Clock
from edge.sealedfile import SealedFileError
from meterwire import key_messages, signed_day
from meterwire.ids import DevEUI
from meterwire.seal import Key16
from meterwire.signed_day import PORT, SigningKey, Statement, begin_of, day_number, runs_of

log = logging.getLogger(__name__)

SIGN_FROM_S: Final = 600.0  # after midnight UTC: not all adapters sign at once
SIGN_WITHIN_S: Final = 6 * 3_600.0
AGAIN_S: Final = (60.0, 3_600.0)  # an uplink of ours that was not acknowledged
AIR_TO_PAUSE: Final = 400.0  # an uplink of ours leaves the air alone for so many of its airtimes (a quarter per cent)
LEAST_PAUSE_S: Final = 30.0
MAX_AUTOMATIC: Final = 8  # frames that tell of a day unasked
NEAR: Final = 1  # a date that goes back by so many days stays in the later day
MOST_FAULTS: Final = 5  # so often a day's file is tried before it is set aside
_FAULTS: Final = (OSError, SealedFileError)


class Daybook:
    """Its uplinks come after everything else, one at a time: `due`, `take`, then `done`.

    `transport` is the key-transport key that the adapter shares with the portal, None while there is none: days are
    signed then, but nothing of it is sent.
    """

    def __init__(
        self,
        dev_eui: DevEUI,
        folder: DayFolder,
        memory: Memory,
        signer: Signer,
        *,
        transport: Callable[[], Key16 | None],
        dates: Dates,
        clock: Clock,
    ) -> None:
        self._dev_eui, self._folder, self._memory, self._signer = dev_eui, folder, memory, signer
        self._transport, self._dates, self._clock = transport, dates, clock
        self._answers = Answers(folder, memory, clock)
        self._pace = Pace(*AGAIN_S)
        self._undated = False
        self._faults: Counter[int] = Counter()  # by day
        if memory.now.seq != signer.seq:
            memory.now.seq = signer.seq
            memory.save()

    def note(self, counter: int, port: int, payload: bytes) -> None:
        """A telegram is about to leave. Where it cannot be kept it leaves all the same, and the day lacks its leaf."""
        now = self._dates.now()
        if now is None:
            self._say_undated()
            return
        self._undated = False
        day = day_number(now)
        try:
            day = self._day(day)
            if counter <= self._folder.last_counter(day):
                log.error("a telegram out of order is not in the daybook", extra={"counter": counter})
            elif not self._folder.add(day, Kept(counter, port, payload), self._clock.monotonic()):
                log.error("the day is full: a telegram is not in the daybook", extra={"alarm": "day_full", "day": day})
        except _FAULTS as error:
            log.error("a telegram is not in the daybook: %s", error, extra={"alarm": "daybook", "counter": counter})
            self._failed(day)

    def request(self, payload: bytes) -> None:
        """A downlink on port 34 that belongs to signed days. What the portal did not write is left alone."""
        transport, now = self._transport(), self._dates.now()
        if transport is None:
            log.warning("a request for a signed day cannot be believed: there is no transport key")
            return
        wants_key = self._answers.take(
            payload, key_messages.mac_keys(transport).down, self._dev_eui, None if now is None else day_number(now)
        )
        if wants_key:
            self._memory.now.announced = 0
            self._pace.restart(self._clock.monotonic())

    def due(self) -> float | None:
        """The monotonic time of the next uplink; None while there is nothing to wait for."""
        now_s, now = self._dates.now(), self._clock.monotonic()
        if self._transport() is None:
            return None
        if self._unannounced or self._unsent() is not None or self._answers.waiting:
            return self._pace.due
        if now_s is None:
            return None
        unsigned = [day for day in self._folder.days() if day > self._memory.now.closed]
        return None if not unsigned else max(now + self._sign_at(unsigned[0]) - now_s, self._pace.due)

    def take(self) -> Uplink | None:
        """What to send now, after signing what is over."""
        self._sign()
        transport = self._transport()
        if transport is None:
            return None
        if self._unannounced:
            frame = SigningKey(self._signer.seq, self._signer.key.public)
            octets = signed_day.encode(frame, key_messages.mac_keys(transport).up, self._dev_eui)
            return Uplink(PORT, octets, confirmed=True)
        if (day := self._unsent()) is not None:
            return Uplink(PORT, signed_day.encode(_frames(day)[day.sent]), confirmed=True, day=day.day)
        answer = self._answers.next()
        if answer is None:
            self._pace.later(self._clock.monotonic())
        return answer

    def done(self, uplink: Uplink, acknowledged: bool, airtime_s: float) -> None:
        """What became of `uplink`."""
        now = self._clock.monotonic()
        pause = max(LEAST_PAUSE_S, airtime_s * AIR_TO_PAUSE)
        if uplink.confirmed and not acknowledged:
            self._pace.later(now, pause)
            return
        self._pace.restart(now + pause)
        if not uplink.confirmed:
            return
        if uplink.day is None:
            self._memory.now.announced = self._signer.seq
        elif (day := self._memory.day(uplink.day)) is not None:
            day.sent += 1
        self._save()

    def close(self) -> None:
        """Let go of the files."""
        self._folder.close()

    def _day(self, today: int) -> int:
        """Where to note a telegram: days follow each other as counters do, so a signed day is never opened again."""
        remembered, now = self._memory.now, self._clock.monotonic()
        wrong = [day for day in self._folder.days() if day > today + NEAR]
        if remembered.closed > today + NEAR or wrong:
            log.error("the date was wrong before: days are put right", extra={"alarm": "date_back", "day": today})
            remembered.days = [day for day in remembered.days if day.day < today]
            remembered.closed = min(remembered.closed, today - 1)
            self._memory.save()
            for day in wrong:
                self._folder.fold(day, today, now)
        return max(today, remembered.closed + 1, *self._folder.days()[-1:])

    @property
    def _unannounced(self) -> bool:
        return self._memory.now.announced != self._signer.seq

    def _unsent(self) -> SignedDay | None:
        return next((day for day in self._memory.now.days if day.sent < len(_frames(day))), None)

    def _sign_at(self, day: int) -> float:
        """Unix time: some hours after midnight, by adapter and day."""
        digest = sha256(self._dev_eui.bytes + day.to_bytes(2)).digest()
        share = int.from_bytes(digest[:4]) / (1 << 32)
        return begin_of(day + 1).timestamp() + SIGN_FROM_S + share * SIGN_WITHIN_S

    def _sign(self) -> None:
        now = self._dates.now()
        if now is None:
            self._say_undated()
            return
        day = -1
        try:
            for day in self._folder.days():
                if day > self._memory.now.closed and self._sign_at(day) <= now:
                    self._sign_day(day)
            for day in self._folder.days():
                self._folder.tidy(day, now)
        except _FAULTS as error:
            log.error("a day is not signed or tidied: %s", error, extra={"alarm": "daybook", "day": day})
            self._failed(day)

    def _failed(self, day: int) -> None:
        """A file that stays unreadable holds up no other day: it is kept under another name."""
        self._faults[day] += 1
        if self._faults[day] < MOST_FAULTS:
            return
        del self._faults[day]
        try:
            if self._folder.unreadable(day):
                self._folder.set_aside(day)
                log.error("the file of a day is unreadable and set aside", extra={"alarm": "day_lost", "day": day})
        except OSError as error:
            log.error("an unreadable day cannot be set aside: %s", error, extra={"alarm": "daybook", "day": day})

    def _sign_day(self, day: int) -> None:
        self._folder.settle(day)
        leaves = self._folder.leaves(day)
        if leaves:
            statement = Statement.of(self._dev_eui, day, leaves)
            signature = self._signer.key.sign(statement.message)
            signed = SignedDay.of(statement, signature, runs_of(counter for counter, _ in leaves))
            self._memory.now.days.append(signed)
            log.info("a day is signed", extra={"day": str(signed_day.date_of(day)), "telegrams": len(leaves)})
        self._memory.now.closed = day
        self._memory.save()

    def _save(self) -> None:
        try:
            self._memory.save()
        except _FAULTS as error:
            log.error("what was sent of signed days is not kept: %s", error, extra={"alarm": "daybook"})

    def _say_undated(self) -> None:
        if not self._undated:
            log.warning("no trusted date: no day is signed", extra={"alarm": "no_date"})
        self._undated = True


def _frames(day: SignedDay) -> list[signed_day.Message]:
    return day.frames()[:MAX_AUTOMATIC]
