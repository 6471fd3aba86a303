"""LoRaWAN 1.0.4 frames: octets to fields and back (TS001-1.0.4 section 4); what is encrypted stays so here.

Multi-octet fields are little-endian on the air; the identifiers and integers of these classes are in reading order.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from meterwire.errors import FormatError
from meterwire.ids import DevEUI, JoinEUI

MIC_LENGTH: Final = 4
MAX_PHY: Final = 255  # MHDR + the largest MACPayload of any region (250) + MIC
MIN_DATA_PHY: Final = 12  # MHDR + FHDR without FOpts + MIC
MAX_FOPTS: Final = 15
JOIN_REQUEST_LENGTH: Final = 23
JOIN_ACCEPT_LENGTHS: Final = (17, 33)
CFLIST_CHANNELS: Final = 5
MAX_FREQUENCY_HZ: Final = 0xFFFFFF * 100

UPLINK_MHDR: Final = (0x40, 0x80)  # unconfirmed and confirmed, R1, no reserved bit set
ADR, ADR_ACK_REQ, ACK, CLASS_B_OR_PENDING, FOPTS_LENGTH = 0x80, 0x40, 0x20, 0x10, 0x0F


class FrameError(FormatError):
    """The octets are no LoRaWAN 1.0 frame, or the fields cannot be put into one."""

    code = "frame"


class MType(IntEnum):
    JOIN_REQUEST = 0
    JOIN_ACCEPT = 1
    UNCONFIRMED_UP = 2
    UNCONFIRMED_DOWN = 3
    CONFIRMED_UP = 4
    CONFIRMED_DOWN = 5
    RFU = 6
    PROPRIETARY = 7


@dataclass(frozen=True, slots=True)
class DataFrame:
    """A data frame of either direction.

    `dev_addr` is 32 bits, `fcnt` the low 16 bits that travel. `payload` is as on the wire, that is encrypted, unless
    the frame came from `Session.open`. `class_b_or_pending` is the ClassB bit upwards and FPending downwards;
    `adr_ack_req` exists upwards only. `mic` is empty in a frame that is still to be signed.
    """

    uplink: bool
    dev_addr: int
    fcnt: int
    confirmed: bool = False
    adr: bool = False
    adr_ack_req: bool = False
    ack: bool = False
    class_b_or_pending: bool = False
    fopts: bytes = b""
    fport: int | None = None
    payload: bytes = b""
    mic: bytes = b""

    @property
    def mtype(self) -> MType:
        if self.uplink:
            return MType.CONFIRMED_UP if self.confirmed else MType.UNCONFIRMED_UP
        return MType.CONFIRMED_DOWN if self.confirmed else MType.UNCONFIRMED_DOWN

    def encode(self) -> bytes:
        """MHDR to MIC. Raises FrameError when a field is outside its range or the frame would be too long."""
        _check_data(self)
        fctrl = (
            ADR * self.adr
            | ADR_ACK_REQ * self.adr_ack_req
            | ACK * self.ack
            | CLASS_B_OR_PENDING * self.class_b_or_pending
            | len(self.fopts)
        )
        head = _FHDR.pack(self.mtype << 5, self.dev_addr, fctrl, self.fcnt)
        port = b"" if self.fport is None else bytes((self.fport,))
        return head + self.fopts + port + self.payload + self.mic


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A device asks to join. `dev_nonce` is 16 bits; `mic` is empty when still to be signed."""

    join_eui: JoinEUI
    dev_eui: DevEUI
    dev_nonce: int
    mic: bytes = b""

    def encode(self) -> bytes:
        """MHDR to MIC."""
        _in_range("DevNonce", self.dev_nonce, 0xFFFF)
        _mic_length(self.mic)
        nonce = self.dev_nonce.to_bytes(2, "little")
        return b"\x00" + self.join_eui.bytes[::-1] + self.dev_eui.bytes[::-1] + nonce + self.mic


@dataclass(frozen=True, slots=True)
class JoinAccept:
    """The network's answer, in the clear: `RootKey` encrypts, decrypts and authenticates it.

    `join_nonce` and `net_id` are 24 bits, `rx1_dr_offset` 0 to 7, `rx2_dr` and `rx_delay` 0 to 15 (a delay of 0 means
    1 s, see `rx_delay_s`). `cflist` holds up to five frequencies in Hz for channels 3 to 7 (0: unused); empty means
    that no list travels.
    """

    join_nonce: int
    net_id: int
    dev_addr: int
    rx1_dr_offset: int = 0
    rx2_dr: int = 0
    rx_delay: int = 0
    cflist: tuple[int, ...] = ()

    CFLIST_FREQUENCIES: ClassVar[int] = 0

    @property
    def rx_delay_s(self) -> int:
        return self.rx_delay or 1

    def encode(self) -> bytes:
        """MHDR to CFList, without MIC and not encrypted: 13 or 29 octets."""
        for name, value, limit in (
            ("JoinNonce", self.join_nonce, 0xFFFFFF),
            ("NetID", self.net_id, 0xFFFFFF),
            ("DevAddr", self.dev_addr, 0xFFFFFFFF),
            ("RX1DROffset", self.rx1_dr_offset, 7),
            ("RX2DataRate", self.rx2_dr, 15),
            ("RXDelay", self.rx_delay, 15),
        ):
            _in_range(name, value, limit)
        fixed = (
            bytes((MType.JOIN_ACCEPT << 5,))
            + self.join_nonce.to_bytes(3, "little")
            + self.net_id.to_bytes(3, "little")
            + self.dev_addr.to_bytes(4, "little")
            + bytes((self.rx1_dr_offset << 4 | self.rx2_dr, self.rx_delay))
        )
        return fixed + _encode_cflist(self.cflist)

    @classmethod
    def decode(cls, plain: bytes) -> "JoinAccept":
        """Fields of 13 or 29 octets, MHDR to CFList, already decrypted and authenticated.

        A CFList of another type than frequencies belongs to other regions and is ignored (TS001 6.2.6). Reserved
        bits, OptNeg among them, are ignored.
        """
        if len(plain) + MIC_LENGTH not in JOIN_ACCEPT_LENGTHS:
            raise FrameError(f"a join-accept has 17 or 33 octets with its MIC, not {len(plain) + MIC_LENGTH}")
        _check_mhdr(plain[0])
        if plain[0] >> 5 != MType.JOIN_ACCEPT:
            raise FrameError("the frame is no join-accept")
        return cls(
            join_nonce=int.from_bytes(plain[1:4], "little"),
            net_id=int.from_bytes(plain[4:7], "little"),
            dev_addr=int.from_bytes(plain[7:11], "little"),
            rx1_dr_offset=plain[11] >> 4 & 7,
            rx2_dr=plain[11] & 0x0F,
            rx_delay=plain[12] & 0x0F,
            cflist=_decode_cflist(plain[13:]),
        )


@dataclass(frozen=True, slots=True)
class EncryptedJoinAccept:
    """A join-accept as heard: only the root key tells what is in it and whom it is for."""

    phy: bytes


def parse(phy: bytes) -> DataFrame | JoinRequest | EncryptedJoinAccept:
    """The frame in `phy` (MHDR to MIC), lengths checked first; nothing is authenticated yet.

    Raises FrameError for anything but a data, join-request or join-accept frame of LoRaWAN major version 1. Reserved
    bits are ignored, as TS001 asks of a receiver.
    """
    length = len(phy)
    if not MIN_DATA_PHY <= length <= MAX_PHY:
        raise FrameError(f"a LoRaWAN frame has {MIN_DATA_PHY} to {MAX_PHY} octets, not {length}")
    mhdr = phy[0]
    _check_mhdr(mhdr)
    mtype = mhdr >> 5
    if MType.UNCONFIRMED_UP <= mtype <= MType.CONFIRMED_DOWN:
        return _parse_data(phy, mtype)
    if mtype == MType.JOIN_REQUEST:
        return _parse_join_request(phy)
    if mtype == MType.JOIN_ACCEPT:
        if length not in JOIN_ACCEPT_LENGTHS:
            raise FrameError(f"a join-accept has 17 or 33 octets, not {length}")
        return EncryptedJoinAccept(bytes(phy))
    raise FrameError(f"frames of type {MType(mtype).name} are not part of LoRaWAN 1.0.4")


def uplink_address(phy: bytes) -> tuple[int, int]:
    """(DevAddr, FCnt) of an uplink data frame: all that finding its session needs. Raises FrameError for any other."""
    if MIN_DATA_PHY <= len(phy) <= MAX_PHY:
        mhdr, dev_addr, _, fcnt = _unpack_fhdr(phy)
        if mhdr in UPLINK_MHDR:
            return dev_addr, fcnt
    frame = parse(phy)
    if not isinstance(frame, DataFrame) or not frame.uplink:
        raise FrameError("the frame is no uplink data frame")
    return frame.dev_addr, frame.fcnt


_FHDR = struct.Struct("<BIBH")
_unpack_fhdr = _FHDR.unpack_from


def _parse_data(phy: bytes, mtype: int) -> DataFrame:
    _, dev_addr, fctrl, fcnt = _unpack_fhdr(phy)
    uplink = mtype in (MType.UNCONFIRMED_UP, MType.CONFIRMED_UP)
    end = len(phy) - MIC_LENGTH
    port_at = _FHDR.size + (fctrl & FOPTS_LENGTH)
    if port_at > end:
        raise FrameError(f"FOptsLen {fctrl & FOPTS_LENGTH} points past the end of a frame of {len(phy)} octets")
    fport = phy[port_at] if port_at < end else None
    if fport == 0 and fctrl & FOPTS_LENGTH:
        raise FrameError("MAC commands both in FOpts and on port 0: TS001 has such a frame discarded")
    return DataFrame(
        uplink=uplink,
        confirmed=mtype >= MType.CONFIRMED_UP,
        dev_addr=dev_addr,
        adr=bool(fctrl & ADR),
        adr_ack_req=uplink and bool(fctrl & ADR_ACK_REQ),
        ack=bool(fctrl & ACK),
        class_b_or_pending=bool(fctrl & CLASS_B_OR_PENDING),
        fcnt=fcnt,
        fopts=bytes(phy[_FHDR.size : port_at]),
        fport=fport,
        payload=bytes(phy[port_at + 1 : end]),
        mic=bytes(phy[end:]),
    )


def _parse_join_request(phy: bytes) -> JoinRequest:
    if len(phy) != JOIN_REQUEST_LENGTH:
        raise FrameError(f"a join-request has {JOIN_REQUEST_LENGTH} octets, not {len(phy)}")
    return JoinRequest(
        join_eui=JoinEUI.from_bytes(bytes(phy[8:0:-1])),
        dev_eui=DevEUI.from_bytes(bytes(phy[16:8:-1])),
        dev_nonce=int.from_bytes(phy[17:19], "little"),
        mic=bytes(phy[19:]),
    )


def _check_data(frame: DataFrame) -> None:
    _in_range("DevAddr", frame.dev_addr, 0xFFFFFFFF)
    _in_range("FCnt", frame.fcnt, 0xFFFF)
    _mic_length(frame.mic)
    if len(frame.fopts) > MAX_FOPTS:
        raise FrameError(f"FOpts holds {MAX_FOPTS} octets, not {len(frame.fopts)}: send the rest on port 0")
    if frame.fport is None and frame.payload:
        raise FrameError("a payload needs a port")
    if frame.fport is not None:
        _in_range("FPort", frame.fport, 0xFF)
    if frame.fport == 0 and frame.fopts:
        raise FrameError("MAC commands go either into FOpts or on port 0, never both")
    if frame.adr_ack_req and not frame.uplink:
        raise FrameError("ADRACKReq exists in uplinks only")
    port = 0 if frame.fport is None else 1
    if _FHDR.size + len(frame.fopts) + port + len(frame.payload) + MIC_LENGTH > MAX_PHY:
        raise FrameError(f"a payload of {len(frame.payload)} octets makes the frame longer than {MAX_PHY}")


def _encode_cflist(frequencies: tuple[int, ...]) -> bytes:
    if not frequencies:
        return b""
    if len(frequencies) > CFLIST_CHANNELS:
        raise FrameError(f"a CFList holds {CFLIST_CHANNELS} channels, not {len(frequencies)}")
    for hz in frequencies:
        if hz % 100 or not 0 <= hz <= MAX_FREQUENCY_HZ:
            raise FrameError(f"{hz} Hz is no multiple of 100 Hz up to {MAX_FREQUENCY_HZ} Hz")
    filled = frequencies + (0,) * (CFLIST_CHANNELS - len(frequencies))
    return b"".join((hz // 100).to_bytes(3, "little") for hz in filled) + bytes((JoinAccept.CFLIST_FREQUENCIES,))


def _decode_cflist(octets: bytes) -> tuple[int, ...]:
    if not octets or octets[15] != JoinAccept.CFLIST_FREQUENCIES:
        return ()
    found = [int.from_bytes(octets[at : at + 3], "little") * 100 for at in range(0, 15, 3)]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _check_mhdr(mhdr: int) -> None:
    if mhdr & 3:
        raise FrameError(f"major version {mhdr & 3} is not LoRaWAN R1")


def _in_range(name: str, value: int, limit: int) -> None:
    if not 0 <= value <= limit:
        raise FrameError(f"{name} {value} is outside 0 to {limit}")


def _mic_length(mic: bytes) -> None:
    if len(mic) not in (0, MIC_LENGTH):
        raise FrameError(f"a MIC has {MIC_LENGTH} octets, not {len(mic)}")
