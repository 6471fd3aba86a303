"""Decides what a raw scan is, in a fixed order: bounds, adapter, meter, everything else."""

from typing import Literal

from meterwire.scan import adapter, meter, other
from meterwire.scan.clean import MAX_SCAN, clean
from meterwire.scan.messages import FOUND
from meterwire.scan.result import Kind, Scan


def classify(raw: str) -> Scan:
    """What `raw` is, as a scanner, a camera or a keyboard gave it. Never raises; nothing is corrected silently."""
    if len(raw) > MAX_SCAN:
        return Scan(Kind.TOO_LONG, "too_long", values={"limit": str(MAX_SCAN)})
    text = clean(raw)
    if text is None:
        return Scan(Kind.CONTROL_CHARACTERS, "control_characters")
    if not text:
        return Scan(Kind.EMPTY, "empty")
    return adapter.read(text) or meter.read(text) or meter.typo(text) or other.read(text)


def expecting(scan: Scan, wanted: Literal["adapter", "meter"]) -> str | None:
    """None when the scan is what was asked for, else the sentence that says what it is and what to scan instead.

    A typed DevEUI counts as an adapter: whether it may be used without a claim token is the caller's decision.
    """
    if scan.kind == wanted or (scan.kind is Kind.DEV_EUI and wanted == "adapter"):
        return None
    if scan.kind is Kind.UNKNOWN and scan.code != "unknown":
        return scan.message
    return FOUND.get((scan.kind, wanted), scan.message)
