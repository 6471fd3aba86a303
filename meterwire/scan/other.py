"""Codes that hang in every meter cupboard and are neither: packages, links, networks, business cards, keys."""

import re

from meterwire.errors import IdentifierError
from meterwire.ids import MaloId, MeloId
from meterwire.scan.result import Kind, Scan

_WIFI = re.compile("WIFI:|DPP:", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|www\.|(mailto|tel|sms|smsto|geo):", re.IGNORECASE)
_CONTACT = re.compile("BEGIN:VC(ARD|ALENDAR)|BEGIN:VEVENT|MECARD:|BIZCARD:", re.IGNORECASE)
_KEY = re.compile("(?<![0-9A-F])([0-9A-F]{2}[-: ]?){15}[0-9A-F]{2}(?![0-9A-F])", re.IGNORECASE)


def read(text: str) -> Scan:
    """Names the code; UNKNOWN for what is none of them."""
    if _KEY.search(text):
        return Scan(Kind.UNKNOWN, "key")
    if _WIFI.match(text):
        return Scan(Kind.WIFI, "wifi")
    if _CONTACT.match(text):
        return Scan(Kind.UNKNOWN, "contact")
    if _URL.match(text):
        return Scan(Kind.URL, "url")
    compact = text.replace(" ", "")
    if _is_ean(compact):
        return Scan(Kind.EAN, "ean")
    for code, kind in (("malo", MaloId), ("melo", MeloId)):
        try:
            kind.parse(compact.upper())
        except IdentifierError:
            continue
        return Scan(Kind.UNKNOWN, code)
    return Scan(Kind.UNKNOWN, "unknown")


def _is_ean(digits: str) -> bool:
    """EAN-13, UPC-A and GTIN-14; the weights are 3 and 1 from the right, check digit included with 1."""
    if not re.fullmatch("[0-9]{12,14}", digits):
        return False
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + 3 * sum(values[1::2])) % 10 == 0
