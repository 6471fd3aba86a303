"""Reads the cells of a supplier's file: each parser answers the value or raises CellError with cause and cure."""

import re
from typing import Final, NamedTuple

from django.utils.translation import gettext as _

from meterwire.keymemory import SLOTS
from meterwire.slots import MAX_DATA_RATE, PERIODS
from provisioning import validation
from provisioning.batches.errors import CellError
from provisioning.errors import Invalid
from provisioning.fleet.models import Adapter
from provisioning.labels import tokens

FORMULA, NUMBER, FAULT = "formula", "number", "fault"
MAX_CELL: Final = 1000
SLOWEST_FACTOR: Final = 12  # the spreading factor of data rate 0

_EUI_DIGITS, _KEY_DIGITS = 16, 32
_SEPARATORS = str.maketrans("", "", "-:. \u00a0")
_HEX = re.compile("[0-9A-Fa-f]+", re.ASCII)
_SCIENTIFIC = re.compile(r"[0-9A-Fa-f]+(?:[.,][0-9A-Fa-f]*)?[Ee]\+?[0-9]{1,3}", re.ASCII)
_GROUPED = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{3})+", re.ASCII)
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]+", re.ASCII)
_EXAMPLES = frozenset(
    bytes.fromhex(text)
    for text in (
        "000102030405060708090a0b0c0d0e0f",
        "0f0e0d0c0b0a09080706050403020100",
        "00112233445566778899aabbccddeeff",
        "ffeeddccbbaa99887766554433221100",
        "0123456789abcdef0123456789abcdef",
        "fedcba9876543210fedcba9876543210",
        "2b7e151628aed2a6abf7158809cf4f3c",
    )
)


class Cell(NamedTuple):
    """What stands in a cell; `flaw` names what a spreadsheet did with it."""

    text: str
    flaw: str = ""


EMPTY: Final = Cell("")


def eui(cell: Cell) -> str:
    """16 hex digits in lower case."""
    text = _plain(cell)
    digits = text.translate(_SEPARATORS)
    digits = digits[2:] if digits[:2] in ("0x", "0X") else digits
    if cell.flaw == NUMBER or _mangled(text, digits):
        raise _spoiled(text)
    if not _HEX.fullmatch(digits):
        raise CellError("not_hex", _("“{text}” has other signs than 0-9 and A-F.").format(text=text[:40]))
    if len(digits) != _EUI_DIGITS:
        raise CellError("length", _length(digits, _EUI_DIGITS))
    if set(digits) <= {"0"} or set(digits.lower()) == {"f"}:
        raise CellError("placeholder", _("This is a placeholder, not an EUI; ask the supplier for the right one."))
    return digits.lower()


def join_eui(cell: Cell) -> str:
    """The same; a JoinEUI of zeros is usual among devices of a private network."""
    text = _plain(cell).translate(_SEPARATORS)
    return text if text == "0" * _EUI_DIGITS and not cell.flaw else eui(cell)


def key(cell: Cell) -> bytes:
    """16 octets. The messages never show what stands there."""
    text = _plain(cell)
    digits = text.translate(_SEPARATORS)
    digits = digits[2:] if digits[:2] in ("0x", "0X") else digits
    if cell.flaw == NUMBER or _mangled(text, digits):
        raise _spoiled("")
    if not _HEX.fullmatch(digits):
        raise CellError("not_hex", _("This key has other signs than 0-9 and A-F."))
    if len(digits) != _KEY_DIGITS:
        raise CellError("length", _length(digits, _KEY_DIGITS))
    return bytes.fromhex(digits)


def weakness(octets: bytes, dev_eui: str, join_eui: str) -> str:
    """Why this key must not be used, in one sentence; empty when nothing speaks against it."""
    if len(set(octets)) == 1:
        return _("Every byte of this key is the same; ask the supplier for the real keys.")
    if octets in _EXAMPLES:
        return _("This is a well-known example key; ask the supplier for the real keys.")
    for name in (dev_eui, join_eui):
        known = bytes.fromhex(name) if name else b""
        if known and any(known) and {known, known[::-1]} & {octets[:8], octets[8:]}:
            return _("This key is made of the device's own EUI, which everybody can read; ask for real keys.")
    return ""


def slot(cell: Cell) -> int:
    """A key slot."""
    number = _integer(cell)
    if not 0 <= number < SLOTS:
        raise CellError("range", _("Key slots run from 0 to {limit}.").format(limit=SLOTS - 1))
    return number


def tag_length(cell: Cell) -> int:
    """4 or 8."""
    number = _integer(cell)
    if number not in (4, 8):
        raise CellError("range", _("A tag has 4 or 8 bytes."))
    return number


def period_s(cell: Cell) -> int:
    """Seconds between telegrams, one of the periods that slots know."""
    number = _integer(cell)
    if number not in PERIODS:
        shown = ", ".join(map(str, PERIODS))
        text = _("Slots repeat every {periods} s; {number} s is none of these periods.")
        raise CellError("period", text.format(periods=shown, number=number))
    return number


def data_rate(cell: Cell) -> int:
    """A data rate of slots; "DR3" and "SF9" are understood."""
    text = _plain(cell).upper().replace(" ", "")
    factor = re.fullmatch("SF([0-9]{1,2})", text, re.ASCII)
    if factor:
        number = SLOWEST_FACTOR - int(factor[1])
    else:
        number = _integer(Cell(text.removeprefix("DR"), cell.flaw))
    if not 0 <= number <= MAX_DATA_RATE:
        text = _("Data rates run from 0 (SF12) to {limit} (SF7).").format(limit=MAX_DATA_RATE)
        raise CellError("data_rate", text)
    return number


def serial(cell: Cell) -> str:
    return _text(cell, 40)


def location(cell: Cell) -> str:
    return _text(cell, 120)


def lorawan(cell: Cell) -> str:
    """A LoRaWAN version; "1.0", "V1.0.3" and "LoRaWAN 1.0.4" are understood."""
    text = re.sub(r"(?i)lorawan|^v|[\s_-]", "", _plain(cell)).lower().removeprefix("v")
    text = re.sub(r"(?:rev|r)[ab]?$|\(.*\)$", "", text)
    if text not in Adapter.LoRaWAN.values:
        known = ", ".join(Adapter.LoRaWAN.values)
        raise CellError("choice", _("“{text}” is none of {known}.").format(text=cell.text[:40], known=known))
    return text


def kind(cell: Cell) -> str:
    """`meterspan` or `foreign`."""
    text = _plain(cell).lower()
    if text not in Adapter.Kind.values:
        known = ", ".join(Adapter.Kind.values)
        raise CellError("choice", _("“{text}” is none of {known}.").format(text=cell.text[:40], known=known))
    return text


def token(cell: Cell) -> str:
    """An owner token as a label can carry it. The messages never show it."""
    text = _plain(cell)
    if cell.flaw == NUMBER:
        raise _spoiled("")
    try:
        return tokens.checked(text)
    except Invalid as error:
        raise CellError("token", str(error)) from None


def _plain(cell: Cell) -> str:
    if cell.flaw == FORMULA:
        raise CellError(
            "formula", _("A formula is not read; replace it by its value (copy, then paste special: values).")
        )
    if cell.flaw == FAULT:
        raise CellError("spreadsheet_error", _("The spreadsheet shows an error in this cell; correct it there."))
    text = cell.text.strip()
    if len(text) > MAX_CELL:
        raise CellError("too_long", _("{n} characters are too many for a cell.").format(n=len(text)))
    if not text.isprintable() and any(ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 for sign in text):
        raise CellError("control_characters", _("This contains control characters; type it again without them."))
    return text


def _text(cell: Cell, limit: int) -> str:
    text = _plain(cell)
    if cell.flaw == NUMBER and text.endswith(".0"):
        text = text[:-2]
    try:
        return validation.text("cell", text, limit)
    except Invalid as error:
        raise CellError("too_long" if len(text) > limit else "control_characters", str(error)) from None


def _integer(cell: Cell) -> int:
    text = _plain(cell).removesuffix(".0")
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise CellError("not_a_number", _("“{text}” is no whole number.").format(text=text[:20]))
    return int(text)


def _mangled(text: str, digits: str) -> bool:
    """Whether a spreadsheet wrote this as a number: with an exponent, a fraction, or parted thousands."""
    if not any(sign in text for sign in "+.,"):
        return False
    if _GROUPED.fullmatch(text):
        return True
    whole = len(digits) in (_EUI_DIGITS, _KEY_DIGITS)
    if _SCIENTIFIC.fullmatch(text):
        return "+" in text or not whole
    return bool(_DECIMAL.fullmatch(text)) and not whole


def _spoiled(text: str) -> CellError:
    shown = _("“{text}”: a spreadsheet").format(text=text[:40]) if text else _("A spreadsheet")
    cure = _("{what} took this for a number and lost digits; format the column as text and fill it in again.")
    return CellError("number", cure.format(what=shown))


def _length(digits: str, wanted: int) -> str:
    if digits.isdecimal() and len(digits) < wanted:
        hint = _("{n} digits instead of {wanted}: leading zeros were lost, perhaps in a spreadsheet.")
    else:
        hint = _("{n} hex digits instead of {wanted}.")
    return hint.format(n=len(digits), wanted=wanted)
