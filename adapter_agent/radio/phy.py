"""The physical side of a class A exchange: one transmission, then the receive windows that belong to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from meterwire.errors import MeterspanError


class PhyError(MeterspanError):
    """The transmitter could not send, or its link broke meanwhile: the frame may have been on the air."""

    code = "phy"
    temporary: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Window:
    """A receive window: opens `after_s` seconds after the uplink's end, on `freq_hz`, at data rate `dr`."""

    after_s: float
    freq_hz: int
    dr: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame received in window 1 or 2, as on the air; `rssi` in dBm, `snr` in dB."""

    frame: bytes
    window: int
    rssi: float
    snr: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """One transmission: its first and last instant (Unix seconds of the air's clock) and what came back.

    `latency_s` passed between the call and the first instant, as far as the transceiver can tell.
    """

    start: float
    end: float
    heard: Heard | None
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Overheard:
    """A frame that answers no uplink; its first symbol came `after_s` seconds after the call that listened."""

    frame: bytes
    after_s: float
    rssi: float
    snr: float


class Phy(Protocol):
    """A half-duplex transceiver; one exchange at a time."""

    async def exchange(
        self, frame: bytes, *, freq_hz: int, dr: int, power_dbm: int, windows: Sequence[Window]
    ) -> Exchange:
        """Send `frame` now, listen in `windows` in order; return after the first frame or the last window.

        `power_dbm` is the radiated power (EIRP). Raises PhyError when nothing can be sent.
        """
        ...


@runtime_checkable
class Listener(Protocol):
    """A transceiver that can also listen without having sent: for the beacon. Modems with a MAC of their own cannot."""

    async def listen(self, *, freq_hz: int, dr: int, seconds: float) -> Overheard | None:
        """Listen from now on, `seconds` long, for the preamble of a downlink; a frame that begins then is received to
        its end. None when nothing was heard. Raises PhyError when the radio is in use or its link is broken.
        """
        ...
