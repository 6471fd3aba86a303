"""Whether the network still answers, and when it is given up."""

import logging
from typing import Final

log = logging.getLogger(__name__)

SILENCE_CHECK: Final = 64  # uplinks without any downlink, then the network is asked for a sign of life …
SILENCE_REJOIN: Final = SILENCE_CHECK + 32  # … and after so many it is given up
DOUBTFUL_TRIES: Final = 2  # transmissions of a confirmed uplink to a network that may be none of ours any more


class Silence:
    """`doubtful`: somebody waits, and the network has not been heard since."""

    def __init__(self, tries: int, rejoin_after: int) -> None:
        """A confirmed uplink is sent up to `tries` times; after `rejoin_after` unanswered ones the network is lost."""
        self.doubtful = False
        self._tries, self._rejoin_after = tries, rejoin_after
        self._unanswered = self._unheard = self._tried = 0

    def over(self) -> None:
        """The network was heard, or a session begins."""
        self._unanswered = self._unheard = self._tried = 0
        self.doubtful = False

    @property
    def uncertain(self) -> bool:
        """Whether the last confirmed uplink stayed unanswered."""
        return self._unanswered > 0

    @property
    def wants_sign(self) -> bool:
        """Whether it is time to ask for a sign of life."""
        return self._unheard >= SILENCE_CHECK

    @property
    def tries(self) -> int:
        """How often to send a confirmed uplink: half as often after each that stayed unanswered, since just these may
        overwhelm the network.
        """
        return self._tries_after(self._unanswered)

    def _tries_after(self, unanswered: int) -> int:
        return min(self._tries, DOUBTFUL_TRIES) if self.doubtful else max(1, self._tries >> unanswered)

    def count(self, *, heard: bool, unanswered: int) -> None:
        """An uplink is over; `unanswered`: how often it was sent, when it asked for an answer that did not come."""
        self._unheard += not heard
        if unanswered:
            self._unanswered += 1
            self._tried += unanswered
            log.info("no acknowledgement", extra={"in_a_row": self._unanswered})

    @property
    def lost(self) -> bool:
        """Whether to join again. What could not be repeated, for want of time before a slot, counts for less."""
        after = 1 if self.doubtful else self._rejoin_after
        enough = sum(self._tries_after(number) for number in range(after))
        return self._unheard >= SILENCE_REJOIN or (self._unanswered >= after and self._tried >= enough)
