"""The keys in use, and the one way to change them: stored as a whole first, in force only then."""

import logging
from collections.abc import Callable
from typing import Final

from adapter_agent.durable import Durable
from adapter_agent.keys.holding import Holding
from meterwire.errors import MeterspanError
from meterwire.keymemory import KeyMemory
from meterwire.seal import Key16

log = logging.getLogger(__name__)


class KeyRing:
    """`memory` is the same object for ever, so that whoever seals always has the keys in force."""

    def __init__(self, file: Durable, encode: Callable[[Holding], bytes], holding: Holding) -> None:
        self.holding: Holding = holding
        self.memory: Final[KeyMemory] = holding.memory()
        self._file, self._encode = file, encode

    def meter_key(self, input_: int) -> Key16 | None:
        """The key with which the meter at `input_` (0 to 7) encrypts by itself; None when there is none."""
        return self.holding.meters.get(input_)

    def change(self, holding: Holding) -> None:
        """Store `holding` and go over to it. Raises what the file raises; then everything is as before."""
        try:
            self._file.write(self._encode(holding))
        except MeterspanError:
            self._restore()
            raise
        self.holding = holding
        self.memory.take_over(holding.inner)

    def _restore(self) -> None:
        # A write may fail after the new content is in its place: a restart must not find what was refused.
        try:
            self._file.write(self._encode(self.holding))
        except MeterspanError as error:
            log.error("the keys cannot be stored: %s", error, extra={"code": error.code})
