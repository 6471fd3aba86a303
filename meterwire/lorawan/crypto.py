"""Keys, integrity and encryption of LoRaWAN 1.0.x (TS001-1.0.4 sections 4.3, 4.4 and 6.2).

`RootKey` does what a join needs, `Session` what every data frame needs. No key shows in a repr or an error; MICs are
compared in constant time.
"""

from dataclasses import dataclass, replace
from hmac import compare_digest
from typing import Final, NamedTuple

from meterwire.errors import CounterExhausted, FormatError, MicMismatch
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.aes import KEY_LENGTH, check_key, cipher, cmac, inverse_cipher, keystream, mac
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
    UPLINK_MHDR,
    DataFrame,
    FrameError,
    JoinAccept,
    JoinRequest,
    MType,
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
        return mac(self._key, phy_without_mic)[:MIC_LENGTH]

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
        signed = plain[1:] + mac(self._key, plain)[:MIC_LENGTH]
        # TS001 6.2.6: the network runs the inverse cipher so that a device needs the forward one only.
        return plain[:1] + inverse_cipher(self._key)(signed)

    def decrypt_join_accept(self, phy: bytes) -> JoinAccept:
        """The authentic accept in `phy`. Raises FrameError when it is none, MicMismatch when not meant for this key."""
        if len(phy) not in JOIN_ACCEPT_LENGTHS:
            raise FrameError(f"a join-accept has 17 or 33 octets, not {len(phy)}")
        plain = bytes(phy[:1]) + cipher(self._key)(phy[1:])
        if not compare_digest(mac(self._key, plain[:-MIC_LENGTH])[:MIC_LENGTH], plain[-MIC_LENGTH:]):
            raise MicMismatch("The join-accept was not made with this device's root key.")
        return JoinAccept.decode(plain[:-MIC_LENGTH])

    def derive(self, join_nonce: int, net_id: int, dev_nonce: int) -> SessionKeys:
        """The session keys of a join (TS001 6.2.6)."""
        encrypt = cipher(self._key)
        seed = join_nonce.to_bytes(3, "little") + net_id.to_bytes(3, "little") + dev_nonce.to_bytes(2, "little")
        return SessionKeys(encrypt(b"\x01" + seed + bytes(7)), encrypt(b"\x02" + seed + bytes(7)))

    def __repr__(self) -> str:
        return "RootKey(hidden)"


class Uplink(NamedTuple):
    """An authenticated uplink, its payload in the clear. `fctrl` is an octet, read through the properties."""

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
    """One device's session: `keys` and its 32-bit `dev_addr`, with the ciphers set up once (some 3 kB).

    Counters are the caller's: `fcnt32` is always the full counter. An object belongs to one thread.
    """

    __slots__ = ("_address", "_keys", "_mic_head", "_new_mac", "_seek", "_stream", "_stream_head", "dev_addr")

    def __init__(self, keys: SessionKeys, dev_addr: int) -> None:
        if not 0 <= dev_addr <= 0xFFFFFFFF:
            raise FrameError(f"DevAddr {dev_addr} is outside 32 bits")
        self.dev_addr = dev_addr
        self._address = dev_addr.to_bytes(4, "little")
        self._mic_head, self._stream_head = _B0_UP + self._address, _A_UP + self._address
        self._new_mac = cmac(keys.nwk_s_key)
        self._seek, self._stream = keystream(keys.app_s_key)
        self._keys = keys

    def open_uplink(self, phy: bytes, fcnt32: int) -> Uplink:
        """The authentic uplink data frame in `phy`: the quick way for a server, see `frame.uplink_address`.

        Raises FrameError when `phy` is no uplink data frame, MicMismatch when it is not of this session at this
        counter.
        """
        end = len(phy) - MIC_LENGTH
        if (
            9 < end <= _MAX_BODY
            and (mhdr := phy[0]) in UPLINK_MHDR
            and not (fctrl := phy[5]) & FOPTS_LENGTH
            and (fport := phy[8])
        ):
            counter = fcnt32.to_bytes(4, "little")
            new_mac = self._new_mac
            mac = new_mac()
            mac.update(self._mic_head + counter + _COUNT[end] + phy[:end])
            if not compare_digest(mac.finalize()[:MIC_LENGTH], phy[end:]):
                raise _mic_mismatch(self.dev_addr)
            seek, stream = self._seek, self._stream
            seek(self._stream_head + counter + b"\0\1")
            return _new_tuple(Uplink, (mhdr == _CONFIRMED, fctrl, b"", fport, stream(phy[9:end])))
        frame = self.open(phy, fcnt32, uplink=True)
        return Uplink(frame.confirmed, phy[5], frame.fopts, frame.fport, frame.payload)

    def open(self, phy: bytes, fcnt32: int, uplink: bool) -> DataFrame:
        """The authentic data frame in `phy`, of either direction, its payload in the clear.

        Raises FrameError when `phy` is none of that direction, MicMismatch when it is not of this session at this
        counter.
        """
        frame = parse(phy)
        if not isinstance(frame, DataFrame) or frame.uplink != uplink:
            raise FrameError(f"the frame is no {'uplink' if uplink else 'downlink'} data frame")
        if not self.verify(phy, fcnt32, uplink):
            raise _mic_mismatch(self.dev_addr)
        return replace(frame, payload=self.crypt(frame.payload, fcnt32, uplink, frame.fport or 0))

    def verify(self, phy: bytes, fcnt32: int, uplink: bool) -> bool:
        """Whether the MIC of the data frame `phy` is this session's at this full counter."""
        return compare_digest(self._mic(phy[:-MIC_LENGTH], fcnt32, uplink), phy[-MIC_LENGTH:])

    def crypt(self, payload: bytes, fcnt32: int, uplink: bool, fport: int) -> bytes:
        """`payload` encrypted, or decrypted: the same operation (TS001 4.3.3). Port 0 uses the network session key."""
        if len(payload) > MAX_PHY:
            raise FrameError(f"a payload of {len(payload)} octets fits no frame")
        seek, stream = (self._seek, self._stream) if fport else keystream(self._keys.nwk_s_key)
        seek((_A_UP if uplink else _A_DOWN) + self._address + _counter(fcnt32) + b"\0\1")
        return stream(payload)

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
        body = DataFrame(
            uplink=uplink,
            dev_addr=self.dev_addr,
            fcnt=int.from_bytes(_counter(fcnt32)[:2], "little"),
            confirmed=confirmed,
            adr=adr,
            adr_ack_req=adr_ack_req,
            ack=ack,
            class_b_or_pending=class_b_or_pending,
            fopts=fopts,
            fport=fport,
            payload=payload if fport is None else self.crypt(payload, fcnt32, uplink, fport),
        ).encode()
        return body + self._mic(body, fcnt32, uplink)

    def __repr__(self) -> str:
        return f"Session({self.dev_addr:08x}, keys hidden)"

    def _mic(self, body: bytes, fcnt32: int, uplink: bool) -> bytes:
        if len(body) > _MAX_BODY:
            raise FrameError(f"a LoRaWAN frame has at most {MAX_PHY} octets")
        mac = self._new_mac()
        head = (_B0_UP if uplink else _B0_DOWN) + self._address + _counter(fcnt32)
        mac.update(head + _COUNT[len(body)] + body)
        return mac.finalize()[:MIC_LENGTH]


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


# How the blocks B0 (TS001 4.4) and A_i (4.3.3) begin: a constant, four zeros, the direction.
_B0_UP, _B0_DOWN = b"\x49\0\0\0\0\0", b"\x49\0\0\0\0\1"
_A_UP, _A_DOWN = b"\x01\0\0\0\0\0", b"\x01\0\0\0\0\1"
# How B0 ends: a zero and the length.
_COUNT: Final = tuple(bytes((0, n)) for n in range(256))
_MAX_BODY: Final = MAX_PHY - MIC_LENGTH
_CONFIRMED: Final = MType.CONFIRMED_UP << 5
_new_tuple: Final = tuple.__new__  # a named tuple's own constructor takes twice as long


def _counter(fcnt32: int) -> bytes:
    if not 0 <= fcnt32 < FCNT_LIMIT:
        raise FrameError(f"frame counter {fcnt32} is outside 32 bits")
    return fcnt32.to_bytes(4, "little")


def _mic_mismatch(dev_addr: int) -> MicMismatch:
    return MicMismatch(
        f"The frame does not fit the session of DevAddr {dev_addr:08x} at this counter: "
        "another device's address, a foreign key, or a counter that was reset."
    )
