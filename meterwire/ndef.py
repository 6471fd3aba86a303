"""A label's text as one NDEF text record for NFC tags (NFC Forum RTD Text 1.0): UTF-8, language en."""

from typing import Final

from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange
from meterwire.label import MAX_LABEL

MAX_RECORD: Final = 7 + 1 + 63 + MAX_LABEL  # long header, status, longest language code, text

_FIRST_AND_LAST: Final = 0xC0  # MB and ME: the message is this one record
_SHORT: Final = 0x10
_WELL_KNOWN: Final = 0x01
_LANGUAGE: Final = b"en"


def encode(text: str) -> bytes:
    """The record; `text` is 1 to 256 printable ASCII characters. ValueOutOfRange."""
    if not 1 <= len(text) <= MAX_LABEL or not (text.isascii() and text.isprintable()):
        raise ValueOutOfRange(f"a tag carries a label of 1 to {MAX_LABEL} printable ASCII characters")
    payload = bytes((len(_LANGUAGE),)) + _LANGUAGE + text.encode("ascii")
    short = len(payload) <= 0xFF
    length = len(payload).to_bytes(1 if short else 4, "big")
    return bytes((_FIRST_AND_LAST | (_SHORT if short else 0) | _WELL_KNOWN, 1)) + length + b"T" + payload


def decode(record: bytes) -> str:
    """The text of one text record, of any language. FormatError (LimitExceeded) for anything else."""
    if len(record) > MAX_RECORD:
        raise LimitExceeded(f"a tag with {len(record)} bytes holds no label; at most {MAX_RECORD} are read")
    short = bool(record and record[0] & _SHORT)
    start = 4 if short else 7
    if len(record) <= start or record[0] & ~_SHORT != _FIRST_AND_LAST | _WELL_KNOWN:
        raise FormatError("the tag does not hold exactly one well-known record: write the label anew")
    if record[1] != 1 or record[start - 1 : start] != b"T":
        raise FormatError("the tag holds no text record: write the label anew")
    payload = record[start:]
    if int.from_bytes(record[2 : start - 1], "big") != len(payload):
        raise FormatError("the record on the tag is cut off or followed by more: write the label anew")
    language = payload[0] & 0x3F
    if payload[0] & 0xC0 or language == 0:
        raise FormatError("the text on the tag is not UTF-8 with a language: write the label anew")
    text = payload[1 + language :].decode("latin-1")
    if not 1 <= len(text) <= MAX_LABEL or not (text.isascii() and text.isprintable()):
        raise FormatError(f"the text on the tag is no label of 1 to {MAX_LABEL} printable ASCII characters")
    return text
