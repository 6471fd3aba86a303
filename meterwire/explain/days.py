"""Explains the frames of signed days on port 34: which day they tell of, and what."""

from meterwire import key_messages, signed_day
from meterwire.errors import ValueOutOfRange
from meterwire.explain.context import Context, Explanation
from meterwire.signed_day import DayRefusal, DayRequest, LeafHash, LeafRuns, SignatureHalf, SigningKey


def explain(payload: bytes, context: Context) -> Explanation:
    """A frame; its type tells the direction. FormatError; AuthenticationError when the key of the context is not the
    transport key that it was sent under.
    """
    up = signed_day.is_day_frame(payload, up=True)
    frame = signed_day.decode(payload, up=up)
    return {
        "kind": "frame of a signed day",
        "port": signed_day.PORT,
        "type": f"0x{frame.type:02x}",
        "name": type(frame).__name__,
        "direction": "up" if up else "down",
        "bytes": len(payload),
        **({} if isinstance(frame, SigningKey) else {"day": signed_day.date_of(frame.day).isoformat()}),
        **_fields(frame),
        **(_authenticity(payload, up, context) if frame.authentic else {}),
    }


def _fields(frame: signed_day.Message) -> Explanation:
    match frame:
        case DayRequest(_, wanted, first, count):
            return {"wanted": wanted.name.lower(), "first_counter": first, "count": count}
        case SigningKey(seq, public):
            return {"seq": seq, "curve": str(public.curve), "public": public.octets.hex()}
        case SignatureHalf(half, _, leaves, first, last, octets):
            told = {"telegrams": leaves, "first_counter": first, "last_counter": last}
            return {"half": "rs"[half], **told, "octets": octets.hex()}
        case LeafHash(_, counter, digest):
            return {"counter": counter, "hash": digest.hex()}
        case LeafRuns(_, runs):
            return {"counters": [[run.first, run.end - 1] for run in runs]}
        case DayRefusal(_, wanted, reason):
            return {"wanted": wanted.name.lower(), "reason": reason.name.lower().replace("_", " ")}


def _authenticity(payload: bytes, up: bool, context: Context) -> Explanation:
    if context.key is None:
        return {"authentic": None}
    if context.dev_eui is None:
        raise ValueOutOfRange("the transport key proves a frame only together with the adapter's DevEUI: --dev-eui")
    macs = key_messages.mac_keys(context.key)
    signed_day.authenticate(payload, macs.up if up else macs.down, context.dev_eui)
    return {"authentic": True}
