"""MQTT messages between concentrator and portal (design 5.5, 5.8), as msgspec structs encoded in JSON.

Every message carries the schema version `v`, an `id` (ULID, made by the sender; receivers de-duplicate by it) and
`time` (RFC 3339, UTC, milliseconds). Bytes travel as base64. Unknown fields are ignored, so that a newer peer may
add some; a version other than ours is refused with UnsupportedVersion, a body over the stated bounds with
LimitExceeded. Nothing here looks at a clock: times and ids are arguments.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from meterwire.errors import FormatError, LimitExceeded, UnsupportedVersion
from meterwire.time_entries import PlanEntry, SlotEntry

SCHEMA_VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 256 * 1024
MAX_TELEGRAMS: Final = 200  # over that a message is refused
BATCH_TELEGRAMS: Final = 60  # a concentrator puts at most this many into one message
BATCH_FLUSH_SECONDS: Final = 0.25
MAX_RESULTS: Final = 1000
MAX_DEVICES: Final = 200  # entries in one part of a `devices` command

# Patterns end in \Z: a $ would let a line feed pass.
Id = Annotated[str, Meta(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")]  # 128 bits: 8 and above would not fit
Eui = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z"
Time = Annotated[str, Meta(pattern=_TIME)]
# Of fixed length only: the telegrams of a message are so many that their alphabets are checked all at once.
_TelegramId = Annotated[str, Meta(min_length=26, max_length=26)]
_TelegramEui = Annotated[str, Meta(min_length=16, max_length=16)]
_TelegramTime = Annotated[str, Meta(min_length=24, max_length=24)]
TimeQuality = Literal["gps", "ntp", "free", "none"]
Text = Annotated[str, Meta(max_length=500)]
Code = Annotated[str, Meta(max_length=40, pattern=r"^[a-z0-9_]+\Z")]
Payload = Annotated[bytes, Meta(max_length=242)]


class Rx(Struct, frozen=True):
    """One gateway's reception: gateway EUI, RSSI in dBm, SNR in dB."""

    gw: _TelegramEui
    rssi: Annotated[float, Meta(ge=-200, le=50)]
    snr: Annotated[float, Meta(ge=-50, le=50)]


class Telegram(Struct, frozen=True, omit_defaults=True):
    """One authenticated uplink with the outer encryption removed (design 5.8).

    `counter` is the full 32-bit inner counter of ports 16 and 17 as the concentrator restored it (None: it cannot
    tell). `fcnt` is the full 32-bit LoRaWAN counter, `epoch` the number of joins before it, so that (epoch, fcnt) is
    unique for a foreign device. `received_at` is the end of reception; `freq` in Hz; `rx` best SNR first.
    """

    id: _TelegramId
    dev_eui: _TelegramEui
    fport: Annotated[int, Meta(ge=0, le=255)]
    fcnt: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    payload: Payload
    rx: Annotated[tuple[Rx, ...], Meta(min_length=1, max_length=32)]
    dr: Annotated[int, Meta(ge=0, le=15)]
    freq: Annotated[int, Meta(ge=0, le=2_000_000_000)]
    received_at: _TelegramTime
    time_quality: TimeQuality
    counter: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] | None = None
    epoch: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0


class TelegramBatch(Struct, frozen=True):
    """`up/telegram`: 1 to MAX_TELEGRAMS telegrams."""

    id: Id
    time: Time
    telegrams: Annotated[tuple[Telegram, ...], Meta(min_length=1)]
    v: int = SCHEMA_VERSION


EventKind = Literal[
    "joined",  # detail: dev_addr, epoch, dev_nonce, rx
    "join_refused",  # reason: nonce_used | mic | unknown_key ; detail: dev_nonce, join_eui, rx
    "frame_refused",  # reason: mic | counter | replay | format ; detail: dev_addr, fcnt, fport, rx
    "heard",  # a stranger; detail: join_eui or dev_addr, count, rx
    "downlink",  # reason: sent | acknowledged | expired | duty_cycle | too_late | refused ; detail: command
    "device_refused",  # a device entry that cannot be used; reason: key | format
    "gateway",  # reason: online | offline ; detail: gw
    "outbox_dropped",  # detail: count, oldest
    "clock",  # reason: jump | settled | unsynchronised | synchronised | leap_second | contradicted | gateway_off
    "slot",  # how a device keeps its slot; detail: n, early_ms_p99, late_ms_p99, median_ms, rate_ppb, uncertainty_ms …
    "rate_proposed",  # another data rate would suit a device with a slot; detail: dr, margin (dB), version of the slot
    "certificate",  # reason: issued | expiring ; detail: hours_left
    "rekeyed",  # reason: ok | timeout | why not ; detail: seq, place, check (hex, with ok)
]


class Event(Struct, frozen=True):
    """`up/event`: something that happened at the concentrator. `detail` is a small flat JSON object."""

    id: Id
    time: Time
    kind: EventKind
    dev_eui: Eui | None = None
    reason: Code | None = None
    detail: Annotated[dict[str, Any], Meta(max_length=20)] = {}
    v: int = SCHEMA_VERSION


class ClockState(Struct, frozen=True):
    quality: TimeQuality
    offset_ms: float | None = None


class GatewayState(Struct, frozen=True):
    gw: Eui
    online: bool
    last_seen: Time | None = None


class State(Struct, frozen=True):
    """`state` (retained): birth, heartbeat and last will. The will carries the same `boot` with online false.

    `revision` is the device-table revision that runs; `public_key` the concentrator's X25519 key (hex) for root keys.
    """

    id: Id
    time: Time
    online: bool
    boot: Id
    version: Text = ""
    public_key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    revision: Annotated[int, Meta(ge=0)] = 0
    devices: int = 0
    mode: Literal["smgw", "stand-alone"] = "stand-alone"
    queue_depth: int = 0
    oldest_age_s: float = 0.0
    dropped: int = 0
    clock: ClockState | None = None
    gateways: Annotated[tuple[GatewayState, ...], Meta(max_length=32)] = ()
    v: int = SCHEMA_VERSION


class Result(Struct, frozen=True, omit_defaults=True):
    """What became of one item: accepted (`code` None) or refused for good with a code and a sentence."""

    id: Id
    code: Code | None = None
    message: Text = ""


class Receipt(Struct, frozen=True):
    """`dn/receipt` (telegram and event ids, sent by the portal after its commit), `up/receipt` (command ids)."""

    id: Id
    time: Time
    results: Annotated[tuple[Result, ...], Meta(min_length=1, max_length=MAX_RESULTS)]
    v: int = SCHEMA_VERSION


class WrappedKey(Struct, frozen=True):
    """A 16-byte key wrapped for a concentrator (meterwire.transport_key): ephemeral key, RFC 3394 wrap.

    `epk` has 32 octets for its X25519 key, 33 for the key of its certificate.
    """

    epk: Annotated[bytes, Meta(min_length=32, max_length=33)]
    wrapped: Annotated[bytes, Meta(min_length=24, max_length=24)]


class Abp(Struct, frozen=True):
    """Activation by personalisation: address and the two session keys, each wrapped."""

    dev_addr: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}\Z")]
    nwk_s_key: WrappedKey
    app_s_key: WrappedKey


class DeviceEntry(Struct, frozen=True, omit_defaults=True):
    """One row of the concentrator's device table. Exactly one of `root_key` (OTAA) and `abp` is set.

    With `transport_key` the concentrator itself agrees inner keys with the device over port 34 [0087]. With `slot` it
    follows the device's clock, and tells it how that runs.
    """

    dev_eui: Eui
    join_eui: Eui
    root_key: WrappedKey | None = None
    abp: Abp | None = None
    lorawan: Literal["1.0.2", "1.0.3", "1.0.4"] = "1.0.4"
    device_class: Literal["A"] = "A"
    foreign: bool = False
    transport_key: WrappedKey | None = None
    slot: SlotEntry | None = None


class DevicesCommand(Struct, frozen=True, tag_field="kind", tag="devices"):
    """Desired device table. `base` None: the whole table, in `parts` parts; else a change on top of revision `base`.

    Applied when all parts of a revision are in. A concentrator that does not run `base` answers code `revision_gap`
    and gets the whole. `plan` comes with every change; None: the concentrator's own settings hold.
    """

    id: Id
    time: Time
    revision: Annotated[int, Meta(ge=1)]
    base: Annotated[int, Meta(ge=0)] | None = None
    part: Annotated[int, Meta(ge=1, le=1000)] = 1
    parts: Annotated[int, Meta(ge=1, le=1000)] = 1
    upsert: Annotated[tuple[DeviceEntry, ...], Meta(max_length=MAX_DEVICES)] = ()
    remove: Annotated[tuple[Eui, ...], Meta(max_length=MAX_DEVICES)] = ()
    v: int = SCHEMA_VERSION
    plan: PlanEntry | None = None


class DownlinkCommand(Struct, frozen=True, tag_field="kind", tag="downlink"):
    """One downlink payload (inner layer already applied). Higher priority first; never sent after `expires_at`."""

    id: Id
    time: Time
    dev_eui: Eui
    fport: Annotated[int, Meta(ge=1, le=223)]
    payload: Payload
    expires_at: Time
    confirmed: bool = False
    priority: Annotated[int, Meta(ge=0, le=9)] = 5
    v: int = SCHEMA_VERSION


class RekeyCommand(Struct, frozen=True, tag_field="kind", tag="rekey"):
    """Agree a new inner key with a device, as its partner [0087]; how that ends is told by the event `rekeyed`.

    `place` is a meterwire.key_messages.Place of purpose inner. `seq` goes into offer and confirmation, the number after
    it into the proof of use. The validity is in Unix seconds; None: no bound.
    """

    id: Id
    time: Time
    dev_eui: Eui
    seq: Annotated[int, Meta(ge=1, le=0xFFFE)]
    place: Annotated[int, Meta(ge=0x10, le=0x1F)]
    curve: Literal["x25519", "p-256", "brainpoolP256r1"]
    not_before: Annotated[int, Meta(ge=1, le=0xFFFFFFFF)] | None = None
    not_after: Annotated[int, Meta(ge=1, le=0xFFFFFFFF)] | None = None
    v: int = SCHEMA_VERSION


Command = DevicesCommand | DownlinkCommand | RekeyCommand
Message = TelegramBatch | Event | State | Receipt | DevicesCommand | DownlinkCommand | RekeyCommand
T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_version = msgspec.json.Decoder(type=msgspec.defstruct("_Version", [("v", int)]))


class _Unknown(Struct):
    id: Id
    kind: Code
    v: int


_unknown = msgspec.json.Decoder(_Unknown)
_KINDS: Final = frozenset({"devices", "downlink", "rekey"})
_telegram = msgspec.json.Decoder(type=Telegram)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(type=kind) for kind in (TelegramBatch, Event, State, Receipt, Command)
}


def encode(message: Message) -> bytes:
    """The JSON bytes of a message."""
    return _encoder.encode(message)


def decode_telegrams(body: bytes) -> TelegramBatch:
    """Read `up/telegram`. Raises FormatError, UnsupportedVersion or LimitExceeded."""
    batch: TelegramBatch = _decode(body, TelegramBatch)
    if len(batch.telegrams) > MAX_TELEGRAMS:
        raise LimitExceeded(f"{len(batch.telegrams)} telegrams in one message; at most {MAX_TELEGRAMS} are accepted")
    _check_alphabets(batch.telegrams)
    return batch


def decode_telegram(body: bytes | msgspec.Raw) -> Telegram:
    """Read one telegram of an `up/telegram`, for a message that is not readable as a whole. Raises FormatError."""
    try:
        telegram = _telegram.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"no valid telegram: {error}") from None
    _check_alphabets((telegram,))
    return telegram


def decode_event(body: bytes) -> Event:
    """Read `up/event`. Raises FormatError, UnsupportedVersion or LimitExceeded."""
    event: Event = _decode(body, Event)
    return event


def decode_state(body: bytes) -> State:
    """Read `state`. Raises FormatError, UnsupportedVersion or LimitExceeded."""
    state: State = _decode(body, State)
    return state


def decode_receipt(body: bytes) -> Receipt:
    """Read `dn/receipt` or `up/receipt`. Raises FormatError, UnsupportedVersion or LimitExceeded."""
    receipt: Receipt = _decode(body, Receipt)
    return receipt


def decode_command(body: bytes) -> Command:
    """Read `dn/command`. Raises FormatError, UnsupportedVersion or LimitExceeded."""
    command: Command = _decode(body, Command)
    return command


def unknown_command(body: bytes) -> str | None:
    """The id of a `dn/command` of a kind that this release does not know, to be refused by it; None for all others."""
    try:
        command = _unknown.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return command.id if command.v == SCHEMA_VERSION and command.kind not in _KINDS else None


def timestamp(unix: float) -> str:
    """RFC 3339 text, UTC, milliseconds (rounded down), of Unix seconds."""
    milliseconds = _milliseconds(unix)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def parse_timestamp(text: str) -> datetime:
    """The aware UTC datetime of a `Time` text. Raises FormatError for a day that does not exist."""
    try:
        if re.fullmatch(_TIME, text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise FormatError(f"'{text[:40]}' is no RFC 3339 time in UTC with milliseconds")


def ulid(unix: float, randomness: bytes) -> str:
    """A ULID: 48-bit milliseconds and 10 random bytes, 26 characters, sorting by time."""
    if len(randomness) != 10:
        raise ValueError("a ULID takes 10 random bytes")
    number = (_milliseconds(unix) & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(randomness, "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _milliseconds(unix: float) -> int:
    # By way of microseconds: the float nearest to a whole millisecond often lies just below it.
    return round(unix * 1_000_000) // 1000


_IDS = re.compile(r"(?:[0-7][0-9A-HJKMNP-TV-Z]{25})*")
_EUIS = re.compile(r"(?:[0-9a-f]{16})*")
_TIMES = re.compile(f"(?:{_TIME[1:-2]})*")


def _check_alphabets(telegrams: Sequence[Telegram]) -> None:
    """Three patterns for a whole message; one for each field would cost more than all the rest of its decoding."""
    ids = "".join([telegram.id for telegram in telegrams])
    euis = "".join([telegram.dev_eui for telegram in telegrams] + [rx.gw for item in telegrams for rx in item.rx])
    times = "".join([telegram.received_at for telegram in telegrams])
    for name, pattern, text in (("id", _IDS, ids), ("EUI", _EUIS, euis), ("time", _TIMES, times)):
        if not pattern.fullmatch(text):
            raise FormatError(f"no valid message: a telegram holds a text that is no {name}")


def _decode(body: bytes, kind: Any) -> Any:
    if len(body) > MAX_MESSAGE_BYTES:
        raise LimitExceeded(f"message of {len(body)} bytes; at most {MAX_MESSAGE_BYTES} are accepted")
    try:
        version = _version.decode(body).v  # type: ignore[attr-defined]
        if version != SCHEMA_VERSION:
            raise UnsupportedVersion(
                f"schema version {version}; this release reads {SCHEMA_VERSION}: update the older side"
            )
        return _decoders[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"no valid message: {error}") from None
