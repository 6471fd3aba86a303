"""Explains the messages of port 34: what is asked or answered, for which key; never a key itself."""

from datetime import UTC, datetime
from typing import Any

from meterwire import key_messages as keys
from meterwire.errors import AuthenticationError, ValueOutOfRange
from meterwire.explain.context import Context, Explanation
from meterwire.seal import Key16


def explain(payload: bytes, context: Context) -> Explanation:
    """A key message; its type tells the direction. FormatError; AuthenticationError when the key of the context is not
    the transport key that it was sent under.
    """
    up = bool(payload) and payload[0] >= 0x80
    message = keys.decode(payload, up)
    return {
        "kind": "key message",
        "port": keys.PORT,
        "type": f"0x{message.type:02x}",
        "name": type(message).__name__,
        "direction": "up" if up else "down",
        "bytes": len(payload),
        "seq": message.seq,
        **_fields(message),
        **_authenticity(payload, message, context),
    }


def _fields(message: keys.Message) -> Explanation:
    match message:
        case keys.KeyDelivery(_, place, begin, end, _, check):
            return _place(place) | _validity(begin, end) | {"check_value": check.hex()}
        case keys.ExchangeConfirm(_, place, begin, end, check):
            return _place(place) | _validity(begin, end) | {"check_value": check.hex()}
        case keys.ExchangeOffer(_, place, public) | keys.ExchangeAnswer(_, place, public):
            return _place(place) | {"curve": str(public.curve), "public": public.octets.hex()}
        case keys.DeliveryAnswer(_, place, result, check) | keys.ExchangeResult(_, place, result, check):
            return _place(place) | _result(result) | {"check_value": check.hex()}
        case keys.RevokeAnswer(_, place, result):
            return _place(place) | _result(result)
        case keys.KeyReport(_, held):
            return {"keys": [_place(one.place) | {"check_value": one.check.hex()} for one in held]}
        case keys.KeyRevoke(_, place):
            return _place(place)


def _place(place: keys.Place) -> dict[str, Any]:
    known = isinstance(place.purpose, keys.KeyPurpose)
    purpose = keys.KeyPurpose(place.purpose).name.lower() if known else str(place.purpose)
    return {"purpose": purpose, "slot": place.slot, "tag_length": place.tag_length}


def _validity(begin: int | None, end: int | None) -> Explanation:
    return {"not_before": _moment(begin), "not_after": _moment(end)}


def _moment(unix: int | None) -> str | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC).isoformat()


def _result(result: keys.Result) -> Explanation:
    return {"result": int(result), "result_name": result.name.lower().replace("_", " ")}


def _authenticity(payload: bytes, message: keys.Message, context: Context) -> Explanation:
    if context.key is None:
        return {"authentic": None}
    if context.dev_eui is None:
        raise ValueOutOfRange("the transport key proves a message only together with the adapter's DevEUI: --dev-eui")
    macs = keys.mac_keys(context.key)
    keys.verify(payload, macs.up if message.type >= 0x80 else macs.down, context.dev_eui)
    if isinstance(message, keys.KeyDelivery):
        return {"authentic": True, "check_value_fits": _fits(message, context.key)}
    return {"authentic": True}


def _fits(delivery: keys.KeyDelivery, transport: Key16) -> bool:
    try:
        return keys.unwrap(transport, delivery.wrapped).check_value() == delivery.check
    except AuthenticationError:
        return False
