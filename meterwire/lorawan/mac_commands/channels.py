"""Channels and receive windows (TS001-1.0.4 section 5)."""

from dataclasses import dataclass

from meterwire.lorawan.mac_commands.base import MacCommand, bit, bits, bounded, frequency, hertz, nibbles


@dataclass(frozen=True, slots=True)
class RXParamSetupReq(MacCommand):
    rx1_dr_offset: int
    rx2_dr: int
    frequency_hz: int

    cid, uplink, length = 0x05, False, 4

    def payload(self) -> bytes:
        bounded("rx1_dr_offset", self.rx1_dr_offset, 7)
        settings = nibbles(("rx1_dr_offset", self.rx1_dr_offset), ("rx2_dr", self.rx2_dr))
        return settings + frequency(self.frequency_hz)

    @classmethod
    def from_payload(cls, octets: bytes) -> "RXParamSetupReq":
        return cls(octets[0] >> 4 & 7, octets[0] & 15, hertz(octets[1:4]))


@dataclass(frozen=True, slots=True)
class RXParamSetupAns(MacCommand):
    """Sticky: repeated in every uplink until a downlink is heard."""

    channel_ack: bool
    rx2_dr_ack: bool
    rx1_dr_offset_ack: bool

    cid, uplink, length = 0x05, True, 1

    def payload(self) -> bytes:
        return bits(self.channel_ack, self.rx2_dr_ack, self.rx1_dr_offset_ack)

    @classmethod
    def from_payload(cls, octets: bytes) -> "RXParamSetupAns":
        return cls(bit(octets, 0), bit(octets, 1), bit(octets, 2))


@dataclass(frozen=True, slots=True)
class NewChannelReq(MacCommand):
    """Channel `index` becomes `frequency_hz` (0 removes it) with data rates `min_dr` to `max_dr`."""

    index: int
    frequency_hz: int
    min_dr: int = 0
    max_dr: int = 5

    cid, uplink, length = 0x07, False, 5

    def payload(self) -> bytes:
        rates = nibbles(("max_dr", self.max_dr), ("min_dr", self.min_dr))
        return bytes((bounded("index", self.index, 255),)) + frequency(self.frequency_hz) + rates

    @classmethod
    def from_payload(cls, octets: bytes) -> "NewChannelReq":
        return cls(octets[0], hertz(octets[1:4]), octets[4] & 15, octets[4] >> 4)


@dataclass(frozen=True, slots=True)
class NewChannelAns(MacCommand):
    frequency_ok: bool
    data_rates_ok: bool

    cid, uplink, length = 0x07, True, 1

    def payload(self) -> bytes:
        return bits(self.frequency_ok, self.data_rates_ok)

    @classmethod
    def from_payload(cls, octets: bytes) -> "NewChannelAns":
        return cls(bit(octets, 0), bit(octets, 1))


@dataclass(frozen=True, slots=True)
class RXTimingSetupReq(MacCommand):
    """`delay` in seconds to the first window; 0 and 1 both mean 1 s."""

    delay: int

    cid, uplink, length = 0x08, False, 1

    def payload(self) -> bytes:
        return bytes((bounded("delay", self.delay, 15),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "RXTimingSetupReq":
        return cls(octets[0] & 15)


@dataclass(frozen=True, slots=True)
class RXTimingSetupAns(MacCommand):
    """Sticky: repeated in every uplink until a downlink is heard."""

    cid, uplink = 0x08, True


@dataclass(frozen=True, slots=True)
class TXParamSetupReq(MacCommand):
    """Dwell time limits and coded maximum EIRP; EU868 devices do not implement it and stay silent."""

    downlink_dwell: bool
    uplink_dwell: bool
    max_eirp: int

    cid, uplink, length = 0x09, False, 1

    def payload(self) -> bytes:
        return bytes((self.downlink_dwell << 5 | self.uplink_dwell << 4 | bounded("max_eirp", self.max_eirp, 15),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "TXParamSetupReq":
        return cls(bit(octets, 5), bit(octets, 4), octets[0] & 15)


@dataclass(frozen=True, slots=True)
class TXParamSetupAns(MacCommand):
    cid, uplink = 0x09, True


@dataclass(frozen=True, slots=True)
class DlChannelReq(MacCommand):
    """The first window of uplink channel `index` moves to `frequency_hz`."""

    index: int
    frequency_hz: int

    cid, uplink, length = 0x0A, False, 4

    def payload(self) -> bytes:
        return bytes((bounded("index", self.index, 255),)) + frequency(self.frequency_hz)

    @classmethod
    def from_payload(cls, octets: bytes) -> "DlChannelReq":
        return cls(octets[0], hertz(octets[1:4]))


@dataclass(frozen=True, slots=True)
class DlChannelAns(MacCommand):
    """Sticky: repeated in every uplink until a downlink is heard."""

    frequency_ok: bool
    uplink_frequency_exists: bool

    cid, uplink, length = 0x0A, True, 1

    def payload(self) -> bytes:
        return bits(self.frequency_ok, self.uplink_frequency_exists)

    @classmethod
    def from_payload(cls, octets: bytes) -> "DlChannelAns":
        return cls(bit(octets, 0), bit(octets, 1))
