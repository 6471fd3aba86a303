"""The portal's requests for what it lacks of a day: believed when authentic, answered within bounds."""

import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from adapter_agent.daybook.folder import DayFolder
from adapter_agent.daybook.memory import Memory
from edge.clock import Clock
from meterwire import signed_day
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.seal import Key16
from meterwire.signed_day import PORT, DayRefusal, DayRequest, LeafHash, Reason, Wanted

log = logging.getLogger(__name__)

MAX_FRAMES: Final = 16  # that answer one request; the portal asks for the rest
MAX_WAITING: Final = 64
MAX_REQUESTS: Final = 12  # believed in an hour; more of them are left alone
HOUR_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Uplink:
    """One uplink of the daybook. `day` is the signed day whose next frame it is, `counter` a repeated telegram's."""

    port: int
    payload: bytes
    confirmed: bool = False
    day: int | None = None
    counter: int | None = None


class Answers:
    """Kept in memory: what a restart loses is asked for again."""

    def __init__(self, folder: DayFolder, memory: Memory, clock: Clock) -> None:
        self._folder, self._memory, self._clock = folder, memory, clock
        self._queue: deque[Uplink] = deque()
        self._believed: deque[float] = deque(maxlen=MAX_REQUESTS)

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def next(self) -> Uplink | None:
        return self._queue.popleft() if self._queue else None

    def take(self, payload: bytes, mac_key: Key16, dev_eui: DevEUI, today: int | None) -> bool:
        """A request as it came; True when the signing key is to be announced again."""
        try:
            request = signed_day.decode(payload, up=False)
            if not isinstance(request, DayRequest):
                return False
            signed_day.authenticate(payload, mac_key, dev_eui)
        except MeterspanError as error:
            log.warning("a request for a signed day was not believed: %s", error, extra={"code": error.code})
            return False
        now = self._clock.monotonic()
        if len(self._believed) == MAX_REQUESTS and now - self._believed[0] < HOUR_S:
            log.warning("too many requests for signed days in an hour", extra={"day": request.day})
            return False
        self._believed.append(now)
        if request.wanted is Wanted.KEY:
            return True
        try:
            self._queue_up(self._answers(request, today))
        except OSError as error:
            log.error("a day cannot be read: %s", error, extra={"alarm": "daybook"})
        return False

    def _queue_up(self, uplinks: list[Uplink]) -> None:
        for uplink in uplinks[:MAX_FRAMES]:
            if uplink not in self._queue and len(self._queue) < MAX_WAITING:
                self._queue.append(uplink)

    def _answers(self, request: DayRequest, today: int | None) -> list[Uplink]:
        held = self._folder.leaves(request.day)
        signed = self._memory.day(request.day)
        if not held and signed is None:
            return [_refusal(request, Reason.NOTHING_HELD)]
        if request.wanted in (Wanted.SIGNATURE, Wanted.RUNS) and signed is None:
            return [] if request.day == today else [_refusal(request, Reason.UNSIGNED)]
        if request.wanted is Wanted.SIGNATURE and signed is not None:
            return [Uplink(PORT, signed_day.encode(frame)) for frame in signed.frames()]
        if request.wanted is Wanted.RUNS and signed is not None:
            wanted = [frame for frame in signed.runs() if frame.runs[-1].end > request.first]
            return [Uplink(PORT, signed_day.encode(frame)) for frame in wanted]
        end = request.first + request.count
        telegrams = {one.counter: one for one in self._folder.telegrams(request.day)}
        found = []
        for counter, digest in held:
            if not request.first <= counter < end:
                continue
            kept = telegrams.get(counter) if request.wanted is Wanted.TELEGRAMS else None
            if kept is not None:
                found.append(Uplink(kept.port, kept.payload, counter=counter))
            else:
                found.append(Uplink(PORT, signed_day.encode(LeafHash(request.day, counter, digest))))
        return found or [_refusal(request, Reason.NOTHING_HELD)]


def _refusal(request: DayRequest, reason: Reason) -> Uplink:
    return Uplink(PORT, signed_day.encode(DayRefusal(request.day, request.wanted, reason)))
