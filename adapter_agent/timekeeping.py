"""The network's time on this machine's monotonic clock: what answers make of it, and what a restart leaves of it."""

import logging
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from adapter_agent.discipline import Discipline, Held, Sample, Verdict
from adapter_agent.durable import Durable
from edge.clock import Clock
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
SAVE_S: Final = 900.0
TICK_S: Final = 1 / 256  # DeviceTimeAns is cut to that
TOLD_S: Final = 0.008  # uncertainty of a DeviceTimeAns: half a tick, and both ends' stamps
REMEMBERED: Final = 32  # uplinks that an answer may still tell about


class Timekeeping:
    """Feeds the discipline and keeps it. `boot` names this start of the machine, "" where that cannot be told."""

    def __init__(self, clock: Clock, file: Durable, boot: str | None = None) -> None:
        self._clock, self._file = clock, file
        self._boot = boot_id() if boot is None else boot
        self._started: deque[tuple[int, float, float, float]] = deque(maxlen=REMEMBERED)
        self._saved_at: float | None = None
        self.answers = 0  # authenticated ones that were believed
        self._held = self._load()
        runs_on = self._held is not None and self._held.runs_on(self._boot, clock.time(), clock.monotonic())
        self.discipline = Discipline(self._held, runs_on=runs_on)

    def unix(self) -> float | None:
        """UTC now as this clock has it; None before the first answer."""
        return self.discipline.unix(self._clock.monotonic())

    def uncertainty(self) -> float:
        """Seconds by which it may be wrong now."""
        return self.discipline.uncertainty(self._clock.monotonic())

    def sending(self, fcnt: int, monotonic_s: float) -> None:
        """The uplink `fcnt` began to leave then: what this clock showed is remembered for the answer about it."""
        unix = self.discipline.unix(monotonic_s)
        if unix is not None:
            self._started.append((fcnt & 0xFFFF, monotonic_s, unix, self.discipline.rate))

    def forget(self) -> None:
        """A new session: its frame counters begin anew."""
        self._started.clear()

    def told(self, unix_s: float, monotonic_s: float) -> None:
        """DeviceTimeAns: it was `unix_s`, cut to a tick, when the monotonic clock stood at `monotonic_s`."""
        self._take(Sample(monotonic_s, unix_s + TICK_S / 2, TOLD_S), False)

    def answered(
        self,
        fcnt_low: int,
        offset_s: float,
        rate: float,
        uncertainty_s: float,
        *,
        leap_soon: bool = False,
        holds_s: float = 0.0,
        drift: float = 0.0,
    ) -> bool:
        """ClockAnswer: at the start of that uplink this clock was `offset_s` ahead of UTC, and it gains `rate` per
        second. ClockForecast: for `holds_s` it goes wrong by `drift` (s/s) at most. False when that uplink is not
        remembered, or the answer is doubted.
        """
        for fcnt, monotonic_s, unix, rate_then in reversed(self._started):
            if fcnt == fcnt_low:
                crystal = (1 + rate_then) * (1 + rate) - 1
                sample = Sample(monotonic_s, unix - offset_s, uncertainty_s, crystal, holds_s, drift)
                return self._take(sample, leap_soon) in (Verdict.FIRST, Verdict.TAKEN, Verdict.STEPPED)
        log.info("a clock answer about an uplink that is not remembered", extra={"fcnt": fcnt_low})
        return False

    def hinted(self, unix_s: float, monotonic_s: float, uncertainty_s: float) -> bool:
        """A beacon: it was `unix_s` then. Whether it was taken; it is not stored, as nobody vouches for it."""
        return self.discipline.hint(Sample(monotonic_s, unix_s, uncertainty_s))

    def _take(self, sample: Sample, leap_soon: bool) -> Verdict:
        before = self.discipline.unix(sample.monotonic_s)
        verdict = self.discipline.take(sample, leap_soon=leap_soon)
        error = None if before is None else round(before - sample.unix_s, 4)
        if verdict is Verdict.DOUBTED:
            log.warning("the network's time contradicts this clock", extra={"alarm": "clock_doubted", "ahead_s": error})
            if self._held is not None and self._held.boot:  # a restart must not make it believe itself again
                self._write(msgspec.structs.replace(self._held, boot=""))
        elif verdict is Verdict.STEPPED:
            log.warning("the clock is set: the network told it twice", extra={"alarm": "clock_step", "ahead_s": error})
        else:
            log.info("the clock was checked", extra={"ahead_s": error, "ppm": round(self.discipline.rate * 1e6, 2)})
        self.answers += verdict in (Verdict.FIRST, Verdict.STEPPED, Verdict.TAKEN)
        rested = self._saved_at is None or sample.monotonic_s - self._saved_at >= SAVE_S
        if verdict in (Verdict.FIRST, Verdict.STEPPED) or (verdict is Verdict.TAKEN and rested):
            self._save()
        return verdict

    def _save(self) -> None:
        now = self._clock.monotonic()
        held = self.discipline.held(self._boot, self._clock.time(), now)
        if held is not None:
            self._saved_at = now
            self._write(held)

    def _write(self, held: Held) -> None:
        self._held = held
        try:
            self._file.write(msgspec.json.encode(held))
        except MeterspanError as error:  # after a restart the network is asked again
            log.warning("the clock's rate cannot be kept: %s", error, extra={"code": error.code})

    def _load(self) -> Held | None:
        try:
            content = self._file.read()
            return None if content is None else msgspec.json.decode(content, type=Held)
        except (MeterspanError, msgspec.DecodeError):
            log.warning("the stored clock is damaged; the network is asked for the time")
            return None


def boot_id() -> str:
    """The kernel's name for this start of the machine; "" where it has none."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
