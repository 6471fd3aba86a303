"""Scans that hold a meter's number (DIN 43863-5), or something that was meant to be one."""

import re

from meterwire.errors import IdentifierError
from meterwire.ids import SECTORS, MeterId
from meterwire.ids.server import meter_id_of
from meterwire.scan.clean import plain
from meterwire.scan.result import Kind, Scan

LENGTH = 14

_ID = "[0-9A-Z] ?[A-Z]{3} ?[0-9A-F]{2} ?[0-9]{4} ?[0-9]{4}"
_INSIDE = re.compile(f"(?<![0-9A-Z])({_ID})(?![0-9A-Z])", re.IGNORECASE)
_AA = re.compile(f"AA[ :=]?({_ID})(?=$|[^0-9A-Z]|[A-Z]{{2}})", re.IGNORECASE)
_SERVER_ID = re.compile("(?:SERVER-?ID *[:=]? *)?(0[9A](?:[- :]?[0-9A-F]{2}){9})", re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", " -._/")
# What people and cameras mix up, by what the place takes.
_DIGIT_FOR = str.maketrans("OQDILSBZG", "000115826")
_LETTER_FOR = str.maketrans("01582", "OISBZ")
_HEX_FOR = str.maketrans("OQIL", "0011")


def read(text: str) -> Scan | None:
    """The scan of the one meter that the text names; None for a text that names none."""
    found = _named(text)
    if len(found) > 1:
        return Scan(Kind.UNKNOWN, "several_meters")
    for meter in found:
        return _meter("meter", meter)
    octets = _SERVER_ID.fullmatch(text)
    if octets is not None:
        own = meter_id_of(bytes.fromhex(re.sub("[- :]", "", octets[1])))
        return None if own is None else _meter("meter_server_id", own)
    return None


def typo(text: str) -> Scan | None:
    """Why a text that looks like a meter's number is none; None for one that does not look like it."""
    compact = plain(text).upper().translate(_SEPARATORS)
    if not text.isascii():
        return Scan(Kind.METER_TYPO, "meter_look_alike") if _parsed(compact) is not None else None
    if compact.startswith("AA") and len(compact) == LENGTH + 2:
        compact = compact[2:]
    if re.fullmatch("[0-9]{8}", compact):
        return Scan(Kind.METER_TYPO, "number_only")
    if re.fullmatch("[A-Z]{3}[0-9A-F]{2}[0-9]{8}", compact):
        return Scan(Kind.METER_TYPO, "sector_missing")
    if len(compact) == LENGTH:
        return _mixed_up(compact) or _misplaced(compact)
    if re.fullmatch("[0-9A-Z][A-Z]{3}[0-9A-F]{2}[0-9]{5,11}", compact) and compact[0] in SECTORS:
        return Scan(Kind.METER_TYPO, "length", values={"length": str(len(compact))})
    return None


def _named(text: str) -> set[MeterId]:
    # The line AA of a meter's Data Matrix is its own number; other lines may name other things.
    lines = text.split("\n")
    own = {_parsed(match[1]) for match in map(_AA.match, lines) if match is not None} - {None}
    found = own or {_parsed(match[1]) for match in _INSIDE.finditer(text)} | {_parsed(text)}
    return {meter for meter in found if meter is not None}


def _parsed(text: str) -> MeterId | None:
    try:
        return MeterId.parse(text.upper().translate(_SEPARATORS)) if len(text) <= 2 * LENGTH else None
    except IdentifierError:
        return None


def _meter(code: str, meter: MeterId) -> Scan:
    return Scan(Kind.METER, code, meter_id=meter, values={"meter": meter.display})


def _mixed_up(compact: str) -> Scan | None:
    meant = (
        compact[0].translate(_DIGIT_FOR if compact[0] not in SECTORS else {})
        + compact[1:4].translate(_LETTER_FOR)
        + compact[4:6].translate(_HEX_FOR)
        + compact[6:].translate(_DIGIT_FOR)
    )
    meter = _parsed(meant)
    if meter is None or meant == compact:
        return None
    wrong = [(place, given, right) for place, (given, right) in enumerate(zip(compact, meant, strict=True), 1)]
    faults = ", ".join(f"{place}: {right} not {given}" for place, given, right in wrong if given != right)
    return Scan(Kind.METER_TYPO, "confused", values={"faults": faults, "suggestion": meter.display})


def _misplaced(compact: str) -> Scan | None:
    looks_like_one = re.fullmatch("[0-9A-Z][A-Z]{3}[0-9A-Z]{10}", compact) and sum(map(str.isdigit, compact[4:])) >= 7
    if not looks_like_one:
        return None
    if compact[0] not in SECTORS:
        return Scan(Kind.METER_TYPO, "sector", values={"character": compact[0]})
    block = re.search("[^0-9A-F]", compact[4:6])
    if block is not None:
        return Scan(Kind.METER_TYPO, "block", values={"character": block[0]})
    letter = re.search("[^0-9]", compact[6:])
    return None if letter is None else Scan(Kind.METER_TYPO, "number", values={"character": letter[0]})
