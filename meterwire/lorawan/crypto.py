"""Keys, integrity and encryption of LoRaWAN 1.0.x (TS001-1.0.4 sections 4.3, 4.4 and 6.2).

`RootKey` does what a join needs, `Session` what every data frame needs. No key shows in a repr or an error; MICs are
compared in constant time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from meterwire.errors import CounterExhausted, FormatError, MicMismatch
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.aes import KEY_LENGTH, Aes, Cmac, check_key
from meterwire.lorawan.frame import (
    ACK,
    ADR,
    ADR_ACK_REQ,
    CLASS_B_OR_PENDING,
    FOPTS_LENGTH,
    JOIN_ACCEPT_LENGTHS,
    JOIN_REQUEST_LENGTH,
    MAX_PHY,
    MIC_LENGTH,
    MIN_DATA_PHY,
    DataFrame,
    FrameError,
    JoinAccept,
    JoinRequest,
    parse,
)

FCNT_LIMIT: Final = 1 << 32


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SessionKeys:
    """The keys of one join, 16 octets each: `nwk_s_key` for the MIC and port 0, `app_s_key` for all other ports."""

    nwk_s_key: bytes
    app_s_key: bytes

    def __post_init__(self) -> None:
        check_key(self.nwk_s_key)
        check_key(self.app_s_key)

    def to_bytes(self) -> bytes:
        """32 octets for a sealed store."""
        return self.nwk_s_key + self.app_s_key

    @classmethod
    def from_bytes(cls, stored: bytes) -> "SessionKeys":
        if len(stored) != 2 * KEY_LENGTH:
            raise FormatError(f"stored session keys have {2 * KEY_LENGTH} octets, not {len(stored)}")
        return cls(bytes(stored[:KEY_LENGTH]), bytes(stored[KEY_LENGTH:]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionKeys) and compare_digest(self.to_bytes(), other.to_bytes())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "SessionKeys(hidden)"


class RootKey:
    """The AppKey of one device (one key per device: a 1.0.x join-accept names nobody).

    Joins are rare, so the cipher contexts are made for each call and only the key is held.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = check_key(key)

    def join_request_mic(self, phy_without_mic: bytes) -> bytes:
        """The four octets that sign MHDR to DevNonce."""
        return Cmac(self._key).mac(phy_without_mic)[:MIC_LENGTH]

    def sign_join_request(self, join_eui: JoinEUI, dev_eui: DevEUI, dev_nonce: int) -> bytes:
        """A join-request ready to send, 23 octets."""
        body = JoinRequest(join_eui, dev_eui, dev_nonce).encode()
        return body + self.join_request_mic(body)

    def verify_join_request(self, phy: bytes) -> JoinRequest:
        """The authentic request in `phy`. Raises FrameError when it is none, MicMismatch when it has another key."""
        request = parse(phy)
        if not isinstance(request, JoinRequest):
            raise FrameError("the frame is no join-request")
        if not compare_digest(self.join_request_mic(phy[: JOIN_REQUEST_LENGTH - MIC_LENGTH]), request.mic):
            raise MicMismatch("The join-request was not signed with this device's root key; check the key.")
        return request

    def encrypt_join_accept(self, accept: JoinAccept) -> bytes:
        """The accept ready to send, 17 or 33 octets."""
        plain = accept.encode()
        signed = plain[1:] + Cmac(self._key).mac(plain)[:MIC_LENGTH]
        # TS001 6.2.6: the network runs the inverse cipher so that a device needs the forward one only.
        inverse = Cipher(algorithms.AES(self._key), modes.ECB()).decryptor()  # noqa: S305
        return plain[:1] + inverse.update(signed)

    def decrypt_join_accept(self, phy: bytes) -> JoinAccept:
        """The authentic accept in `phy`. Raises FrameError when it is none, MicMismatch when not meant for this key."""
        if len(phy) not in JOIN_ACCEPT_LENGTHS:
            raise FrameError(f"a join-accept has 17 or 33 octets, not {len(phy)}")
        plain = bytes(phy[:1]) + Aes(self._key).encrypt(phy[1:])
        if not Cmac(self._key).verify(plain[:-MIC_LENGTH], plain[-MIC_LENGTH:]):
            raise MicMismatch("The join-accept was not made with this device's root key.")
        return JoinAccept.decode(plain[:-MIC_LENGTH])

    def derive(self, join_nonce: int, net_id: int, dev_nonce: int) -> SessionKeys:
        """The session keys of a join (TS001 6.2.6)."""
        encrypt = Aes(self._key).encrypt
        seed = join_nonce.to_bytes(3, "little") + net_id.to_bytes(3, "little") + dev_nonce.to_bytes(2, "little")
        return SessionKeys(encrypt(b"\x01" + seed + bytes(7)), encrypt(b"\x02" + seed + bytes(7)))

    def __repr__(self) -> str:
        return "RootKey(hidden)"


class Uplink(NamedTuple):
    """An authenticated uplink, payload in the clear: the result of `Session.open_uplink`, quicker than a DataFrame."""

    confirmed: bool
    fctrl: int
    fopts: bytes
    fport: int | None
    payload: bytes

    @property
    def adr(self) -> bool:
        return bool(self.fctrl & ADR)

    @property
    def adr_ack_req(self) -> bool:
        return bool(self.fctrl & ADR_ACK_REQ)

    @property
    def ack(self) -> bool:
        return bool(self.fctrl & ACK)

    @property
    def class_b(self) -> bool:
        return bool(self.fctrl & CLASS_B_OR_PENDING)


class Session:
    """One device's session: `keys` and its 32-bit `dev_addr`, with the cipher contexts made once.

    Counters are the caller's: `fcnt32` is always the full counter. An object belongs to one thread (see aes.Cmac).
    """

    __slots__ = ("_app", "_block_down", "_block_up", "_mac", "_nwk", "_nwk_s_key", "dev_addr")

    def __init__(self, keys: SessionKeys, dev_addr: int) -> None:
        if not 0 <= dev_addr <= 0xFFFFFFFF:
            raise FrameError(f"DevAddr {dev_addr} is outside 32 bits")
        self.dev_addr = dev_addr
        address = dev_addr.to_bytes(4, "little")
        self._block_up = b"\x00\x00\x00\x00\x00" + address
        self._block_down = b"\x00\x00\x00\x00\x01" + address
        self._mac = Cmac(keys.nwk_s_key).mac
        self._app = Aes(keys.app_s_key).encrypt
        self._nwk_s_key = keys.nwk_s_key
        self._nwk: Aes | None = None

    def open_uplink(self, phy: bytes, fcnt32: int) -> Uplink:
        """The uplink data frame in `phy`, authenticated under the full counter, its payload decrypted.

        Raises FrameError when `phy` is no well-formed uplink, MicMismatch when it is not of this session at this
        counter.
        """
        end = len(phy) - MIC_LENGTH
        if not MIN_DATA_PHY - MIC_LENGTH <= end <= MAX_PHY - MIC_LENGTH:
            raise FrameError(f"a LoRaWAN data frame has {MIN_DATA_PHY} to {MAX_PHY} octets, not {len(phy)}")
        confirmed = _UPLINKS.get(phy[0] & _MTYPE_AND_MAJOR)
        if confirmed is None:
            raise FrameError("the frame is no LoRaWAN R1 uplink data frame")
        fctrl = phy[5]
        port_at = 8 + (fctrl & FOPTS_LENGTH)
        fport = phy[port_at] if port_at < end else None
        if port_at > end or (fport == 0 and port_at > 8):
            parse(phy)  # says what is wrong
        block = self._block_up + fcnt32.to_bytes(4, "little")
        mic = self._mac(b"\x49" + block + _COUNT[end] + phy[:end])[:MIC_LENGTH]
        if not compare_digest(mic, phy[end:]) or phy[1:5] + phy[6:8] != block[5:11]:
            raise _mic_mismatch(self.dev_addr)
        size = end - port_at - 1
        if size <= 0:
            return Uplink(confirmed, fctrl, phy[8:port_at], fport, b"")
        if size <= 16 and fport:
            stream = self._app(b"\x01" + block + b"\x00\x01")[:size]
        else:
            stream = self._stream(block, size, fport or 0)
        number = int.from_bytes(phy[port_at + 1 : end], "big") ^ int.from_bytes(stream, "big")
        return Uplink(confirmed, fctrl, phy[8:port_at], fport, number.to_bytes(size, "big"))

    def open(self, phy: bytes, fcnt32: int, uplink: bool) -> DataFrame:
        """As `open_uplink`, for either direction, as a DataFrame whose payload is in the clear."""
        frame = parse(phy)
        if not isinstance(frame, DataFrame) or frame.uplink != uplink:
            raise FrameError(f"the frame is no {'uplink' if uplink else 'downlink'} data frame")
        if not self.verify(phy, fcnt32, uplink):
            raise _mic_mismatch(self.dev_addr)
        clear = self.crypt(frame.payload, fcnt32, uplink, frame.fport or 0)
        return DataFrame(
            uplink,
            frame.dev_addr,
            frame.fcnt,
            frame.confirmed,
            frame.adr,
            frame.adr_ack_req,
            frame.ack,
            frame.class_b_or_pending,
            frame.fopts,
            frame.fport,
            clear,
            frame.mic,
        )

    def verify(self, phy: bytes, fcnt32: int, uplink: bool) -> bool:
        """Whether the data frame `phy` is this session's at this full counter: address, counter and MIC."""
        end = len(phy) - MIC_LENGTH
        if not MIN_DATA_PHY - MIC_LENGTH <= end <= MAX_PHY - MIC_LENGTH:
            return False
        block = self._block(fcnt32, uplink)
        mic = self._mac(b"\x49" + block + _COUNT[end] + phy[:end])[:MIC_LENGTH]
        return compare_digest(mic, phy[end:]) and phy[1:5] + phy[6:8] == block[5:11]

    def crypt(self, payload: bytes, fcnt32: int, uplink: bool, fport: int) -> bytes:
        """`payload` encrypted, or decrypted: the same operation (TS001 4.3.3). Port 0 uses the network session key."""
        size = len(payload)
        if size > MAX_PHY:
            raise FrameError(f"a payload of {size} octets fits no frame")
        stream = self._stream(self._block(fcnt32, uplink), size, fport)
        return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")

    def build(
        self,
        *,
        uplink: bool,
        fcnt32: int,
        fport: int | None = None,
        payload: bytes = b"",
        confirmed: bool = False,
        adr: bool = False,
        adr_ack_req: bool = False,
        ack: bool = False,
        class_b_or_pending: bool = False,
        fopts: bytes = b"",
    ) -> bytes:
        """The PHYPayload ready to send: clear `payload` encrypted, everything signed. Raises FrameError."""
        if not 0 <= fcnt32 < FCNT_LIMIT:
            raise FrameError(f"frame counter {fcnt32} is outside 32 bits")
        frame = DataFrame(
            uplink=uplink,
            confirmed=confirmed,
            dev_addr=self.dev_addr,
            adr=adr,
            adr_ack_req=adr_ack_req,
            ack=ack,
            class_b_or_pending=class_b_or_pending,
            fcnt=fcnt32 & 0xFFFF,
            fopts=fopts,
            fport=fport,
            payload=payload if fport is None else self.crypt(payload, fcnt32, uplink, fport),
            mic=bytes(MIC_LENGTH),
        )
        body = frame.encode()[:-MIC_LENGTH]
        block = self._block(fcnt32, uplink)
        return body + self._mac(b"\x49" + block + _COUNT[len(body)] + body)[:MIC_LENGTH]

    def __repr__(self) -> str:
        return f"Session({self.dev_addr:08x}, keys hidden)"

    def _block(self, fcnt32: int, uplink: bool) -> bytes:
        return (self._block_up if uplink else self._block_down) + fcnt32.to_bytes(4, "little")

    def _stream(self, block: bytes, size: int, fport: int) -> bytes:
        blocks = b"".join([b"\x01" + block + _COUNT[i] for i in range(1, (size + 15) // 16 + 1)])
        if fport:
            return self._app(blocks)[:size]
        if self._nwk is None:
            self._nwk = Aes(self._nwk_s_key)
        return self._nwk.encrypt(blocks)[:size]


def full_fcnt(received16: int, next_expected: int) -> int:
    """The 32-bit counter meant by the 16 bits received (TS001 4.3.1.5), when `next_expected` is the next one due.

    The last frame sent once more gives `next_expected - 1`, see `is_retransmission`. Anything else counts as ahead,
    at most 65535 frames. Raises CounterExhausted when that passes 32 bits: the device has to join again.
    """
    ahead = (received16 - next_expected) & 0xFFFF
    full = next_expected + ahead
    if ahead == 0xFFFF and next_expected:
        return next_expected - 1
    if full >= FCNT_LIMIT:
        raise CounterExhausted("The frame counter of this session is used up: the device has to join again.")
    return full


def is_retransmission(fcnt32: int, next_expected: int) -> bool:
    """Whether a counter from `full_fcnt` is the last frame again (NbTrans, or a confirmed frame repeated)."""
    return fcnt32 < next_expected


_MTYPE_AND_MAJOR: Final = 0xE3
_UPLINKS: Final[Mapping[int, bool]] = {0x40: False, 0x80: True}
# The last two octets of the blocks B0 (a length) and A_i (a block number).
_COUNT: Final = tuple(bytes((0, n)) for n in range(256))


def _mic_mismatch(dev_addr: int) -> MicMismatch:
    return MicMismatch(
        f"The frame does not fit the session of DevAddr {dev_addr:08x} at this counter: "
        "another device's address, a foreign key, or a counter that was reset."
    )
