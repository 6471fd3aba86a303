"""Scans that are, or were meant to be, an adapter's label (TR005), and a DevEUI without one."""

import re

from meterwire import label
from meterwire.errors import LabelError
from meterwire.ids import DevEUI
from meterwire.scan.clean import plain
from meterwire.scan.result import Kind, Scan

_LABEL = re.compile("LW *:", re.IGNORECASE)
_CURRENT = re.compile("LW:D0:", re.IGNORECASE)
_LEGACY = re.compile("URN *:(LW|DEV *:LW) *:", re.IGNORECASE)
# A scanner that types US keys into a device with German, Nordic, Spanish or Portuguese keys: the colon is another key.
_OTHER_KEYS = re.compile(r"LW([ÖÆØÇÑ>;])D0\1", re.IGNORECASE)
_EUI = re.compile("(?:DEV *EUI *[:=]? *)?((?:[0-9A-F]{2}[-:. ]?){7}[0-9A-F]{2})", re.IGNORECASE)


def read(text: str) -> Scan | None:
    """The scan of a label, a damaged one or a DevEUI; None for another text."""
    if _OTHER_KEYS.match(text):
        return Scan(Kind.ADAPTER_DAMAGED, "keyboard_layout")
    if _LEGACY.match(text):
        return Scan(Kind.ADAPTER_DAMAGED, "legacy_urn")
    if _LABEL.match(text):
        return _label(text)
    found = _EUI.fullmatch(text)
    if found is not None:
        return _named(Kind.DEV_EUI, "dev_eui", DevEUI.parse(found[1]))
    if not text.isascii() and _CURRENT.match(plain(text)):
        return Scan(Kind.ADAPTER_DAMAGED, "adapter_look_alike")
    return None


def _label(text: str) -> Scan:
    if not _CURRENT.match(text):
        return Scan(Kind.ADAPTER_DAMAGED, "shape" if _CURRENT.match(text.replace(" ", "")) else "label_version")
    if len(_CURRENT.findall(text)) > 1:
        return Scan(Kind.ADAPTER_DAMAGED, "several_adapters")
    if not text.isascii():
        return Scan(Kind.ADAPTER_DAMAGED, "adapter_look_alike" if plain(text).isascii() else "shape")
    # A label is printed in capitals; a keyboard wedge under caps lock turns them all round.
    refusal = "shape"
    for candidate in dict.fromkeys((text, text.upper())):
        try:
            found = label.parse(candidate)
        except LabelError as error:
            refusal = "checksum" if "checksum of the label is wrong" in str(error) else refusal
            continue
        checked = re.search(":C[0-9A-Fa-f]{4}$", candidate) is not None
        return _named(Kind.ADAPTER, "adapter" if checked else "adapter_unchecked", found.dev_eui, found)
    return Scan(Kind.ADAPTER_DAMAGED, refusal)


def _named(kind: Kind, code: str, dev_eui: DevEUI, found: label.Label | None = None) -> Scan:
    return Scan(kind, code, dev_eui, found, values={"dev_eui": dev_eui.label})
