"""Explains application payloads: values telegrams on port 16, configuration on 33, keys on 34, others by name."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

from meterwire import config_records, key_messages
from meterwire.errors import FormatError, ReplayError, TagMismatch, ValueOutOfRange
from meterwire.explain import days, keys, records
from meterwire.explain.context import Context, Explanation
from meterwire.registers import IDENTITY, PREVIOUS, REGISTERS, split_number
from meterwire.seal import InnerKey, ValuesOpener
from meterwire.signed_day import is_day_frame
from meterwire.values_telegram import PORT, Mode, Value, ValuesTelegram, parse_values, restore_counter

# Design 5.1; ports without a reader here are named, and their bytes shown.
PORTS: Mapping[int, str] = MappingProxyType(
    {
        0: "MAC commands",
        16: "values telegram (CT-V)",
        17: "LMN telegram (CT-L)",
        18: "data protected by the meter itself",
        19: "OMS upper layers",
        32: "control command or confirmation",
        33: "configuration or registration report",
        34: "key exchange or signed day",
        200: "multicast set-up (TS005)",
        201: "fragmentation (TS004)",
        202: "clock (TS003)",
    }
)
_MODES = {
    Mode.METER: "protected by the meter, no tag",
    Mode.VALUES: "values encrypted",
    Mode.ALL: "registers and values encrypted",
    Mode.CLEAR: "clear with tag",
}
_HALVES = 1 << 16
_TRIED = 2048  # upper halves of the counter, enough for a telegram a minute over 250 years


def explain(payload: bytes, port: int, context: Context) -> Explanation:
    """What an application payload on `port` holds. FormatError; AuthenticationError for a key that does not fit."""
    if port == PORT:
        return values_telegram(payload, context)
    if port == config_records.PORT:
        return _configuration(payload)
    if port == key_messages.PORT:
        if not (is_day_frame(payload, up=True) or is_day_frame(payload, up=False)):
            return keys.explain(payload, context)
        with suppress(FormatError):  # what is cut off or of a later release is still named
            return days.explain(payload, context)
    answer: Explanation = {
        "kind": "application payload",
        "port": port,
        "content": PORTS.get(port, "not used by Meterspan"),
        "payload": payload.hex(),
    }
    if payload and all(0x20 <= octet < 0x7F for octet in payload):
        answer["text"] = payload.decode("ascii")
    return answer


def nested(payload: bytes, port: int, context: Context) -> Explanation:
    """As `explain`, for the payload inside a frame: what is unreadable there does not spoil the frame's explanation."""
    try:
        return explain(payload, port, context)
    except FormatError as error:
        if context.key is not None:
            raise
        return {"kind": "unreadable", "port": port, "error": str(error)}


def values_telegram(payload: bytes, context: Context) -> Explanation:
    """A CT-V telegram; opened when the context has the key. FormatError, TagMismatch or ReplayError."""
    telegram = parse_values(payload)
    answer: Explanation = {
        "kind": "values telegram",
        "port": PORT if context.port is None else context.port,
        "bytes": len(payload),
        "mode": int(telegram.mode),
        "mode_name": _MODES[telegram.mode],
        "tag_length": telegram.tag_length if telegram.tag else 0,
        "key_slot": telegram.key_slot,
        "counter_low": telegram.counter_low,
    }
    if context.key is None:
        return answer | {"counter": _next(telegram, context), "registers": _unopened(telegram), "authentic": None}
    counter, values = _open(telegram, context)
    return answer | {"counter": counter, "registers": _readable(values), "authentic": True}


def _open(telegram: ValuesTelegram, context: Context) -> tuple[int, tuple[Value, ...]]:
    if context.dev_eui is None or context.key is None:
        raise ValueOutOfRange("the inner key opens a telegram only together with the adapter's DevEUI: give --dev-eui")
    if telegram.mode is Mode.METER:
        raise FormatError("the telegram carries no tag (mode 0), so a key proves nothing: leave --key out to read it")
    opener = ValuesOpener(InnerKey(context.key.reveal(), telegram.tag_length), context.dev_eui)
    expected = _next(telegram, context)
    if expected is not None and expected < 1 << 32:
        try:
            return expected, opener.open(telegram, expected)
        except TagMismatch:
            pass
    found = _search(opener, telegram)
    if found is None:
        raise TagMismatch(
            "the inner tag does not fit: wrong key, wrong DevEUI or changed bytes; compare the key's check value,"
            f" the slot ({telegram.key_slot}) and the DevEUI"
        )
    if context.last_counter is None:
        return found
    if found[0] <= context.last_counter:
        raise ReplayError(
            f"the telegram has counter {found[0]}, not above the last counter {context.last_counter}:"
            " it was sent before, or --last-counter is not the telegram before this one"
        )
    raise TagMismatch(
        f"the telegram has counter {found[0]}, more than {_HALVES - 1} above the last counter {context.last_counter}:"
        " after such a silence the adapter has to report its counter; check --last-counter"
    )


def _next(telegram: ValuesTelegram, context: Context) -> int | None:
    """The full counter that follows from the last one; None when that is not known."""
    if context.last_counter is None:
        return None
    return restore_counter(telegram.counter_low, context.last_counter + 1)


def _search(opener: ValuesOpener, telegram: ValuesTelegram) -> tuple[int, tuple[Value, ...]] | None:
    """The counter that the tag fits, by trying upper halves from 0: a person seldom knows the counter."""
    payload = telegram.payload
    for counter in range(telegram.counter_low, _TRIED * _HALVES, _HALVES):
        try:
            opener.open_raw(payload, counter)
        except TagMismatch:
            continue
        return counter, opener.open(telegram, counter)
    return None


def _unopened(telegram: ValuesTelegram) -> Explanation | None:
    clear = telegram.clear_values()
    if clear is not None:
        return _readable(clear)
    if telegram.registers is None:
        return None
    return {
        _name(number): {"value": None, "unit": _unit(number), "sealed_bytes": length}
        for number, length in telegram.registers
    }


def _readable(values: Iterable[Value]) -> Explanation:
    return {_name(value.register): {"value": _shown(value), "unit": _unit(value.register)} for value in values}


def _shown(value: Value) -> str:
    index = value.register & 31
    if index == PREVIOUS:
        return str(value.value)
    return f"{value.value:08x}" if index == IDENTITY else f"{REGISTERS[index].quantity(value.value):f}"


def _unit(number: int) -> str:
    index = number & 31
    return "" if index in (IDENTITY, PREVIOUS) else REGISTERS[index].unit


def _name(number: int) -> str:
    if number & 31 == PREVIOUS:
        index, input_, name = PREVIOUS, number >> 5, "grown since the telegram before"
    else:
        index, input_ = split_number(number)
        name = "identity hash" if index == IDENTITY else REGISTERS[index].obis
    return name + (f" input {input_}" if input_ else "")


def _configuration(payload: bytes) -> Explanation:
    part = config_records.decode(payload)
    return {
        "kind": "configuration telegram",
        "port": config_records.PORT,
        "version": part.version,
        "part": part.part,
        "parts": part.parts,
        "records": [records.explain(record) for record in part.records],
    }
