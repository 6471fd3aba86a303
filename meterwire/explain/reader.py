"""Decides what a text is. Where several readings are possible the first in `_HEX_READERS` wins, the rest are named."""

import re
from collections.abc import Callable

from meterwire import label, scan
from meterwire.errors import FormatError, IdentifierError, LimitExceeded, MeterspanError
from meterwire.explain import frame, identifiers, payload
from meterwire.explain.context import MAX_TEXT, Context, Explanation

_SML_START = bytes.fromhex("1b1b1b1b01010101")
_HEX = re.compile("(0[xX])?[0-9A-Fa-f]+([-:. ]+[0-9A-Fa-f]+)*")

# (what a person calls it, the reader); a reader raises FormatError for bytes that are something else.
_HEX_READERS: tuple[tuple[str, Callable[[bytes, Context], Explanation]], ...] = (
    ("SML server id", identifiers.server_id),
    ("OMS address", identifiers.oms_address),
    ("EUI-64", identifiers.eui),
    ("MAC address", identifiers.mac_address),
    ("LoRaWAN frame", frame.likely),
    ("values telegram", payload.values_telegram),
)


def explain(text: str, context: Context = Context()) -> Explanation:  # noqa: B008 a frozen value
    """One JSON object on an adapter label, an identifier, a LoRaWAN frame or an application payload (both in hex).

    `kind` says what it is. Raises a MeterspanError, with cause and cure, when the text cannot be read, and also when
    a key is given that does not prove it authentic.
    """
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise LimitExceeded(f"a text of {len(text)} characters is too long; at most {MAX_TEXT} are read")
    if not text:
        raise FormatError("there is no text: give hex digits, the text of a label or an identifier")
    if text.upper().startswith("LW:"):
        return _label(text)
    is_hex = _HEX.fullmatch(text) is not None
    try:
        named = None if is_hex and context.port is not None else identifiers.named(text)
    except IdentifierError as error:
        return _scan(text, error)
    if named is not None:
        return named
    if not is_hex:
        unknown = FormatError(
            f"'{text[:40]}' is no hex, no adapter label (LW:D0:...) and no identifier that is known here;"
            " compare it with the original"
        )
        return _scan(text, unknown)
    return _hex(text, context)


def _scan(text: str, refusal: FormatError) -> Explanation:
    """As a scanner's text: what it names, else what it is instead, else the refusal."""
    found = scan.classify(text)
    if found.label is not None:
        return _label(found.label.format(checksum=found.code == "adapter"))
    if found.meter_id is not None:
        answer = identifiers.named(str(found.meter_id))
        assert answer is not None
        return answer | {"scanned": text}
    if found.kind in (scan.Kind.CONTROL_CHARACTERS, scan.Kind.TOO_LONG) or found.code == "unknown":
        raise refusal
    raise type(refusal)(found.message)


def _label(text: str) -> Explanation:
    found = label.parse(text)
    return {
        "kind": "adapter label",
        "join_eui": str(found.join_eui),
        "dev_eui": str(found.dev_eui),
        "profile_id": found.profile_id,
        "owner_token": found.owner_token,
        "serial": found.serial,
        "proprietary": found.proprietary,
        "checksum_ok": True if ":C" in text else None,
        "text": found.format(),
    }


def _hex(text: str, context: Context) -> Explanation:
    digits = re.sub("^0[xX]|[-:. ]", "", text)
    if len(digits) % 2:
        raise FormatError(f"{len(digits)} hex digits are no whole bytes: one digit is missing or too many")
    octets = bytes.fromhex(digits)
    if context.whole_frame:
        return frame.explain(octets, context)
    if context.port is not None:
        return _payload(octets, context.port, context)
    return _first(octets, context)


def _payload(octets: bytes, port: int, context: Context) -> Explanation:
    try:
        return payload.explain(octets, port, context)
    except FormatError as error:
        try:
            frame.likely(octets, Context())
        except FormatError:
            raise error from None
        raise FormatError(f"{error}; it looks like a whole LoRaWAN frame: leave --port out") from None


def _first(octets: bytes, context: Context) -> Explanation:
    readings: list[tuple[str, Explanation | MeterspanError]] = []
    for name, reader in _HEX_READERS:
        try:
            readings.append((name, reader(octets, context)))
        except FormatError:
            continue
        except MeterspanError as error:
            readings.append((name, error))
    if not readings and octets.startswith(_SML_START):
        raise FormatError("these are a meter's own SML bytes: save them to a file and use 'adapter-agent read'")
    if not readings:
        raise FormatError(
            f"{len(octets)} bytes that are no LoRaWAN frame, values telegram, EUI-64, server id or OMS address:"
            " for an application payload give --port"
        )
    # With a key, the reading that the key proves is the right one, whatever stands before it.
    proved = [reading for reading in readings if _proved(reading[1])]
    name, found = (proved or readings)[0]
    if isinstance(found, MeterspanError):
        raise found
    others = [] if proved else [other for other, _ in readings if other != name]
    return found | {"could_also_be": others} if others else found


def _proved(reading: Explanation | MeterspanError) -> bool:
    return isinstance(reading, dict) and (reading.get("authentic") is True or reading.get("mic_ok") is True)
