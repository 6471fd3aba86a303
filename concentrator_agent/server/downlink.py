"""Answers an uplink: composes the frame, chooses RX1 or RX2 by the duty-cycle ledger, and hands it to the gateway.

Order: join-accept, acknowledgement and MAC answers, configuration, the clock, application, and the network's own MAC
requests in what room is left (design 5.6: payload first). A device with a slot gets what disturbs nobody else's;
only urgent commands go out all the same.
"""

import asyncio
import logging
from collections import Counter
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.modes import InterfaceClosed
from concentrator_agent.radio.base import ConcentratorRadio, Reception, Transmission, TransmissionRefused
from concentrator_agent.server import mac
from concentrator_agent.server.answering import OUTSIDE_OCTETS, Bounds, Frame, Response
from concentrator_agent.server.clearance import Clearance, Manners
from concentrator_agent.server.dedupe import Uplink
from concentrator_agent.server.queue import URGENT_PRIORITY, DownlinkQueue, Item
from concentrator_agent.server.sessions import Device, Session
from concentrator_agent.server.windows import (
    Window,
    accept_waits,
    book,
    data_windows,
    deafens,
    has_air,
    join_windows,
    power_dbm,
    second_is_better,
)
from edge.clock import Clock
from edge.database import Database, StorageError
from meterwire.clock_package import PORT as CLOCK_PORT
from meterwire.errors import FormatError
from meterwire.lorawan.dutycycle import DutyCycleLedger
from meterwire.lorawan.frame import MAX_FOPTS, MAX_PHY
from meterwire.lorawan.mac_commands import MacCommand, encode_commands
from meterwire.lorawan.plan import Region

log = logging.getLogger(__name__)

LEAD_S: Final = 0.12  # a forwarder wants it before the window opens: queue, chip start, and a slow machine
MAX_GATEWAYS_TRIED: Final = 3
MAX_UNDER_WAY: Final = 1000
HEADER_OCTETS: Final = 8  # FHDR and FPort of the MACPayload
LEDGER: Final = "duty_cycle"
NOTHING: Final = "nothing"
REFUSED: Final = "refused"
SLOTS: Final = "slots"  # it would reach into somebody's slot: it waits for an uplink in open time
SMALLEST_OCTETS: Final = 12  # a frame without port and payload
LONG_ANSWER_EVERY_S: Final = 20.0  # a gateway that was busy in RX1 answers at length in RX2 at most this often


class Downlink:
    """Sends at most one frame per uplink."""

    def __init__(
        self,
        *,
        plan: Region,
        radio: ConcentratorRadio,
        queue: DownlinkQueue,
        database: Database,
        clock: Clock,
        clearance: Clearance,
        desired: mac.Parameters,
        max_power_dbm: int,
        status_every_s: float,
    ) -> None:
        self._plan = plan
        self._radio = radio
        self._queue = queue
        self._database = database
        self._clock = clock
        self._clearance = clearance
        self._desired = desired
        self._max_power_dbm = max_power_dbm
        self._status_every_s = status_every_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaf_at: dict[str, float] = {}  # by gateway, monotonic
        self._ledgers: dict[str, DutyCycleLedger] = self._load_ledgers()
        self._saved = b""
        self.counts: Counter[str] = Counter()

    def needed(self, response: Response) -> bool:
        """Whether there is anything to send in the windows of this uplink."""
        if response.accept is not None or response.ack or response.wanted or response.answers or response.clock:
            return True
        device, session = response.device, response.session
        if device is None or session is None:
            return False
        return self._queue.waiting(device.dev_eui) or bool(self._requests(session))

    def may_answer(self, uplink: Uplink, device: Device, session: Session, octets: int) -> bool:
        """Whether a PHYPayload of so many octets may go out in a window of this uplink."""
        if self._clearance.manners(device, uplink.best) is not Manners.BOTH:
            return True
        windows = data_windows(self._plan, uplink.best, session.mac.current)
        return any(self._clear(uplink.best, window) >= octets for window in windows)

    def respond(self, response: Response) -> None:
        """Send it in the background; everything it stands for is durable by now."""
        if len(self._tasks) >= MAX_UNDER_WAY:
            self.counts["overload"] += 1
            response.clock_unsent()
            return
        task = asyncio.ensure_future(self._respond(response))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def broadcast(self, wanted: Transmission, opens_at: float) -> str:
        """A frame for everybody, at `opens_at` (Unix s) and with no more power than allowed: "sent", or why not."""
        window = Window(number=0, after_s=0.0, freq=wanted.freq, dr=wanted.dr)
        ledger = self._ledger(wanted.gateway)
        if not has_air(ledger, window, len(wanted.phy), opens_at):
            return "duty_cycle"
        power = min(wanted.power_dbm, power_dbm(self._plan, wanted.freq, self._max_power_dbm))
        book(ledger, window, len(wanted.phy), opens_at)
        try:
            await self._radio.send(msgspec.structs.replace(wanted, power_dbm=power))
        except TransmissionRefused as refused:
            self.counts[f"gateway_{refused.reason}"] += 1
            return REFUSED
        except InterfaceClosed:
            return REFUSED
        self.counts["broadcast"] += 1
        return "sent"

    async def drain(self) -> None:
        """Wait for what is being sent."""
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def save(self) -> None:
        """Store the ledgers where they changed, so that a restart does not hand out the hour's budget twice."""
        state = {gateway: ledger.to_state() for gateway, ledger in self._ledgers.items()}
        body = msgspec.json.encode(state)
        if body != self._saved:
            await self._database.run(lambda connection: store.put_setting(connection, LEDGER, body))
            self._saved = body

    def used_s(self, gateway: str, frequency: int) -> float:
        """Seconds of this hour's budget that a gateway has used in the sub-band of `frequency` (Hz)."""
        return self._ledger(gateway).used_s(frequency, self._clock.time())

    async def _respond(self, response: Response) -> None:
        try:
            if response.accept is not None:
                reason = await self._send_accept(response)
            else:
                reason = await self._send_data(response)
        except StorageError as error:
            log.error("a downlink's outcome could not be stored", extra={"error": str(error)})
            return
        except Exception:
            log.exception("a downlink failed")
            return
        self.counts[reason] += 1
        if reason not in ("sent", NOTHING):
            log.info("no downlink", extra={"reason": reason, "dev_eui": response.device and response.device.dev_eui})

    async def _send_accept(self, response: Response) -> str:
        assert response.accept is not None
        frame = Frame(response.accept)
        reason = "no_gateway"
        for copy in response.uplink.copies[:MAX_GATEWAYS_TRIED]:
            first, *_ = windows = self._clear_ones_first(copy, join_windows(self._plan, copy), len(frame.phy))
            for window in windows:
                if reason == REFUSED and self._spare_the_ears(copy.gateway, window, first, len(frame.phy)):
                    break
                ledger = self._ledger(copy.gateway)
                if accept_waits(self._plan, ledger, window, len(frame.phy), self._clock.time()):
                    reason = "duty_cycle"
                    continue
                reason = await self._try(response.uplink, copy, window, frame)
                if reason == "sent":
                    return reason
        return reason

    async def _send_data(self, response: Response) -> str:
        device, session = response.device, response.session
        assert device is not None
        assert session is not None
        if not self.needed(response):
            return NOTHING  # the uplink itself settled what was waiting
        manners = self._clearance.manners(device, response.uplink.best)
        urgent = manners is not Manners.NONE and self._queue.urgent(device.dev_eui)
        frame: Frame | None = None
        reason = "no_gateway"
        for copy in response.uplink.copies[:MAX_GATEWAYS_TRIED]:
            windows = data_windows(self._plan, copy, session.mac.current)
            octets = self._octets(response, device)
            if manners is not Manners.NONE and second_is_better(self._plan, *windows, octets, self._max_power_dbm):
                windows = windows[1], windows[0]
            first, *_ = ordered = self._clear_ones_first(copy, windows, octets)
            for window in ordered:
                length = 0 if frame is None else len(frame.phy)
                if reason == REFUSED and self._spare_the_ears(copy.gateway, window, first, length):
                    break
                if not self._could_send(response.uplink, window):
                    reason = "too_late"
                    continue
                bounds = self._bounds(copy, window, manners, urgent=urgent)
                # The same frame may go into the other window; one with other content takes another counter.
                if frame is None or not bounds.allow(frame):
                    composed = self._compose(response, device, session, bounds)
                    if composed is None:
                        reason = SLOTS
                        continue
                    frame = composed
                item = frame.item
                if item is not None:
                    item.in_the_air = True
                try:
                    reason = await self._try(response.uplink, copy, window, frame)
                finally:
                    if item is not None:
                        item.in_the_air = False
                if reason == "sent":
                    if not frame.clock:
                        response.clock_unsent()
                    disturbs = urgent and len(frame.phy) > self._clear(copy, window)
                    await self._note_sent(session, frame, disturbs=disturbs)
                    return reason
                if item is not None:
                    item.failure = reason
        response.clock_unsent()
        return reason

    def _clear(self, copy: Reception, window: Window) -> int:
        """The longest PHYPayload that disturbs nobody's slot in this window."""
        return self._clearance.octets(copy.received_at + window.after_s, window.dr)

    def _clear_ones_first(self, copy: Reception, windows: tuple[Window, Window], octets: int) -> list[Window]:
        """In the order given, unless only the later has room for so many octets between the slots."""
        return sorted(windows, key=lambda window: self._clear(copy, window) < octets)

    def _octets(self, response: Response, device: Device) -> int:
        """About how long the answer is going to be, as a PHYPayload."""
        item, _ = self._queue.next(device.dev_eui, MAX_PHY)
        waiting = 0 if item is None else len(item.row.payload)
        answers = sum(1 + command.length for command in response.answers)
        return SMALLEST_OCTETS + 1 + answers + max(waiting, len(response.clock or b""))

    def _bounds(self, copy: Reception, window: Window, manners: Manners, *, urgent: bool) -> Bounds:
        most = self._plan.data_rate(window.dr).max_mac_payload
        bound = manners is Manners.BOTH or (manners is Manners.SECOND and window.number == 2)
        clear = self._clear(copy, window) - OUTSIDE_OCTETS if bound else most
        if clear >= most:
            return Bounds(most)
        return Bounds(most, URGENT_PRIORITY) if urgent else Bounds(clear, by_slots=True)

    def _spare_the_ears(self, gateway: str, later: Window, earlier: Window, length: int) -> bool:
        """Whether to leave out a long second window because the gateway has sent such a one a moment ago."""
        if not deafens(later, earlier, length):
            return False
        now = self._clock.monotonic()
        if now - self._deaf_at.get(gateway, -LONG_ANSWER_EVERY_S) < LONG_ANSWER_EVERY_S:
            self.counts["ears_spared"] += 1
            return True
        self._deaf_at[gateway] = now
        return False

    def _compose(self, response: Response, device: Device, session: Session, bounds: Bounds) -> Frame | None:
        """A frame within these bounds, under a counter of its own; None where the slots leave no room for any use."""
        room = bounds.room
        if not session.may_take_down:
            return None
        if room < SMALLEST_OCTETS - OUTSIDE_OCTETS:
            self._queue.next(device.dev_eui, room - HEADER_OCTETS, failure=SLOTS)  # what waits for it learns why
            return None
        answers, left_over = mac.fitting(response.answers, max(0, min(MAX_FOPTS, room - HEADER_OCTETS + 1)))
        if left_over:
            log.warning("MAC answers do not fit", extra={"dev_eui": device.dev_eui, "left": len(left_over)})
        used = in_fopts = sum(1 + command.length for command in answers)
        failure = SLOTS if bounds.by_slots else "too_long"
        item, more = self._queue.next(device.dev_eui, room - HEADER_OCTETS - used, bounds.least_priority, failure)
        fport, payload = (item.row.fport, item.row.payload) if item is not None else (None, b"")
        if bounds.least_priority and item is None:
            return None
        clock = self._clock_goes_first(response, item, 0 if bounds.least_priority else room - HEADER_OCTETS - used)
        if clock is not None:
            item, more, fport, payload = None, more or item is not None, CLOCK_PORT, clock
        used += len(payload)
        spare = min(MAX_FOPTS - in_fopts, room - HEADER_OCTETS - used)
        asked, later = mac.fitting(self._requests(session), max(0, spare))
        if bounds.by_slots and not (response.ack or response.wanted or answers or fport or asked):
            return None
        fcnt = session.take_down()
        phy = session.crypto.build(
            uplink=False,
            fcnt32=fcnt,
            fport=fport,
            payload=payload,
            confirmed=bool(item is not None and item.row.confirmed),
            ack=response.ack,
            class_b_or_pending=more or bool(later),
            fopts=encode_commands([*answers, *asked]),
        )
        return Frame(phy, item, tuple(asked), clock is not None)

    def _clock_goes_first(self, response: Response, item: Item | None, room: int) -> bytes | None:
        """The clock's payload when it fits and no configuration waits. The application can wait: it is of no uplink."""
        clock = response.clock
        if clock is None or len(clock) > room or (item is not None and item.is_configuration):
            return None
        return clock

    async def _try(self, uplink: Uplink, copy: Reception, window: Window, frame: Frame) -> str:
        """One window at one gateway: "sent", or why not."""
        if not self._could_send(uplink, window):
            return "too_late"
        opens_at = self._clock.time() + self._opens_in(uplink, window)
        ledger = self._ledger(copy.gateway)
        if not has_air(ledger, window, len(frame.phy), opens_at):
            return "duty_cycle"
        power = power_dbm(self._plan, window.freq, self._max_power_dbm)
        transmission = Transmission(frame.phy, copy.gateway, window.tmst(copy), window.freq, window.dr, power)
        book(ledger, window, len(frame.phy), opens_at)  # before it is sent: nothing else may count on the same air
        try:
            await self._radio.send(transmission)
        except TransmissionRefused as refused:
            self.counts[f"gateway_{refused.reason}"] += 1
            return "too_late" if refused.reason == "too_late" else REFUSED
        except InterfaceClosed:
            return REFUSED
        return "sent"

    async def _note_sent(self, session: Session, frame: Frame, *, disturbs: bool) -> None:
        if disturbs:
            self.counts["slots_disturbed"] += 1
        if frame.asked:
            mac.note_asked(session.mac, list(frame.asked), self._desired, self._clock.time())
            session.mac_blob = session.mac.encode()
        if frame.item is not None:
            await self._queue.sent(frame.item, disturbs=disturbs)

    def _requests(self, session: Session) -> list[MacCommand]:
        return mac.requests(session.mac, self._desired, self._clock.time(), self._status_every_s)

    def _could_send(self, uplink: Uplink, window: Window) -> bool:
        return self._opens_in(uplink, window) >= LEAD_S

    def _opens_in(self, uplink: Uplink, window: Window) -> float:
        """Seconds until the window opens, by the clock that never jumps."""
        return window.after_s - (self._clock.monotonic() - uplink.arrived)

    def _ledger(self, gateway: str) -> DutyCycleLedger:
        ledger = self._ledgers.get(gateway)
        if ledger is None:
            ledger = self._ledgers[gateway] = DutyCycleLedger(self._plan.sub_bands)
        return ledger

    def _load_ledgers(self) -> dict[str, DutyCycleLedger]:
        stored = store.setting(self._database.read, LEDGER)
        if stored is None:
            return {}
        try:
            return {
                gateway: DutyCycleLedger.from_state(self._plan.sub_bands, state)
                for gateway, state in msgspec.json.decode(stored, type=dict[str, dict[str, list[list[int]]]]).items()
            }
        except (FormatError, msgspec.DecodeError):
            log.warning("the stored duty-cycle ledger cannot be read; it starts anew")
            return {}
