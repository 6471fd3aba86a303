"""Telegrams that a meter protected itself and that are not opened here: the latest of each input goes out as it is."""

import logging
from typing import Final

from adapter_agent.meter.installation import Passed
from edge.clock import Clock

log = logging.getLogger(__name__)

MAX_BYTES: Final = 51  # what every data rate carries; nothing is cut into pieces
ALARM: Final = "meter_telegram_too_long"


class PassThrough:
    """Keeps one telegram per input until it is taken; one older than `silent_after_s` is not sent."""

    def __init__(self, clock: Clock, silent_after_s: float) -> None:
        self.too_long = 0
        self._clock, self._silent_after_s = clock, silent_after_s
        self._latest: dict[int, tuple[Passed, float]] = {}
        self._told: dict[int, int] = {}

    def put(self, input_: int, passed: Passed) -> None:
        """The meter at `input_` has sent a telegram; one of more than MAX_BYTES raises an alarm instead."""
        size = len(passed.payload)
        if size > MAX_BYTES:
            self.too_long += 1
            self._latest.pop(input_, None)
            self._tell(input_, size)
            return
        self._told.pop(input_, None)
        self._latest[input_] = (passed, self._clock.monotonic())

    def opened(self, input_: int) -> None:
        """A telegram of that meter was opened: what waits is not needed any more."""
        self._latest.pop(input_, None)
        self._told.pop(input_, None)

    def take(self) -> list[Passed]:
        """What is to be sent now, by input; each telegram once."""
        now = self._clock.monotonic()
        waiting, self._latest = self._latest, {}
        return [passed for _, (passed, at) in sorted(waiting.items()) if now - at <= self._silent_after_s]

    def _tell(self, input_: int, size: int) -> None:
        if self._told.get(input_) != size:
            self._told[input_] = size
            log.error(
                "the meter at input %s encrypts %s bytes, %s can be passed through: deliver the meter's key, or set the"
                " meter to send fewer registers",
                input_,
                size,
                MAX_BYTES,
                extra={"alarm": ALARM, "input": input_, "bytes": size},
            )
