"""What an adapter does on the radio during commissioning, and when: short polls, then a reading that has to arrive."""

from typing import Final

from adapter_agent.pace import Pace

POLL_S: Final = (5.0, 60.0)
POLL_GROWTH: Final = 1.5
POLLS_WHEN_CONFIGURED: Final = 4  # an adapter that was configured before may have nothing to wait for
HOLD_S: Final = 20.0  # so long the first reading waits for the configuration that decides what is in it
READING_AGAIN_S: Final = (6.0, 48.0)  # until it has been acknowledged
READING_EVERY_S: Final = 60.0
SILENT_AGAIN_S: Final = 2.0
AIR_TO_POLL, AIR_TO_READING = 20, 40  # a pause is at least so many times the airtime, so that the hour's budget lasts


class Walk:
    """Pure: times are monotonic seconds, airtimes seconds. Not `active` before the first `begin` and after `end`."""

    def __init__(self) -> None:
        self.active = False
        self._polls = Pace(*POLL_S, POLL_GROWTH)
        self._readings = Pace(*READING_AGAIN_S)
        self._reported_at: float | None = None
        self._configured = False
        self._expects_more = True
        self._arrived = False

    def begin(self) -> None:
        """Commissioning has begun, or a new session has: nothing has been told in it yet."""
        self.active = True
        self._reported_at, self._configured, self._arrived = None, False, False

    def end(self) -> None:
        self.active = False

    def reported(self, now: float, version: int) -> None:
        """The report has arrived; it named the running `version`."""
        if self._reported_at is None:
            self._reported_at = now
            self._polls.restart(now + POLL_S[0])
            self._readings.restart(now)
        self._expects_more = not version

    def configured(self) -> None:
        """A configuration has come; it will be reported next, and read under at once."""
        self._reported_at, self._configured, self._arrived = None, True, False

    def read(self, now: float, acknowledged: bool, air_s: float) -> None:
        """A reading went out."""
        if acknowledged:
            self._arrived = True
            self._readings.restart(now + max(READING_EVERY_S, AIR_TO_READING * air_s))
        else:
            self._readings.later(now, AIR_TO_POLL * air_s)

    def silent(self, now: float) -> None:
        """No meter has said anything yet."""
        self._readings.due = now + SILENT_AGAIN_S

    def polled(self, now: float, air_s: float) -> None:
        """An empty uplink went out to fetch what the network holds ready."""
        self._polls.later(now, AIR_TO_POLL * air_s)

    @property
    def urgent(self) -> bool:
        """Whether the next reading has to be acknowledged."""
        return self.active and not self._arrived

    @property
    def poll_due(self) -> float | None:
        """None: there is nothing to fetch."""
        if not self.active or self._reported_at is None or self._configured:
            return None
        if not self._expects_more and self._polls.count >= POLLS_WHEN_CONFIGURED:
            return None
        return self._polls.due

    @property
    def reading_due(self) -> float | None:
        """None: the report comes first."""
        if not self.active or self._reported_at is None:
            return None
        hold = 0.0 if self._configured else self._reported_at + HOLD_S
        return max(self._readings.due, hold)
