"""Takes off what scanners add: symbology prefixes, line ends of keyboard wedges, function characters."""

import re
import unicodedata
from typing import Final

MAX_SCAN: Final = 512

# ISO/IEC 15424: ], a letter for the code, a modifier. ]C1 Code 128, ]Q3 QR, ]d2 Data Matrix, ]e0 GS1 DataBar.
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_LINE_ENDS = re.compile("[\r\n\t\x1d]+")  # 1D: FNC1 as scanners send it
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(raw: str) -> str | None:
    """Lines without what a scanner added, joined by one line feed; None when another control character is in them."""
    text = _LINE_ENDS.sub("\n", raw)
    if any(_is_control(character) for character in text):
        return None
    text = "".join(" " if unicodedata.category(character) == "Zs" else character for character in text).strip()
    text = _AIM.sub("", text, count=1) if _AIM.match(text) else text
    return "\n".join(filter(None, (line.strip() for line in text.split("\n"))))


def plain(text: str) -> str:
    """The text with letters of other alphabets that look like Latin ones replaced by those, as a typist meant them."""
    return unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)


def _is_control(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in _REFUSED


# Cyrillic and Greek capitals, then the small ones.
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТХУΑΒΕΖΗΙΚΜΝΟΡΤΥΧасеіјорхуѕοντ",
    "ABESIJKMHOPCTXYABEZHIKMNOPTYXaceijopxysovt",
)
