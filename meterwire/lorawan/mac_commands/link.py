"""What the network learns about the link, and how it sets rate, power and airtime (TS001-1.0.4 section 5)."""

from dataclasses import dataclass

from meterwire.lorawan.mac_commands.base import MacCommand, bit, bits, bounded, nibbles


@dataclass(frozen=True, slots=True)
class LinkCheckReq(MacCommand):
    cid, uplink = 0x02, True


@dataclass(frozen=True, slots=True)
class LinkCheckAns(MacCommand):
    """`margin`: dB above the demodulation floor at the best gateway, 0 to 254; `gateways`: how many heard it."""

    margin: int
    gateways: int

    cid, uplink, length = 0x02, False, 2

    def payload(self) -> bytes:
        return bytes((bounded("margin", self.margin, 254), bounded("gateways", self.gateways, 255)))

    @classmethod
    def from_payload(cls, octets: bytes) -> "LinkCheckAns":
        return cls(octets[0], octets[1])


@dataclass(frozen=True, slots=True)
class LinkADRReq(MacCommand):
    """`data_rate` and `tx_power` 15 keep what is set; bit 0 of `ch_mask` is the first channel; `nb_trans` 0 to 15."""

    data_rate: int
    tx_power: int
    ch_mask: int
    ch_mask_cntl: int = 0
    nb_trans: int = 1

    cid, uplink, length = 0x03, False, 4

    def payload(self) -> bytes:
        first = nibbles(("data_rate", self.data_rate), ("tx_power", self.tx_power))
        bounded("ch_mask_cntl", self.ch_mask_cntl, 7)
        last = nibbles(("ch_mask_cntl", self.ch_mask_cntl), ("nb_trans", self.nb_trans))
        return first + bounded("ch_mask", self.ch_mask, 0xFFFF).to_bytes(2, "little") + last

    @classmethod
    def from_payload(cls, octets: bytes) -> "LinkADRReq":
        mask = int.from_bytes(octets[1:3], "little")
        return cls(octets[0] >> 4, octets[0] & 15, mask, octets[3] >> 4 & 7, octets[3] & 15)


@dataclass(frozen=True, slots=True)
class LinkADRAns(MacCommand):
    channel_mask_ack: bool
    data_rate_ack: bool
    power_ack: bool

    cid, uplink, length = 0x03, True, 1

    def payload(self) -> bytes:
        return bits(self.channel_mask_ack, self.data_rate_ack, self.power_ack)

    @classmethod
    def from_payload(cls, octets: bytes) -> "LinkADRAns":
        return cls(bit(octets, 0), bit(octets, 1), bit(octets, 2))


@dataclass(frozen=True, slots=True)
class DutyCycleReq(MacCommand):
    """The device may use 1 / 2**`max_duty_cycle` of all time, over all sub-bands together; 0 to 15."""

    max_duty_cycle: int

    cid, uplink, length = 0x04, False, 1

    def payload(self) -> bytes:
        return bytes((bounded("max_duty_cycle", self.max_duty_cycle, 15),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "DutyCycleReq":
        return cls(octets[0] & 15)


@dataclass(frozen=True, slots=True)
class DutyCycleAns(MacCommand):
    cid, uplink = 0x04, True


@dataclass(frozen=True, slots=True)
class DevStatusReq(MacCommand):
    cid, uplink = 0x06, False


@dataclass(frozen=True, slots=True)
class DevStatusAns(MacCommand):
    """`battery`: 0 external power, 1 to 254 level, 255 unknown; `margin`: SNR in dB of the last downlink, -32 to 31."""

    battery: int
    margin: int

    cid, uplink, length = 0x06, True, 2

    def payload(self) -> bytes:
        margin = bounded("margin", self.margin, 31, -32)
        return bytes((bounded("battery", self.battery, 255), margin & 0x3F))

    @classmethod
    def from_payload(cls, octets: bytes) -> "DevStatusAns":
        margin = octets[1] & 0x3F
        return cls(octets[0], margin - 64 if margin & 0x20 else margin)
