"""What every concentrator radio hands to the network server, and takes from it."""

from typing import NamedTuple, Protocol

import msgspec

from meterwire.messages import TimeQuality


class Reception(NamedTuple):
    """One gateway's copy of one uplink.

    `tmst` is the gateway's own counter (32-bit microseconds) at the end of reception; `received_at` the Unix time of
    the same instant; `freq` in Hz; `dr` the data rate index; RSSI in dBm, SNR in dB.
    """

    phy: bytes
    gateway: str
    tmst: int
    freq: int
    dr: int
    rssi: float
    snr: float
    received_at: float
    time_quality: TimeQuality


class Transmission(msgspec.Struct, frozen=True):
    """One downlink: to be on the air when the gateway's counter reads `tmst`."""

    phy: bytes
    gateway: str
    tmst: int
    freq: int
    dr: int
    power_dbm: int


class TransmissionRefused(Exception):
    """The gateway will not send it; `reason` is its own word in lower case (too_late, collision_packet, tx_freq …)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the gateway refused the downlink: {reason}")
        self.reason = reason


class ConcentratorRadio(Protocol):
    """The way to the air: uplinks arrive at a handler, downlinks leave through `send`."""

    async def send(self, transmission: Transmission) -> None:
        """Returns when the gateway has accepted it. Raises TransmissionRefused, or InterfaceClosed."""

    def gateways_online(self) -> int:
        """How many gateways are heard at present."""
