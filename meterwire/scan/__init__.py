"""What a scanned or typed text is: an adapter's label, a meter's number, or something else that is named.

Pure: nothing is looked up, so the answer never tells what exists.
"""

from meterwire.scan.classify import classify, expecting
from meterwire.scan.clean import MAX_SCAN
from meterwire.scan.messages import MESSAGES
from meterwire.scan.result import Kind, Scan

__all__ = ["MAX_SCAN", "MESSAGES", "Kind", "Scan", "classify", "expecting"]
