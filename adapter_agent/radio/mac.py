"""The end-device MAC: LoRaWAN 1.0.4 class A over a Phy, with state that survives a power failure."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from math import inf
from random import Random
from typing import Final

from adapter_agent.radio import slotted
from adapter_agent.radio.base import Ear, NotJoined, PayloadTooLong, Planned, RadioEvents, Sent, Span
from adapter_agent.radio.budget import AirBudget
from adapter_agent.radio.due import Due
from adapter_agent.radio.join import Joining, Request
from adapter_agent.radio.link import Link
from adapter_agent.radio.listening import listen
from adapter_agent.radio.phy import Heard, Listener, Phy, PhyError, Window
from adapter_agent.radio.receiving import authentic, commands_of, log_refusal
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.silence import Silence
from adapter_agent.radio.slotted import DATA_OVERHEAD
from adapter_agent.radio.state import RadioStore, SessionState
from adapter_agent.radio.transmitter import STEP_S, Transmitter
from adapter_agent.waiting import wait_for
from edge.clock import Clock
from meterwire.errors import AuthenticationError, CounterExhausted, FormatError, MeterspanError
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.crypto import FCNT_LIMIT, Session
from meterwire.lorawan.frame import MAX_FOPTS, DataFrame
from meterwire.lorawan.gpstime import unix_seconds
from meterwire.lorawan.mac_commands import DeviceTimeAns, LinkCheckAns, MacCommand

log = logging.getLogger(__name__)

RETRANSMIT_S: Final = (1.0, 3.0)


class EndDevice:
    """One device; an `AdapterRadio`. DevNonce and frame counters, up and down, are saved before use.

    `available` waits until the Phy can be used at all, so that no nonce is spent in vain. `refused` counts the
    downlinks that were not accepted, by error code.
    """

    def __init__(
        self,
        identity: Identity,
        settings: MacSettings,
        phy: Phy,
        *,
        store: RadioStore,
        clock: Clock,
        events: RadioEvents,
        random: Random,
        available: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.last_check: LinkCheckAns | None = None
        self._settings, self._phy, self._store = settings, phy, store
        self._clock, self._events, self._random = clock, events, random
        self._available = available or _at_once
        self._state = store.load(clock.time())
        self._budget = AirBudget(self._state.ledger)
        self._transmitter = Transmitter(phy, self._budget, clock, random, power_dbm=settings.power_dbm, save=self._save)
        self._joining = Joining(identity, settings, self._state, random)
        self._crypto: Session | None = None
        self._air = asyncio.Lock()
        self._joined, self._wake = asyncio.Event(), asyncio.Event()
        self._due = Due()
        self._silence = Silence(settings.confirm_tries, settings.rejoin_after)
        self._rejoin = self._hastened = False
        if self._state.session is not None:
            self._begin(self._state.session)

    @property
    def epoch(self) -> int:
        return self._state.epoch

    @property
    def max_payload(self) -> int:
        return self._room(self._due.options())

    @property
    def uncertain(self) -> bool:
        return self._silence.uncertain

    @property
    def asks(self) -> bool:
        return self._due.asks

    @property
    def link(self) -> Link:
        """What the network has set. Raises NotJoined."""
        return self._session()[0].link

    async def run(self) -> None:
        """Join, join again where needed, and send what the network waits for. Ends by cancellation only."""
        while True:
            self._wake.clear()
            try:
                if self._join_wanted:
                    await self._try_to_join()
                elif self._due.uplink:
                    await self._clock.sleep(self._random.uniform(*RETRANSMIT_S))
                    await self._transmitter.clear(self._state, 0)  # another uplink may do it meanwhile
                    if self._due.uplink and self._state.session is not None:
                        await self._send_empty()
                else:
                    await self._wake.wait()
            except MeterspanError as error:  # a full disk, for one: nothing may leave before it is saved
                log.error("the radio has to wait: %s", error, extra={"code": error.code})
                await self._clock.sleep(STEP_S)

    async def ready(self, size: int) -> None:
        """Wait until `size` bytes may be sent at once."""
        while True:
            await self._joined.wait()
            await self._available()
            wait = self._budget.earliest(DATA_OVERHEAD + size, self.link, self._clock.time()) - self._clock.time()
            if wait <= 0:
                return
            await self._clock.sleep(min(wait, STEP_S))

    async def send(
        self,
        port: int | None,
        payload: bytes = b"",
        at: float | None = None,
        confirmed: bool = False,
        planned: Planned | None = None,
    ) -> Sent:
        """One frame at a time; its repetitions are part of it."""
        if planned is not None:
            await slotted.available(self._available(), self._clock, planned)
            async with self._air:
                options = slotted.options_of(self._due, self.link, planned, len(payload))
                sent = await self._send(port, payload, confirmed, options, planned)
            if self._due.uplink:  # for answers that the slot had no room for
                self._wake.set()
            return sent
        if at is not None:
            await self._transmitter.until(lambda _: at)
        while True:
            await self._transmitter.clear(self._state, len(payload))
            await self._available()
            async with self._air:
                if self._state.session is None or self._transmitter.wait_s(self.link, len(payload)) <= 0:
                    return await self._send_now(port, payload, confirmed)

    def want_time(self) -> None:
        self._due.time = True

    def carries(self, channel: int, data_rate: int) -> bool:
        return slotted.carries(self.link, channel, data_rate)

    def room(self, planned: Planned) -> int:
        return slotted.room(self.link, planned)

    def span(self, size: int) -> Span:
        return slotted.span(self.link, size)

    def keep_clear(self, clear_at: Callable[[float, Span], float]) -> None:
        self._transmitter.clear_at = clear_at

    def airtime(self, size: int) -> float:
        return slotted.airtime(self.link, size)

    def allows(self, planned: Planned) -> bool:
        return self._transmitter.allows(self.link, planned)

    def hasten(self, on: bool) -> None:
        self._silence.doubtful = on and self._state.session is not None
        self._joining.hasten(on)
        if on:
            self._hastened = True
            self._wake.set()

    @property
    def listens(self) -> bool:
        return isinstance(self._phy, Listener)

    async def listen(self, ear: Ear) -> tuple[float, bytes] | None:
        return await listen(ear, self._phy, self._air, self._clock, self._available)

    async def link_check(self) -> LinkCheckAns | None:
        """Ask the network how well it hears this device; None when it does not answer."""
        self.last_check, self._due.check = None, True
        await self.send(None)
        return self.last_check

    def close(self) -> None:
        """Save the exact counters. `run` and `send` must have ended."""
        self._store.save(self._state, clean=True)

    # Joining

    @property
    def _join_wanted(self) -> bool:
        return self._state.session is None or self._rejoin

    async def _try_to_join(self) -> None:
        await self._available()
        request = self._joining.request(self._clock.time())
        allowed_in = self._joining.earliest(request, self._clock.time()) - self._clock.time()
        if not await self._paused(max(self._joining.pause(), allowed_in)):
            return
        await self._transmitter.clear_for(request.span)
        async with self._air:
            session = await self._ask(request)
        if session is not None:
            log.info("joined", extra={"dev_addr": f"{session.dev_addr:08x}", "epoch": self._state.epoch})
            self._events.joined()

    async def _ask(self, request: Request) -> SessionState | None:
        now = self._clock.time()
        self._joining.commit(request, now)
        self._budget.book(request.frequency_hz, request.airtime_s, now)
        self._save()
        try:
            exchange = await self._phy.exchange(
                request.frame,
                freq_hz=request.frequency_hz,
                dr=request.data_rate,
                power_dbm=self._settings.power_dbm,
                windows=request.windows,
            )
        except PhyError as error:
            self._joining.failed()
            log.warning("the join request was not sent: %s", error)
            return None
        session = self._joining.accept(request, exchange.heard)
        if session is None:
            log.info("no answer to the join request", extra={"dr": request.data_rate, "nonce": request.dev_nonce})
            return None
        self._state.session = session
        self._begin(session)
        self._save()
        return session

    async def _paused(self, seconds: float) -> bool:
        """Wait; False when it is to be thought over: the network was heard after all, or there is haste now."""
        deadline = self._clock.monotonic() + seconds
        self._hastened = False
        while self._join_wanted and not self._hastened and (left := deadline - self._clock.monotonic()) > 0:
            self._wake.clear()
            await wait_for(self._wake, self._clock, left)
        return self._join_wanted and not self._hastened

    def _begin(self, session: SessionState) -> None:
        self._crypto = Session(session.keys, session.dev_addr)
        self._due = Due()
        self._silence.over()
        self._rejoin = False
        self._joined.set()

    def _end_session(self, reason: str) -> None:
        log.warning("the session has ended: %s; joining again", reason)
        self._state.session = self._crypto = None
        self._joined.clear()
        self._wake.set()

    # Sending

    async def _send_now(self, port: int | None, payload: bytes, confirmed: bool) -> Sent:
        options = self._due.options()
        if len(options) > MAX_FOPTS or len(payload) > self._room(options):
            await self._send_answers_alone()
            options = self._due.options()
        if len(payload) > self._room(options):
            options = self._due.options(questions=False)
        if len(payload) > (most := self._room(options)):
            raise PayloadTooLong(f"{len(payload)} bytes at DR{self.link.data_rate}, which carries {most} now")
        return await self._send(port, payload, confirmed, options)

    async def _send(
        self, port: int | None, payload: bytes, confirmed: bool, options: bytes, planned: Planned | None = None
    ) -> Sent:
        session, crypto = self._session()
        link = session.link if planned is None else replace(session.link, data_rate=planned.data_rate)
        fcnt = self._take_fcnt(session)
        frame = crypto.build(
            uplink=True, fcnt32=fcnt, fport=port, payload=payload, confirmed=confirmed, ack=self._due.ack, fopts=options
        )
        self._due.sent(answered=bool(options) or port == 0)
        tries = max(link.nb_trans if planned is None else 1, self._silence.tries if confirmed else 1)
        end, heard, acknowledged, tried = -inf, False, False, 0
        for attempt in range(tries):
            if attempt:
                await self._clock.sleep(self._random.uniform(*RETRANSMIT_S))
                if self._transmitter.blocked(link, len(payload)):
                    break
            tried += 1
            try:
                exchange, windows = await self._transmitter.send(
                    frame, link, None if attempt else planned, lambda began: self._events.sending(fcnt, began)
                )
            except PhyError as error:
                log.warning("a frame was not sent: %s", error, extra={"fcnt": fcnt})
                continue
            end = exchange.end
            answer = self._receive(exchange.heard, windows, session, crypto)
            if answer is not None:
                heard, acknowledged = True, acknowledged or answer.ack
                if acknowledged or not confirmed:
                    break
        if end == -inf:
            raise PhyError("the frame never left: the radio is out of order; it is tried again with the next reading")
        self._count(heard, tried if confirmed and not acknowledged else 0)
        return Sent(port, payload, fcnt, confirmed, acknowledged, end, heard=heard)

    async def _send_empty(self) -> None:
        try:
            await self.send(None)
        except (PhyError, NotJoined) as error:
            log.warning("the network's wish for an uplink is not met: %s", error)
            self._due.uplink = False

    async def _send_answers_alone(self) -> None:
        """More answers than go beside the payload get a frame of their own on port 0; the network waits for them."""
        if answers := self._due.options(questions=False):
            self._due.sticky = []
            await self._send(0, answers[: self._room(b"")], False, b"")

    def _room(self, options: bytes) -> int:
        link = self.link
        return link.region.data_rate(link.data_rate).max_app_payload - len(options)

    def _count(self, heard: bool, unanswered: int) -> None:
        self._silence.count(heard=heard, unanswered=unanswered)
        self._due.check = self._due.check or self._silence.wants_sign
        if self._silence.lost and not self._rejoin:
            log.warning("the network does not answer; asking to join again, the session is kept meanwhile")
            self._rejoin = True
            self._wake.set()

    def _take_fcnt(self, session: SessionState) -> int:
        if session.fcnt_up >= FCNT_LIMIT:
            self._end_session("all frame counters are used")
            raise NotJoined("the session's frame counters are used up; wait for the next join")
        self._store.reserve(self._state)
        session.fcnt_up += 1
        return session.fcnt_up - 1

    # Receiving

    def _receive(
        self, heard: Heard | None, windows: Sequence[Window], session: SessionState, crypto: Session
    ) -> DataFrame | None:
        if heard is None:
            return None
        window = windows[heard.window - 1]
        length = airtime_s(len(heard.frame), session.link.region.data_rate(window.dr), uplink=False)
        uplink_end = self._clock.monotonic() - window.after_s - length
        try:
            frame = authentic(heard.frame, session, crypto)
            commands = commands_of(frame)
        except CounterExhausted:
            self._end_session("the network's frame counters are used up")
            return None
        except (FormatError, AuthenticationError) as error:
            self.refused[error.code] += 1
            log_refusal(error)
            return None
        self._silence.over()
        self._due.ack = frame.confirmed
        self._due.uplink = frame.confirmed or frame.class_b_or_pending
        self._due.answer(session.link.answer(commands, heard.snr))
        self._rejoin = not session.link.usable()
        self._save()
        self._wake.set()
        self._take_answers(commands, uplink_end)
        if frame.fport and frame.payload:
            self._events.downlink(frame.fport, frame.payload)
        return frame

    def _take_answers(self, commands: Sequence[MacCommand], uplink_end: float) -> None:
        for command in commands:
            if isinstance(command, DeviceTimeAns) and self._due.time:
                self._due.time = False
                self._events.time_told(unix_seconds(command.gps_s), uplink_end)
            elif isinstance(command, LinkCheckAns):
                self._due.check = False
                self.last_check = command

    # State

    def _save(self) -> None:
        self._store.save(self._state)
        self._budget.saved()

    def _session(self) -> tuple[SessionState, Session]:
        if self._state.session is None or self._crypto is None:
            raise NotJoined("the radio has not joined a network yet; it keeps trying")
        return self._state.session, self._crypto


async def _at_once() -> None:
    return None
