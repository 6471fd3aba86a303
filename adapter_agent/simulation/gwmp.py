"""The gateway's side of Semtech's UDP protocol, version 2: values into datagrams, downlink JSON into requests."""

from base64 import b64encode
from binascii import Error as BadBase64
from binascii import a2b_base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from adapter_agent.simulation.gateway import Reception
from meterwire.errors import FormatError
from meterwire.ids import GatewayEUI
from meterwire.lorawan.frame import MAX_PHY
from meterwire.lorawan.gpstime import gps_seconds

VERSION: Final = 2
PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK = range(6)
MAX_DATAGRAM: Final = 4096  # of a PULL_RESP: one frame of 255 bytes with its fields takes 600
JSON_VERSION: Final = 1


class DownlinkRequest(Struct, frozen=True):
    """`txpk` of a PULL_RESP, before it is held against the plan."""

    freq: Annotated[float, Meta(ge=0, le=10_000)]
    rfch: Annotated[int, Meta(ge=0, le=1)]
    modu: Literal["LORA", "FSK"]
    datr: str | int
    size: Annotated[int, Meta(ge=1, le=MAX_PHY)]
    data: Annotated[str, Meta(max_length=400)]
    imme: bool = False
    tmst: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] | None = None
    tmms: Annotated[int, Meta(ge=0, le=1 << 52)] | None = None
    powe: Annotated[float, Meta(ge=-100, le=100)] | None = None
    codr: Literal["4/5", "4/6", "4/7", "4/8"] = "4/5"
    ipol: bool = False
    prea: Annotated[int, Meta(ge=6, le=65535)] = 8
    ncrc: bool = False

    @property
    def frame(self) -> bytes:
        """The octets to send. FormatError when they are no base64 or not as many as said."""
        return _from_base64(self.data, self.size)


class _PullResp(Struct, frozen=True):
    txpk: DownlinkRequest


@dataclass(frozen=True, slots=True)
class Statistics:
    """`stat`: what has been counted since the last one. Place in degrees and metres; None leaves it out."""

    unix: float
    received: int
    intact: int
    forwarded: int
    acknowledged_percent: float
    downlinks: int
    sent: int
    temperature: float
    place: tuple[float, float, int] | None = None

    def fields(self) -> dict[str, Any]:
        latitude, longitude, altitude = self.place or (None, None, None)
        place = {"lati": latitude, "long": longitude, "alti": altitude} if self.place else {}
        return {
            "time": f"{datetime.fromtimestamp(self.unix, UTC):%Y-%m-%d %H:%M:%S} GMT",
            **place,
            "rxnb": self.received,
            "rxok": self.intact,
            "rxfw": self.forwarded,
            "ackr": round(self.acknowledged_percent, 1),
            "dwnb": self.downlinks,
            "txnb": self.sent,
            "temp": round(self.temperature, 1),
        }


def push_data(
    eui: GatewayEUI, token: int, receptions: list[Reception], statistics: Statistics | None, *, gps: bool
) -> bytes:
    """A PUSH_DATA with frames, statistics or both. With `gps` each frame carries UTC and GPS time."""
    body: dict[str, Any] = {}
    if receptions:
        body["rxpk"] = [rxpk(reception, gps=gps) for reception in receptions]
    if statistics is not None:
        body["stat"] = statistics.fields()
    return _header(token, PUSH_DATA) + eui.bytes + msgspec.json.encode(body)


def pull_data(eui: GatewayEUI, token: int) -> bytes:
    return _header(token, PULL_DATA) + eui.bytes


def tx_ack(eui: GatewayEUI, token: int, *, error: str = "NONE", warn_power: int | None = None) -> bytes:
    """The answer to a PULL_RESP: accepted, accepted with another power, or the reason why not."""
    fields: dict[str, Any] = {"error": error}
    if warn_power is not None:
        fields = {"warn": "TX_POWER", "value": warn_power}
    return _header(token, TX_ACK) + eui.bytes + msgspec.json.encode({"txpk_ack": fields})


def rxpk(reception: Reception, *, gps: bool) -> dict[str, Any]:
    """One received frame with the fields of current forwarders."""
    timed = {}
    if gps:
        moment = datetime.fromtimestamp(reception.unix, UTC)
        timed = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
            "tmms": int(gps_seconds(reception.unix) * 1000),
            "ftime": int(reception.unix % 1 * 1e9),
        }
    return {
        "jver": JSON_VERSION,
        "tmst": reception.tmst,
        **timed,
        "chan": reception.channel,
        "rfch": 0 if 3 <= reception.channel <= 7 else 1,
        "freq": round(reception.frequency_hz / 1e6, 6),
        "mid": reception.channel,
        "stat": 1 if reception.intact else -1,
        "modu": "LORA",
        "datr": reception.data_rate.datr,
        "codr": "4/5",
        "rssi": round(reception.rssi),
        "rssis": round(reception.rssi + min(0.0, reception.snr)),
        "lsnr": round(reception.snr, 1),
        "foff": 0,
        "size": len(reception.frame),
        "data": b64encode(reception.frame).decode(),
    }


def acknowledged(datagram: bytes, kind: int) -> int | None:
    """The token of a PUSH_ACK or PULL_ACK; None for anything else."""
    if len(datagram) < 4 or datagram[0] != VERSION or datagram[3] != kind:
        return None
    return int.from_bytes(datagram[1:3], "big")


def pull_resp(datagram: bytes) -> tuple[int, DownlinkRequest] | None:
    """Token and request of a PULL_RESP; None for another datagram. FormatError for one that cannot be read."""
    if len(datagram) < 4 or datagram[0] != VERSION or datagram[3] != PULL_RESP:
        return None
    if len(datagram) > MAX_DATAGRAM:
        raise FormatError(f"a PULL_RESP of {len(datagram)} bytes; at most {MAX_DATAGRAM} are read")
    try:
        request = _decoder.decode(datagram[4:].rstrip(b"\0")).txpk
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"no valid txpk: {error}") from None
    return int.from_bytes(datagram[1:3], "big"), request


def _header(token: int, kind: int) -> bytes:
    return bytes((VERSION,)) + token.to_bytes(2, "big") + bytes((kind,))


def _from_base64(text: str, size: int) -> bytes:
    try:
        frame = a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)  # servers may leave the padding out
    except (BadBase64, ValueError):
        raise FormatError("the data of a txpk is no base64") from None
    if len(frame) != size:
        raise FormatError(f"a txpk says {size} bytes and carries {len(frame)}")
    return frame


_decoder = msgspec.json.Decoder(_PullResp)
