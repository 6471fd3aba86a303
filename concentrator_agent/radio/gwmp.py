"""The Semtech UDP protocol version 2 as octets (GWMP; PROTOCOL.TXT of Lora-net/packet_forwarder): nothing is sent here.

Datagrams come from anybody: every length and number is bounded, and what is wrong is counted under a name.
"""

import binascii
from collections import Counter
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, Final

import msgspec

from meterwire.errors import FormatError
from meterwire.lorawan.frame import MAX_PHY
from meterwire.lorawan.gpstime import unix_seconds
from meterwire.lorawan.plan import Region

VERSION: Final = 2
MAX_DATAGRAM: Final = 65_507
MAX_RXPK: Final = 255  # a forwarder sends up to so many packets in one datagram
MAX_BASE64: Final = 4 * ((MAX_PHY + 2) // 3)


class Kind(IntEnum):
    PUSH_DATA = 0
    PUSH_ACK = 1
    PULL_DATA = 2
    PULL_RESP = 3
    PULL_ACK = 4
    TX_ACK = 5


class GwmpError(FormatError):
    """The datagram is none of the Semtech UDP protocol; `reason` is the name under which it is counted."""

    code = "gwmp"

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Packet(msgspec.Struct, frozen=True):
    """One received packet. `gateway_time` is the Unix time that the gateway itself gives, None without GPS."""

    phy: bytes
    tmst: int
    freq: int
    dr: int
    rssi: float
    snr: float
    gateway_time: float | None


class Datagram(msgspec.Struct, frozen=True):
    """A datagram from a gateway. `eui` is 16 lower-case hex digits. `error` is TX_ACK's, None when it accepted.

    `dropped` counts the packets of a PUSH_DATA that cannot be used, by reason.
    """

    kind: Kind
    token: bytes
    eui: str
    packets: tuple[Packet, ...] = ()
    error: str | None = None
    dropped: Counter[str] = msgspec.field(default_factory=Counter)


def parse(datagram: bytes, region: Region) -> Datagram:
    """Read what a gateway sends: PUSH_DATA, PULL_DATA or TX_ACK. Raises GwmpError."""
    if len(datagram) < 12:
        raise GwmpError("not_gwmp", f"a gateway's datagram has at least 12 octets, not {len(datagram)}")
    if len(datagram) > MAX_DATAGRAM:
        raise GwmpError("oversize", f"a datagram has at most {MAX_DATAGRAM} octets, not {len(datagram)}")
    if datagram[0] != VERSION:
        raise GwmpError("version", f"protocol version {datagram[0]}; only version {VERSION} is spoken here")
    token, number, eui = datagram[1:3], datagram[3], datagram[4:12].hex()
    if number == Kind.PUSH_DATA:
        return _parse_push(datagram[12:], token, eui, region)
    if number == Kind.PULL_DATA:
        return Datagram(Kind.PULL_DATA, token, eui)
    if number == Kind.TX_ACK:
        return Datagram(Kind.TX_ACK, token, eui, error=_tx_error(datagram[12:]))
    raise GwmpError("kind", f"a gateway sends no datagram of type {number}")


def acknowledge(datagram: Datagram) -> bytes:
    """PUSH_ACK or PULL_ACK for a PUSH_DATA or PULL_DATA."""
    kind = Kind.PUSH_ACK if datagram.kind is Kind.PUSH_DATA else Kind.PULL_ACK
    return bytes((VERSION, *datagram.token, kind))


def pull_resp(token: bytes, phy: bytes, *, tmst: int, freq: int, datr: str | int, power_dbm: int) -> bytes:
    """PULL_RESP with one downlink: inverted IQ, no payload CRC, at the counter value `tmst`."""
    packet: dict[str, Any] = {
        "imme": False,
        "tmst": tmst & 0xFFFFFFFF,
        "freq": freq / 1e6,
        "rfch": 0,
        "powe": power_dbm,
        "modu": "LORA" if isinstance(datr, str) else "FSK",
        "datr": datr,
        "ipol": True,
        "ncrc": True,
        "size": len(phy),
        "data": binascii.b2a_base64(phy, newline=False).decode(),
    }
    if isinstance(datr, str):
        packet["codr"] = "4/5"
    else:
        packet["fdev"] = 25_000
    return bytes((VERSION, *token, Kind.PULL_RESP)) + msgspec.json.encode({"txpk": packet})


class _Rxpk(msgspec.Struct, gc=False):
    tmst: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
    freq: Annotated[float, msgspec.Meta(ge=100, le=2000)]
    datr: str | int
    data: Annotated[str, msgspec.Meta(max_length=MAX_BASE64)]
    rssi: Annotated[float, msgspec.Meta(ge=-200, le=50)] = -200.0
    lsnr: Annotated[float, msgspec.Meta(ge=-50, le=50)] = 0.0
    stat: int = 1
    size: int | None = None
    time: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    tmms: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] | None = None


class _Push(msgspec.Struct, gc=False):
    rxpk: list[_Rxpk] = []


class _LoosePush(msgspec.Struct):
    rxpk: list[msgspec.Raw] = []


class _TxAck(msgspec.Struct, frozen=True):
    error: str = "NONE"


class _TxAckBody(msgspec.Struct):
    txpk_ack: _TxAck = _TxAck()


_push = msgspec.json.Decoder(_Push)
_loose_push = msgspec.json.Decoder(_LoosePush)
_rxpk = msgspec.json.Decoder(_Rxpk)
_tx_ack = msgspec.json.Decoder(_TxAckBody)


def _parse_push(body: bytes, token: bytes, eui: str, region: Region) -> Datagram:
    dropped: Counter[str] = Counter()
    try:
        received = _push.decode(body).rxpk
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        received = _salvage(body, dropped)
    if len(received) > MAX_RXPK:
        raise GwmpError("oversize", f"{len(received)} packets in one datagram; at most {MAX_RXPK} are taken")
    packets = []
    for rxpk in received:
        packet = _packet(rxpk, region)
        if isinstance(packet, str):
            dropped[packet] += 1
        else:
            packets.append(packet)
    return Datagram(Kind.PUSH_DATA, token, eui, tuple(packets), dropped=dropped)


def _salvage(body: bytes, dropped: Counter[str]) -> list[_Rxpk]:
    """The packets that can be read where one of them cannot. Raises GwmpError when nothing is JSON."""
    try:
        raw = _loose_push.decode(body).rxpk
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GwmpError("json", "the JSON of a PUSH_DATA cannot be read") from None
    good = []
    for one in raw[: MAX_RXPK + 1]:
        try:
            good.append(_rxpk.decode(one))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            dropped["rxpk"] += 1
    return good


def _packet(rxpk: _Rxpk, region: Region) -> Packet | str:
    """The packet, or the name of the reason why it cannot be used."""
    if rxpk.stat != 1:
        return "crc"
    try:
        # The specification's own examples carry base64 without padding.
        phy = binascii.a2b_base64(rxpk.data + "=" * (-len(rxpk.data) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return "base64"
    if not phy or (rxpk.size is not None and rxpk.size != len(phy)):
        return "size"
    dr = _data_rates(region).get(rxpk.datr)
    if dr is None:
        return "datr"
    return Packet(phy, rxpk.tmst, round(rxpk.freq * 1e6), dr, rxpk.rssi, rxpk.lsnr, _gateway_time(rxpk))


_rates_by_region: dict[str, dict[str | int, int]] = {}


def _data_rates(region: Region) -> dict[str | int, int]:
    rates = _rates_by_region.get(region.name)
    if rates is None:
        rates = {rate.datr: rate.index for rate in region.data_rates.values()}
        _rates_by_region[region.name] = rates
    return rates


def _gateway_time(rxpk: _Rxpk) -> float | None:
    if rxpk.tmms is not None and rxpk.tmms > 0:
        return unix_seconds(rxpk.tmms / 1000)
    if rxpk.time is None:
        return None
    try:
        moment = datetime.fromisoformat(rxpk.time)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _tx_error(body: bytes) -> str | None:
    """TX_ACK without JSON, or with error NONE or a mere warning, has accepted."""
    if not body.strip(b"\0 \r\n"):
        return None
    try:
        error = _tx_ack.decode(body).txpk_ack.error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GwmpError("json", "the JSON of a TX_ACK cannot be read") from None
    return None if error in ("NONE", "") else error[:40]
