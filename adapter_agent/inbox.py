"""Downlinks on port 33: parts collected, checked as a whole, saved, and only then in force."""

import logging
from collections.abc import Callable, Collection
from typing import Final

from adapter_agent.configuration import Configuration, ConfigurationFile, Unusable, checked
from edge.clock import Clock
from meterwire import config_records
from meterwire.config_records import Assembly, ConfigurationRefused, Part
from meterwire.errors import FormatError, MeterspanError

log = logging.getLogger(__name__)

MAX_PARTS: Final = 32  # eight inputs with everything set take about ten of the shortest
PATIENCE_S: Final = 900.0  # parts further apart belong to different attempts


class Inbox:
    """Holds the configuration that is `running`.

    `applied` is called after each complete one, also when the same came again: the portal has not heard yet that it
    runs. `refusal` tells what was wrong with the last one that was not taken, until one is.
    """

    def __init__(
        self,
        file: ConfigurationFile,
        inputs: Collection[int] | None,
        clock: Clock,
        applied: Callable[[Configuration, bool], None],
        refused: Callable[[], None],
    ) -> None:
        self.running = file.load()
        self.refusal: ConfigurationRefused | None = None
        self._file, self._inputs, self._clock = file, inputs, clock
        self._applied, self._refused = applied, refused
        self._assembly, self._last = Assembly(), 0.0

    def forget(self) -> None:
        """A new session: what is left of the old one's parts may never be completed."""
        self._assembly = Assembly()

    def take(self, payload: bytes) -> None:
        """One downlink, whatever is in it."""
        try:
            part = config_records.decode(payload)
            if part.parts > MAX_PARTS:
                raise Unusable(0, "too many parts")
            self._add(part)
        except Unusable as error:
            self._refuse(payload, error.record, error.reason, error)
        except FormatError as error:
            self._refuse(payload, 0, error.code, error)

    def _add(self, part: Part) -> None:
        now = self._clock.monotonic()
        if now - self._last > PATIENCE_S:
            self.forget()
        self._last = now
        records = self._assembly.add(part)
        if records is not None:
            self._apply(checked(part.version, records, self._inputs))

    def _apply(self, configuration: Configuration) -> None:
        new = configuration != self.running
        if new:
            try:
                self._file.save(configuration)
            except MeterspanError as error:
                log.error("the configuration cannot be kept: %s", error, extra={"code": error.code})
                raise Unusable(0, "cannot be stored") from None
            log.info("a configuration is in force", extra={"version": configuration.version})
        self.running, self.refusal = configuration, None
        self._applied(configuration, new)

    def _refuse(self, payload: bytes, record: int, reason: str, error: MeterspanError) -> None:
        log.warning("a downlink on port %s was not applied: %s", config_records.PORT, error)
        if len(payload) < config_records.HEADER_LENGTH:
            return  # there is no version in it that a refusal could name
        self.forget()
        self.refusal = ConfigurationRefused(
            int.from_bytes(payload[:2], "big"), record, reason[: config_records.MAX_REASON]
        )
        self._refused()
