"""What the device must remember over a power failure, in one sealed file (TS001-1.0.4, TR007 4.13)."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from adapter_agent.durable import Durable
from adapter_agent.radio.backoff import JoinBackoff
from adapter_agent.radio.link import Link
from meterwire.errors import FormatError
from meterwire.lorawan.crypto import SessionKeys
from meterwire.lorawan.dutycycle import DutyCycleLedger
from meterwire.lorawan.region import Region

FCNT_BLOCK: Final = 32  # frame counters reserved with one write
UNSAVED_AIR_S: Final = 1.0  # seconds on the air that a power failure may make the ledger forget


@dataclass(slots=True)
class SessionState:
    """One session. `fcnt_up` is the next to use, `fcnt_down` the next to expect; both 32 bits."""

    dev_addr: int
    keys: SessionKeys
    link: Link
    fcnt_up: int = 0
    fcnt_down: int = 0


@dataclass(slots=True)
class RadioState:
    """`dev_nonce` is the next to use, `join_nonce` the last accepted, `epoch` the number of sessions so far."""

    ledger: DutyCycleLedger
    dev_nonce: int = 0
    join_nonce: int = -1
    epoch: int = 0
    session: SessionState | None = None
    backoff: JoinBackoff = field(default_factory=JoinBackoff)


class RadioStore:
    """Loads and saves the state of a device in `region`.

    Frame counters are reserved ahead; a state that was not saved with `clean` resumes behind the reservation, and with
    a little air booked in every sub-band for what the ledger may not know.
    """

    def __init__(self, file: Durable, region: Region) -> None:
        self._file = file
        self._region = region
        self._reserved = 0

    def load(self, now: float) -> RadioState:
        """The stored state at the Unix time `now`, or a new device's. Raises FormatError for a damaged one."""
        content = self._file.read()
        if content is None:
            return RadioState(DutyCycleLedger(self._region.sub_bands))
        try:
            return self._restore(msgspec.json.decode(content), now)
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.DecodeError):
            raise FormatError("the stored radio state is damaged; restore the state folder from a backup") from None

    def save(self, state: RadioState, *, clean: bool = False) -> None:
        """Write everything; the session's counters up to the reservation are then safe to use."""
        session = state.session
        if session is not None:
            self._reserved = session.fcnt_up + (0 if clean else FCNT_BLOCK)
        content = {
            "clean": clean,
            "dev_nonce": state.dev_nonce,
            "join_nonce": state.join_nonce,
            "epoch": state.epoch,
            "air": state.ledger.to_state(),
            "backoff": state.backoff.to_state(),
            "session": None
            if session is None
            else {
                "dev_addr": session.dev_addr,
                "keys": session.keys.to_bytes(),
                "fcnt_up": self._reserved,
                "fcnt_down": session.fcnt_down,
                "link": session.link.to_state(),
            },
        }
        self._file.write(msgspec.json.encode(content))

    def reserve(self, state: RadioState) -> None:
        """Make sure that the session's next `fcnt_up` may be used."""
        if state.session is not None and state.session.fcnt_up >= self._reserved:
            self.save(state)

    def _restore(self, content: dict[str, Any], now: float) -> RadioState:
        ledger = DutyCycleLedger.from_state(self._region.sub_bands, content["air"])
        if not content["clean"]:
            for band in self._region.sub_bands:
                ledger.record(band.low_hz, min(UNSAVED_AIR_S, band.budget_s), now)
        session = content["session"]
        return RadioState(
            ledger,
            int(content["dev_nonce"]),
            int(content["join_nonce"]),
            int(content["epoch"]),
            None if session is None else self._session(session),
            JoinBackoff.from_state(content["backoff"]),
        )

    def _session(self, content: dict[str, Any]) -> SessionState:
        keys = SessionKeys.from_bytes(msgspec.convert(content["keys"], bytes))
        self._reserved = int(content["fcnt_up"])
        return SessionState(
            int(content["dev_addr"]),
            keys,
            Link.from_state(content["link"]),
            self._reserved,
            int(content["fcnt_down"]),
        )
