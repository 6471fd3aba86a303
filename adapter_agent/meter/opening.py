"""From the layers of an M-Bus telegram to a reading: opened with the meter's key, or passed through [0073, 0104]."""

import logging
from collections import Counter
from typing import Final

from adapter_agent.meter.installation import METER_PORT, OMS_PORT, Installation, Passed
from meterwire.errors import AuthenticationError, FormatError, ReplayError, UnsupportedSecurity
from meterwire.reading import Reading
from meterwire.wmbus import Address, Upper, decode_records, decode_upper, open_records, reading_of
from meterwire.wmbus.transport import MODE_7

log = logging.getLogger(__name__)

OPENED: Final = ""
ALARMS: Final = {
    "no_meter_key": "the meter encrypts and there is no key for it; deliver the meter's key",
    "wrong_meter_key": "the meter's telegrams do not open under its key; compare the key with the maker's list",
    "unsupported": "the meter protects its telegrams in a way that cannot be opened here",
}


class Opener:
    """Opens the telegrams of one meter. `refused` counts, per reason, those that gave no reading.

    Once the meter has sent authenticated telegrams (mode 7), weaker ones are refused: whoever cannot forge the former
    could forge the latter. While a key is held, so are plain ones.
    """

    def __init__(self, installation: Installation, *, wired: bool) -> None:
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self._installation, self._wired = installation, wired
        self._counter: int | None = None
        self._last = b""
        self._state = OPENED

    def open(self, octets: bytes, link: Address | None = None) -> Reading | None:
        """The reading in layers that begin at the first CI-field; None when there is none or it was passed through.

        `link` is the link layer's address of a wireless telegram.
        """
        address = link
        try:
            upper = decode_upper(octets)
            address = upper.address or link
            return self._open(octets, upper, address)
        except UnsupportedSecurity:
            if self._wired or self._is_ours(address):
                self._pass_through(METER_PORT, octets, "unsupported")
            else:
                self.refused["unsupported"] += 1  # a stranger's, as far as can be told
        except FormatError as error:
            self.refused[error.code] += 1
        return None

    def _open(self, octets: bytes, upper: Upper, address: Address | None) -> Reading | None:
        if address is None:
            raise FormatError("the telegram does not say which meter it is from")
        if not self._concerns(address, upper):
            self.refused["stranger"] += 1
            return None
        if octets == self._last:
            self.refused["repeated"] += 1
            return None
        key = self._installation.key()
        if key is not None and self._weaker(upper):
            self.refused["unprotected"] += 1
            return None
        try:
            opened = open_records(upper, address, key, self._counter)
            records = decode_records(opened.records)
        except ReplayError:
            self.refused["replay"] += 1
            return None
        except AuthenticationError:
            if self._installation.meter is None and not self._wired:
                self.refused["stranger"] += 1
            else:
                reason = "no_meter_key" if key is None else "wrong_meter_key"
                self._pass_through(OMS_PORT, upper.octets, reason)
            return None
        self._accept(octets, upper, opened.counter)
        return reading_of(records, address, wired=self._wired)

    def _accept(self, octets: bytes, upper: Upper, counter: int | None) -> None:
        self.accepted += 1
        if upper.protected:
            self._tell(OPENED)
        if counter is not None:
            # Only an authenticated telegram can be told from its repetition; a plain meter may repeat its values.
            self._counter, self._last = counter, octets

    def _concerns(self, address: Address, upper: Upper) -> bool:
        if self._wired:
            return True
        if self._installation.meter is None:
            return upper.mode == MODE_7
        return self._is_ours(address)

    def _is_ours(self, address: Address | None) -> bool:
        meter = self._installation.meter
        return meter is not None and address is not None and address.meter_id == meter

    def _weaker(self, upper: Upper) -> bool:
        return not upper.protected or (self._counter is not None and upper.mode != MODE_7)

    def _pass_through(self, port: int, octets: bytes, reason: str) -> None:
        self.refused[reason] += 1
        self._tell(reason)
        self._installation.passed(Passed(port, octets, reason))

    def _tell(self, state: str) -> None:
        """Say once what has changed."""
        if state == self._state:
            return
        if state == OPENED:
            log.info("the meter's telegrams are opened", extra={"alarm": self._state, "state": "over"})
        else:
            log.warning("%s; passed through as they are until then", ALARMS[state], extra={"alarm": state})
        self._state = state
