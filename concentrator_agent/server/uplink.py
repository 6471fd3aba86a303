"""The uplink path of the network server. `UplinkServer._data` is its table of contents.

Nothing is acknowledged before it is durable: one commit holds the telegrams and the frame counters of a whole batch,
and only then are the answers handed to the radio.
"""

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence

from concentrator_agent import store
from concentrator_agent.distribution import COUNTED_PORTS, Distribution, Route
from concentrator_agent.events import Events, link
from concentrator_agent.keys.partner import KeyPartner
from concentrator_agent.opening import Opened
from concentrator_agent.server import clock_service, mac
from concentrator_agent.server.answering import Response
from concentrator_agent.server.dedupe import Uplink
from concentrator_agent.server.downlink import Downlink
from concentrator_agent.server.heard import Heard
from concentrator_agent.server.join import JoinRefused, JoinServer
from concentrator_agent.server.queue import KEY_EXCHANGE_PORT, DownlinkQueue, Item
from concentrator_agent.server.sessions import Device, Session, Sessions
from concentrator_agent.server.timekeeping import Timekeeper
from concentrator_agent.server.tracking import Tracking
from edge.database import Database, StorageError
from edge.outbox import Entry, Outbox
from edge.sealedfile import SealedFileError
from meterwire.clock_package import PORT as CLOCK_PORT
from meterwire.errors import CounterExhausted, MeterspanError, MicMismatch
from meterwire.lorawan.crypto import Uplink as Frame
from meterwire.lorawan.crypto import full_fcnt
from meterwire.lorawan.frame import (
    MAX_PHY,
    MIN_DATA_PHY,
    DataFrame,
    FrameError,
    JoinRequest,
    parse,
)
from meterwire.lorawan.mac_commands import DeviceTimeReq, MacCommand, parse_commands
from meterwire.lorawan.plan import Region

log = logging.getLogger(__name__)

MAX_FCNT_GAP = 16_384  # LoRaWAN 1.0.2 and 1.0.3; 1.0.4 knows no limit
LAST_APPLICATION_PORT = 224  # 225 and above are reserved

_DATA_UP = frozenset((0x40, 0x80))
_MTYPE_AND_MAJOR = 0xE3


class Work:
    """What a batch leaves to be written in one transaction, and what follows after it."""

    def __init__(self) -> None:
        self.progress: dict[int, Session] = {}
        self.entries: list[Entry] = []
        self.writes: list[Callable[[sqlite3.Connection], None]] = []
        self.responses: list[Response] = []
        self.touched: set[str] = set()
        self.joining: set[str] = set()
        self.awaited: list[tuple[Item, bool]] = []
        self.opened: list[Opened] = []
        self.key_messages: list[tuple[str, bytes]] = []

    def __bool__(self) -> bool:
        return bool(self.progress or self.entries or self.writes)

    def add(self, entry: Entry | None) -> None:
        if entry is not None:
            self.entries.append(entry)


class UplinkServer:
    """Takes batches of de-duplicated uplinks, one batch at a time."""

    def __init__(
        self,
        *,
        plan: Region,
        sessions: Sessions,
        joins: JoinServer,
        distribution: Distribution,
        downlink: Downlink,
        queue: DownlinkQueue,
        database: Database,
        outbox: Outbox,
        events: Events,
        heard: Heard,
        target: Outbox | None,
        partner: KeyPartner,
        keeper: Timekeeper,
        tracking: Tracking,
    ) -> None:
        self._plan = plan
        self._sessions = sessions
        self._joins = joins
        self._distribution = distribution
        self._downlink = downlink
        self._queue = queue
        self._database = database
        self._outbox = outbox
        self._events = events
        self._heard = heard
        self._target = target
        self._partner = partner
        self._keeper = keeper
        self._tracking = tracking
        self.counts: Counter[str] = Counter()

    async def process(self, uplinks: Sequence[Uplink]) -> None:
        """Handle a batch: all of it is durable or, when the store fails, none of it was ever heard."""
        work = Work()
        self._sessions.protect(work.touched)
        with self._database.snapshot():
            for uplink in uplinks:
                try:
                    self._one(uplink, work)
                except MeterspanError as error:
                    self.counts[error.code] += 1
                    log.debug("uplink refused", extra={"code": error.code, "error": str(error)})
                except Exception:
                    self.counts["error"] += 1
                    log.exception("an uplink could not be handled")
        if work and not await self._commit(work):
            return
        for dev_eui in work.joining:
            self._sessions.forget(dev_eui)
        await self._exchange_keys(work)
        for item, acknowledged in work.awaited:  # before the answers: they may take the next one from the queue
            await self._settle(item, acknowledged)
        for response in work.responses:
            self._downlink.respond(response)
        self._sessions.protect(set())

    async def _commit(self, work: Work) -> bool:
        progress = [session.progress() for session in work.progress.values()]

        def job(connection: sqlite3.Connection) -> None:
            if work.entries:
                self._outbox.insert(connection, work.entries)
            for write in work.writes:
                write(connection)
            for opened in work.opened:
                store.put_opened(connection, opened.dev_eui, opened.counter)
            if self._target is not None and work.opened:
                self._target.insert(connection, [opened.entry for opened in work.opened])
            store.save_progress(connection, progress)

        try:
            await self._database.run(job)
        except (StorageError, sqlite3.Error) as error:
            for dev_eui in work.touched:
                self._sessions.forget(dev_eui)
                self._distribution.forget(dev_eui)
            self.counts["not_stored"] += len(work.entries)
            log.error("a batch could not be stored; none of it is acknowledged", extra={"error": str(error)})
            return False
        self._outbox.wake()
        if self._target is not None:
            self._target.wake()
        return True

    async def _exchange_keys(self, work: Work) -> None:
        """What adapters say to us as their partner, and the first use of keys agreed with them."""
        try:
            await self._partner.hear(work.key_messages)
            await self._partner.used([(opened.dev_eui, opened.slot) for opened in work.opened if opened.first])
        except (StorageError, SealedFileError) as error:
            log.error("a key agreement could not go on; it is repeated", extra={"error": str(error)})

    def _one(self, uplink: Uplink, work: Work) -> None:
        phy = uplink.phy
        if len(phy) < MIN_DATA_PHY or len(phy) > MAX_PHY:
            self.counts["length"] += 1
        elif phy[0] & _MTYPE_AND_MAJOR in _DATA_UP:
            self._data(uplink, phy, work)
        elif phy[0] & _MTYPE_AND_MAJOR == 0:
            self._join(uplink, phy, work)
        else:
            self.counts["type"] += 1

    def _data(self, uplink: Uplink, phy: bytes, work: Work) -> None:
        found = self._authenticate(phy)
        if found is None:
            self._refuse(uplink, phy, work)
            return
        device, session, frame, fcnt = found
        work.touched.add(device.dev_eui)
        if fcnt < session.next_up:
            self._retransmitted(uplink, device, session, frame, work)
            return
        session.next_up = fcnt + 1
        self._activate(device, session, work)
        self._note_acknowledgement(device, frame, work)
        answers, wanted = self._mac_commands(uplink, device, session, frame)
        if self._for_application(frame):
            self._take(self._distribution.route(device, session, uplink.copies, fcnt, frame), device, frame, work)
        response = Response(uplink, device, session, None, frame.confirmed, wanted or frame.adr_ack_req, answers)
        self._look_at_clock(device, fcnt, frame, response, work)
        if self._downlink.needed(response):
            session.reserve_down()
            work.responses.append(response)
        work.progress[session.id] = session
        self.counts["accepted"] += 1

    def _take(self, route: Route, device: Device, frame: Frame, work: Work) -> None:
        work.entries.append(route.telegram)
        if route.opened is not None:
            work.opened.append(route.opened)
        if frame.fport == KEY_EXCHANGE_PORT:
            work.key_messages.append((device.dev_eui, frame.payload))

    def _authenticate(self, phy: bytes) -> tuple[Device, Session, Frame, int] | None:
        """The session whose key and counter fit. Raises FrameError for a frame that nobody could have meant."""
        received = phy[6] | phy[7] << 8
        for device, session in self._sessions.candidates(int.from_bytes(phy[1:5], "little")):
            try:
                fcnt = full_fcnt(received, session.next_up)
                frame = session.crypto.open_uplink(phy, fcnt)
            except (MicMismatch, CounterExhausted):
                continue
            if device.lorawan != "1.0.4" and fcnt - session.next_up > MAX_FCNT_GAP:
                continue
            return device, session, frame, fcnt
        return None

    def _retransmitted(self, uplink: Uplink, device: Device, session: Session, frame: Frame, work: Work) -> None:
        """The last frame once more: acknowledged again, never stored again."""
        self.counts["retransmitted"] += 1
        if not frame.confirmed:
            return
        if session.reserve_down():
            work.progress[session.id] = session
        work.responses.append(Response(uplink, device, session, ack=True))

    def _activate(self, device: Device, session: Session, work: Work) -> None:
        """The first uplink under a new session ends the old one; the inner counter goes on."""
        if not session.pending:
            return
        old = device.active
        if session.counter is None and old is not None:
            session.counter = old.counter
        session.pending = False
        if old is not None:
            work.progress.pop(old.id, None)
            self._sessions.forget_address(old.dev_addr)
        device.sessions = [session]
        work.writes.append(lambda connection: store.activate_session(connection, session.id, device.dev_eui))

    def _note_acknowledgement(self, device: Device, frame: Frame, work: Work) -> None:
        item = self._queue.take_awaiting(device.dev_eui)
        if item is not None:
            work.awaited.append((item, frame.ack))

    def _mac_commands(
        self, uplink: Uplink, device: Device, session: Session, frame: Frame
    ) -> tuple[list[MacCommand], bool]:
        """(answers, whether a sticky answer asks for a downlink)."""
        stream = frame.payload if frame.fport == 0 else frame.fopts
        if not stream:
            return [], False
        commands, unknown = parse_commands(stream, uplink=True)
        if unknown:
            self.counts["mac_unknown"] += 1
            log.info("MAC commands cut", extra={"dev_eui": device.dev_eui, "cid": unknown[0], "octets": len(unknown)})
        sticky = mac.take_answers(session.mac, commands)
        session.mac_blob = session.mac.encode()
        best = uplink.best
        gps = self._keeper.gps(best.received_at) if self._keeper.may_tell(best.time_quality) else None
        answers = mac.answers(commands, uplink.copies, self._plan, gps)
        if any(isinstance(command, DeviceTimeReq) for command in commands):
            self._tracking.may_have_set_its_clock(device)
        return answers, sticky

    def _look_at_clock(self, device: Device, fcnt: int, frame: Frame, response: Response, work: Work) -> None:
        """Measure a telegram that has a slot, answer a question for the time."""
        uplink, session = response.uplink, response.session
        measured = None
        if frame.fport == CLOCK_PORT:
            asked = clock_service.requests(frame.payload, device.dev_eui)
            if not asked or device.slot is None:
                response.clock = clock_service.answer(asked, uplink, self._keeper)
                return
            measured = self._tracking.asked(device, uplink, fcnt, asked[-1])  # whole seconds would be of no use to it
        elif frame.fport in COUNTED_PORTS and device.slot is not None and session is not None:
            answerable = self._downlink.may_answer(uplink, device, session, clock_service.ANSWER_OCTETS)
            measured = self._tracking.measure(device, uplink, fcnt, answerable=answerable)
        if measured is None:
            return
        state = measured.state
        work.entries += measured.entries
        work.writes.append(lambda connection: store.put_track(connection, device.dev_eui, state))
        response.clock = measured.answer
        if measured.answer is not None and measured.is_clock:
            response.clock_unsent = lambda: self._tracking.unsent(device)

    def _for_application(self, frame: Frame) -> bool:
        """Whether there is a telegram in it; a frame without application payload leaves only its counter."""
        if frame.fport is None or frame.fport in (0, CLOCK_PORT):
            return False
        if frame.fport > LAST_APPLICATION_PORT:
            self.counts["reserved_port"] += 1
            return False
        return True

    def _refuse(self, uplink: Uplink, phy: bytes, work: Work) -> None:
        """Nobody's frame, or one of ours that does not fit: say which."""
        parsed = parse(phy)
        assert isinstance(parsed, DataFrame)
        address = f"{parsed.dev_addr:08x}"
        reason, named = "mic", None
        known = False
        for device, session in self._sessions.candidates(parsed.dev_addr):
            known = True
            diagnosis = _diagnose(session, device, phy, parsed.fcnt)
            if diagnosis is not None:
                reason, named = diagnosis, device.dev_eui
                break
        if not known:
            self.counts["stranger"] += 1
            work.add(self._heard.note(address, uplink.best, dev_addr=address, fcnt=parsed.fcnt))
            return
        self.counts[f"refused_{reason}"] += 1
        work.add(
            self._events.rated(
                "frame_refused",
                named,
                reason,
                key=(address,),
                budget=self._events.strangers if named is None else None,
                dev_addr=address,
                fcnt=parsed.fcnt,
                fport=parsed.fport,
                **link(uplink.best),
            )
        )

    def _join(self, uplink: Uplink, phy: bytes, work: Work) -> None:
        request = parse(phy)
        if not isinstance(request, JoinRequest):
            raise FrameError("a join-request of another type")
        dev_eui = str(request.dev_eui)
        if not self._joins.known(request):
            self.counts["stranger"] += 1
            work.add(self._heard.note(dev_eui, uplink.best, join_eui=str(request.join_eui)))
            return
        if dev_eui in work.joining:
            return  # a second request in one batch: the device will ask again
        detail = {"dev_nonce": request.dev_nonce, **link(uplink.best)}
        try:
            joined = self._joins.answer(phy, request)
        except JoinRefused as refused:
            self.counts[f"join_{refused.reason}"] += 1
            work.add(
                self._events.rated("join_refused", dev_eui, refused.reason, join_eui=str(request.join_eui), **detail)
            )
            return
        work.joining.add(dev_eui)
        work.touched.add(dev_eui)
        work.writes.append(joined.write)
        work.entries.append(
            self._events.make("joined", dev_eui, dev_addr=f"{joined.dev_addr:08x}", epoch=joined.epoch, **detail)
        )
        work.responses.append(Response(uplink, accept=joined.accept))
        self.counts["joined"] += 1

    async def _settle(self, item: Item, acknowledged: bool) -> None:
        try:
            await (self._queue.acknowledged(item) if acknowledged else self._queue.unacknowledged(item))
        except StorageError as error:
            log.error("a downlink's outcome could not be stored", extra={"error": str(error)})


def _diagnose(session: Session, device: Device, phy: bytes, received: int) -> str | None:
    """Why an authentic frame of this session is not accepted: "replay" or "counter"; None when it is not of it.

    A device whose counter began anew without a join and a replayed old frame look alike; with a fixed session the
    former is likelier.
    """
    high = session.next_up & ~0xFFFF
    for fcnt in dict.fromkeys((high | received, high - 0x10000 + received, received)):
        if 0 <= fcnt < session.next_up and session.crypto.verify(phy, fcnt, uplink=True):
            return "replay"
    try:
        fcnt = full_fcnt(received, session.next_up)
    except CounterExhausted:
        return "counter"
    if device.lorawan != "1.0.4" and session.crypto.verify(phy, fcnt, uplink=True):
        return "counter"
    return None
