"""Asks the SMGw's time server on the HAN [0151], through the gate: while the HAN is closed the clock holds over."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from concentrator_agent.modes import Gate, Interface, InterfaceClosed
from concentrator_agent.timesource.discipline import Discipline, Outcome, Sample
from edge.steered_clock import SteeredClock
from meterwire import sntp
from meterwire.errors import FormatError

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 2.0
BURST: Final = 4  # answers that are asked for quickly at first, and while one is doubted
BURST_S: Final = 16.0
MAX_POLL_S: Final = 1024.0
DENIED_S: Final = 3600.0
MAX_DISTANCE_S: Final = 1.5  # RFC 5905: a server further from its reference is not used
MAX_DATAGRAM: Final = 512
LONGEST_STEP_S: Final = 0.01  # by which a server's clock may be set between its two stamps
STAMP_S: Final = 0.0005  # both ends of the socket
MISSED: Final = 3  # questions in a row without an answer are told; a refusal is at once
KISSES: Final = {"DENY": "denied", "RSTR": "denied", "RATE": "rate"}  # others (INIT, STEP ...) only say: not yet

Note = Callable[..., None]


class Unanswered(Exception):
    """No usable answer; `reason` in a word: timeout, closed, unreachable, format, denied, rate, distance."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class SntpClient:
    """`server`: an IP address, for a name would be looked up elsewhere, and a port.

    `note(reason, **detail)` makes an event of the kind `clock`; `on_set` is told how the clock was set: `first`,
    `stepped` or `leap`.
    """

    def __init__(
        self,
        server: tuple[str, int],
        *,
        gate: Gate,
        clock: SteeredClock,
        discipline: Discipline,
        poll_s: float,
        entropy: Callable[[int], bytes],
        note: Note,
        on_set: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._server = server
        self._gate = gate
        self._clock = clock
        self._discipline = discipline
        self._poll_s = poll_s
        self._entropy = entropy
        self._note = note
        self._on_set = on_set
        self._answers = 0  # since the start, or since one was doubted
        self._missed = 0
        self._holds_over = False
        self._slower = 1.0

    async def run(self, progress: Callable[[], None] = lambda: None) -> None:
        """Until cancelled."""
        while True:
            progress()
            await self._rest(await self.ask(), progress)

    async def ask(self) -> float:
        """One question; gives the seconds until the next one."""
        try:
            sample = await self._exchange()
        except Unanswered as failure:
            return self._unanswered(failure)
        if self._holds_over:
            self._holds_over = False
            self._note("source_back", uncertainty_ms=_ms(self._discipline.uncertainty()))
        self._missed = 0
        self._tell(self._discipline.take(sample))
        return (BURST_S if self._answers < BURST else self._poll_s) * self._slower

    async def _rest(self, seconds: float, progress: Callable[[], None]) -> None:
        """In short steps, for the watchdog."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, 10.0))
            progress()

    def _tell(self, outcome: Outcome) -> None:
        offset = self._discipline.last_offset_s
        self._answers += 1
        if outcome == "doubted":
            self._answers = 0
        if outcome in ("doubted", "refused"):
            log.warning("the time source contradicts this clock", extra={"outcome": outcome, "offset_s": offset})
            self._note("source_off", offset_ms=_ms(offset), refused=outcome == "refused")
        elif outcome != "taken":
            self._on_set(outcome)
            log.info("the clock is set by its source", extra={"outcome": outcome, "offset_s": offset})

    def _unanswered(self, failure: Unanswered) -> float:
        self._missed += 1
        log.info("no time from the source: %s", failure, extra={"reason": failure.reason})
        if not self._holds_over and (self._missed >= MISSED or failure.reason == "denied"):
            self._holds_over = True
            self._note("holdover", cause=failure.reason, uncertainty_ms=_ms(self._discipline.uncertainty()))
        if failure.reason == "denied":
            return DENIED_S
        if failure.reason == "rate":
            self._slower = min(2 * self._slower, MAX_POLL_S / self._poll_s)
        return min(MAX_POLL_S, (BURST_S if not self._discipline.ever else self._poll_s) * self._slower)

    async def _exchange(self) -> Sample:
        """Raises Unanswered."""
        cookie = self._entropy(sntp.COOKIE_LENGTH)
        try:
            self._gate.check(Interface.HAN)
            family = socket.AF_INET6 if ":" in self._server[0] else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as way:
                way.connect(self._server)  # the kernel leaves out what others send
                door = self._gate.door(Interface.HAN, way.send)
                asked = self._clock.monotonic()
                door(sntp.question(cookie))
                return await asyncio.wait_for(self._answer(way, cookie, asked), TIMEOUT_S)
        except InterfaceClosed as error:
            raise Unanswered("closed", str(error)) from None
        except TimeoutError:
            raise Unanswered("timeout", f"{self._server[0]} did not answer within {TIMEOUT_S:.0f} s") from None
        except OSError as error:
            raise Unanswered("unreachable", f"{self._server[0]} cannot be reached ({error.strerror})") from None

    async def _answer(self, way: socket.socket, cookie: bytes, asked: float) -> Sample:
        """The first datagram that answers our question; others are left alone."""
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(way, MAX_DATAGRAM)
            arrived = self._clock.monotonic()
            try:
                answer = sntp.Answer.decode(datagram, cookie)
            except sntp.KissOfDeath as refusal:
                raise Unanswered(KISSES.get(refusal.code_word, "format"), str(refusal)) from None
            except FormatError as error:
                if cookie not in datagram:
                    await asyncio.sleep(0)  # the next one may be here already: a flood would hold up everything
                    continue
                raise Unanswered("format", str(error)) from None
            return _sample(answer, asked, arrived)


def _sample(answer: sntp.Answer, asked: float, arrived: float) -> Sample:
    """Offset and its bound by the four timestamps (RFC 5905 section 8). Raises Unanswered."""
    delay = (arrived - asked) - (answer.sent - answer.received)
    if delay < -LONGEST_STEP_S:
        raise Unanswered("format", "the time server says that it took longer than its answer was on its way")
    offset = ((answer.received - asked) + (answer.sent - arrived)) / 2
    uncertainty = max(0.0, delay) / 2 + answer.root_distance + STAMP_S
    if uncertainty > MAX_DISTANCE_S:
        raise Unanswered("distance", f"the time server may be wrong by {uncertainty:.1f} s")
    return Sample((asked + arrived) / 2, offset, uncertainty, answer.leap == 1)


def _ms(seconds: float | None) -> float | None:
    """For an event: nothing, where it is not known."""
    return None if seconds is None or seconds == float("inf") else round(seconds * 1000, 1)
